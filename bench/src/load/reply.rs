//! Reading replies: just as much of a header as the generator needs, in place.

use anyhow::{Context, Result, bail};
use memchr::memmem;

/// One whole frame that came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// 0 for success.
    pub(crate) code: i32,
    /// Which request it answers.
    pub(crate) opaque: i32,
    header: &'a [u8],
    json: bool,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads a frame without its length word.
    pub(crate) fn parse(frame: &'a [u8]) -> Result<Self> {
        let (word, rest) = frame.split_first_chunk::<4>().context("a frame without header")?;
        let word = u32::from_be_bytes(*word);
        let length = (word & 0x00FF_FFFF) as usize;
        let (header, body) = rest.split_at_checked(length).context("a header beyond its frame")?;
        match word >> 24 {
            0 => Ok(Self {
                code: json_number(header, b"\"code\":").context("no code")?,
                opaque: json_number(header, b"\"opaque\":").context("no opaque")?,
                header,
                json: true,
                body,
            }),
            1 => {
                let code: [u8; 2] = *header.first_chunk().context("short header")?;
                let opaque: [u8; 4] =
                    *header.get(5..).and_then(|h| h.first_chunk()).context("short header")?;
                Ok(Self {
                    code: i16::from_be_bytes(code).into(),
                    opaque: i32::from_be_bytes(opaque),
                    header,
                    json: false,
                    body,
                })
            }
            other => bail!("header form {other}"),
        }
    }

    /// A field of the reply's own header.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        if self.json {
            let quoted = format!("\"{name}\":\"");
            let at = memmem::find(self.header, quoted.as_bytes())? + quoted.len();
            return leading_number(self.header.get(at..)?);
        }
        let mut pairs = self.header.get(21..)?;
        while let Some((length, rest)) = pairs.split_first_chunk::<2>() {
            let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            if key == name.as_bytes() {
                return leading_number(value);
            }
            pairs = rest;
        }
        None
    }

    /// The header as text, for a message about a refusal.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.header).into_owned()
    }
}

/// What the generator reads of one stored message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// Its place in its queue.
    pub(crate) queue_offset: i64,
    /// Whether the stored checksum is that of the body.
    pub(crate) intact: bool,
    /// What was sent.
    pub(crate) body: &'a [u8],
}

/// Walks the stored messages of a pull's body, calling `each` for every one; they are counted.
pub(crate) fn records(mut body: &[u8], mut each: impl FnMut(Record<'_>)) -> Result<u64> {
    let mut count = 0;
    while !body.is_empty() {
        let size = be32(body, 0).context("a cut-off record")? as usize;
        let (record, rest) = body.split_at_checked(size).context("a record beyond the body")?;
        each(record_of(record).context("a record of a wrong shape")?);
        body = rest;
        count += 1;
    }
    Ok(count)
}

/// IPv4 hosts only: both servers run on loopback.
fn record_of(record: &[u8]) -> Option<Record<'_>> {
    const BODY_LENGTH_AT: usize = 84;
    let length = be32(record, BODY_LENGTH_AT)? as usize;
    let from = BODY_LENGTH_AT + 4;
    let body = record.get(from..from.checked_add(length)?)?;
    let queue_offset = record.get(20..28)?.first_chunk::<8>().map(|b| i64::from_be_bytes(*b))?;
    let intact = be32(record, 8)? == crc32fast::hash(body) & 0x7FFF_FFFF;
    Some(Record { queue_offset, intact, body })
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))
}

fn json_number(header: &[u8], key: &[u8]) -> Option<i32> {
    let at = memmem::find(header, key)? + key.len();
    leading_number(header.get(at..)?)?.try_into().ok()
}

fn leading_number(bytes: &[u8]) -> Option<i64> {
    let (sign, bytes) = match bytes.first() {
        Some(b'-') => (-1, bytes.get(1..)?),
        _ => (1, bytes),
    };
    let mut value = None;
    for digit in bytes.iter().take_while(|b| b.is_ascii_digit()) {
        value = Some(value.unwrap_or(0_i64).checked_mul(10)?.checked_add((digit - b'0').into())?);
    }
    value.map(|v| sign * v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u32, header: &[u8]) -> Vec<u8> {
        let mut frame = (kind << 24 | u32::try_from(header.len()).unwrap()).to_be_bytes().to_vec();
        frame.extend(header);
        frame
    }

    #[test]
    fn a_json_reply_is_read_in_any_order_of_keys() {
        let bytes = frame(
            0,
            br#"{"code":-2,"extFields":{"queueOffset":"77"},"flag":1,"opaque":1000000003}"#,
        );
        let reply = Reply::parse(&bytes).unwrap();
        assert_eq!((reply.code, reply.opaque), (-2, 1_000_000_003));
        assert_eq!(reply.number("queueOffset"), Some(77));
        assert_eq!(reply.number("queueId"), None);
    }

    #[test]
    fn a_binary_reply_is_read() {
        let mut header = vec![0, 20, 0, 1, 0xDF];
        header.extend(9_i32.to_be_bytes());
        header.extend([0, 0, 0, 1, 0, 0, 0, 0]);
        header.extend(10_u32.to_be_bytes());
        header.extend(b"\0\x02ab\0\0\0\x0242");
        let bytes = frame(1, &header);
        let reply = Reply::parse(&bytes).unwrap();
        assert_eq!((reply.code, reply.opaque, reply.number("ab")), (20, 9, Some(42)));
    }

    #[test]
    fn a_cut_off_record_is_an_error() {
        assert!(records(&[0, 0, 0, 90, 1], |_| ()).is_err());
        assert_eq!(records(&[], |_| ()).unwrap(), 0);
    }
}
