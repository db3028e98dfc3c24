//! The ROCKETMQ header form: `code i16 | language u8 | version i16 | opaque i32 | flag i32 |
//! remark length i32, remark | fields length i32, then (key length i16, key, value length i32, value)*`.
//!
//! Java reads an empty key or value as null; here an empty key is dropped and an empty value is kept as
//! an empty text, which optional fields read as absent.

use super::{
    Language,
    head::{FIELDS_MAX, Head, HeaderError, HeaderForm, Pair, Span},
};

/// Scans the header `block[start..]`, appends its fields to `pairs` and returns the envelope.
pub(super) fn scan(block: &[u8], start: usize, pairs: &mut Vec<Pair>) -> Result<Head, HeaderError> {
    let mut cursor = Cursor { bytes: block, at: start };
    let mut head = Head { form: HeaderForm::Binary, ..Head::default() };
    head.code = i32::from(i16::from_be_bytes(cursor.take()?));
    head.language = Language::from_number(cursor.take::<1>()?[0]);
    head.version = i32::from(i16::from_be_bytes(cursor.take()?));
    head.opaque = i32::from_be_bytes(cursor.take()?);
    head.flag = i32::from_be_bytes(cursor.take()?);
    let remark = i32::from_be_bytes(cursor.take()?);
    head.remark = cursor.text(remark)?;
    let fields = i32::from_be_bytes(cursor.take()?);
    let fields = cursor.text(fields)?;
    let mut cursor = Cursor { bytes: cursor.until(fields.end)?, at: fields.start as usize };
    let before = pairs.len();
    while cursor.at < cursor.bytes.len() {
        let key_len = i16::from_be_bytes(cursor.take()?);
        let key = cursor.text(i32::from(key_len))?;
        let value_len = i32::from_be_bytes(cursor.take()?);
        let value = cursor.text(value_len)?;
        if key.is_empty() {
            continue;
        }
        if pairs.len() - before >= FIELDS_MAX {
            return Err(HeaderError::Fields { max: FIELDS_MAX });
        }
        pairs.push(Pair { key, value });
    }
    Ok(head)
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or(HeaderError::Truncated)?;
        self.at += N;
        Ok(bytes)
    }

    /// A text of so many bytes. A negative length is as wrong as one that is too large.
    fn text(&mut self, len: i32) -> Result<Span, HeaderError> {
        let len = usize::try_from(len).map_err(|_| HeaderError::Truncated)?;
        let end = self.at + len;
        if end > self.bytes.len() {
            return Err(HeaderError::Truncated);
        }
        let span = Span::new(self.at, end).ok_or(HeaderError::Truncated)?;
        self.at = end;
        Ok(span)
    }

    fn until(&self, end: u32) -> Result<&'b [u8], HeaderError> {
        self.bytes.get(..end as usize).ok_or(HeaderError::Truncated)
    }
}
