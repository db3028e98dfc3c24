//! The JSON header form, scanned once and in place.
//!
//! Accepts keys in any order, unknown keys with any value, whitespace, numbers in quotes, scalars where
//! texts are expected, and every JSON escape. A text with escapes is unescaped within the buffer, where
//! it can only become shorter, so that every text is a range of the buffer and nothing is allocated.
//! Never reads beyond the header, never recurses.

use super::{
    Language,
    head::{FIELDS_MAX, Head, HeaderError, Pair, Span},
};

/// Deepest nesting of a value under a key that is skipped.
const DEPTH_MAX: usize = 32;

/// Scans the header `block[start..]`, appends its fields to `pairs` and returns the envelope.
pub(super) fn scan(
    block: &mut [u8],
    start: usize,
    pairs: &mut Vec<Pair>,
) -> Result<Head, HeaderError> {
    let mut scanner = Scanner { bytes: block, at: start };
    scanner.header(pairs).map_err(|error| relative(error, start))
}

fn relative(error: HeaderError, start: usize) -> HeaderError {
    match error {
        HeaderError::Unexpected { at } => HeaderError::Unexpected { at: at.saturating_sub(start) },
        HeaderError::Number { at } => HeaderError::Number { at: at.saturating_sub(start) },
        other @ (HeaderError::Truncated | HeaderError::Nested | HeaderError::Fields { .. }) => {
            other
        }
    }
}

struct Scanner<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

/// What an object goes on with.
enum Next {
    Member,
    End,
}

impl Scanner<'_> {
    fn header(&mut self, pairs: &mut Vec<Pair>) -> Result<Head, HeaderError> {
        let mut head = Head::default();
        self.space();
        self.expect(b'{')?;
        let mut first = true;
        while let Next::Member = self.next(b'}', &mut first)? {
            let key = self.string()?;
            self.colon()?;
            match key.of(self.bytes) {
                b"code" => head.code = self.number()?,
                b"extFields" => self.fields(pairs)?,
                b"flag" => head.flag = self.number()?,
                b"language" => {
                    let name = self.text()?.unwrap_or_default();
                    head.language = Language::from_name(name.of(self.bytes));
                }
                b"opaque" => head.opaque = self.number()?,
                b"remark" => head.remark = self.text()?.unwrap_or_default(),
                b"version" => head.version = self.number()?,
                _ => self.skip()?,
            }
        }
        Ok(head)
    }

    fn fields(&mut self, pairs: &mut Vec<Pair>) -> Result<(), HeaderError> {
        if self.peek()? != b'{' {
            return self.skip();
        }
        self.at += 1;
        let mut first = true;
        let before = pairs.len();
        while let Next::Member = self.next(b'}', &mut first)? {
            let key = self.field_name()?;
            let Some(value) = self.text()? else { continue };
            if pairs.len() - before >= FIELDS_MAX {
                return Err(HeaderError::Fields { max: FIELDS_MAX });
            }
            pairs.push(Pair { key, value });
        }
        Ok(())
    }

    /// A key with its colon. Sends have keys of one letter.
    #[inline]
    fn field_name(&mut self) -> Result<Span, HeaderError> {
        if let Some([b'"', letter, b'"', b':', b'"']) = self.bytes.get(self.at..self.at + 5)
            && letter.is_ascii_alphabetic()
        {
            let key = span(self.at + 1, self.at + 2);
            self.at += 4;
            return key;
        }
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    #[inline]
    fn peek(&self) -> Result<u8, HeaderError> {
        self.bytes.get(self.at).copied().ok_or(HeaderError::Truncated)
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), HeaderError> {
        if self.peek()? != byte {
            return Err(HeaderError::Unexpected { at: self.at });
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn colon(&mut self) -> Result<(), HeaderError> {
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    /// Steps over the comma or the end of an object.
    #[inline]
    fn next(&mut self, end: u8, first: &mut bool) -> Result<Next, HeaderError> {
        self.space();
        if self.peek()? == end {
            self.at += 1;
            return Ok(Next::End);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
            self.space();
        }
        Ok(Next::Member)
    }

    /// A number, also one in quotes; `null` is 0.
    fn number(&mut self) -> Result<i32, HeaderError> {
        let at = self.at;
        let Some(text) = self.text()? else { return Ok(0) };
        super::field::integer(text.of(self.bytes))
            .and_then(|number| i32::try_from(number).ok())
            .ok_or(HeaderError::Number { at })
    }

    /// A string or another scalar as its text; `None` for `null` and for values that are no text.
    #[inline]
    fn text(&mut self) -> Result<Option<Span>, HeaderError> {
        match self.peek()? {
            b'"' => self.string().map(Some),
            b'{' | b'[' => self.skip().map(|()| None),
            _ => {
                let span = self.scalar()?;
                Ok((span.of(self.bytes) != b"null").then_some(span))
            }
        }
    }

    fn scalar(&mut self) -> Result<Span, HeaderError> {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.') =
            self.bytes.get(self.at)
        {
            self.at += 1;
        }
        if start == self.at {
            return Err(HeaderError::Unexpected { at: start });
        }
        span(start, self.at)
    }

    #[inline]
    fn string(&mut self) -> Result<Span, HeaderError> {
        self.expect(b'"')?;
        let start = self.at;
        let end = start + plain_run(self.bytes.get(start..).unwrap_or_default());
        match self.bytes.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                span(start, end)
            }
            Some(_) => self.unescape(start, end),
            None => Err(HeaderError::Truncated),
        }
    }

    /// Moves the rest of a string from its first backslash on to where it belongs.
    fn unescape(&mut self, start: usize, backslash: usize) -> Result<Span, HeaderError> {
        let mut write = backslash;
        self.at = backslash;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return span(start, write);
                }
                b'\\' => write = self.escape(write)?,
                _ => write = self.shift(write)?,
            }
        }
    }

    /// Moves bytes up to the next quote or backslash, by words where a whole word is plain.
    #[inline]
    fn shift(&mut self, mut write: usize) -> Result<usize, HeaderError> {
        while let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = *word;
            let plain = plain_bytes(word);
            if plain < 8 {
                write = self.put(write, word.get(..plain).unwrap_or_default())?;
                self.at += plain;
                return Ok(write);
            }
            // What is overwritten has been read: `write` is behind the cursor.
            write = self.put(write, &word)?;
            self.at += 8;
        }
        let run = plain_run(self.bytes.get(self.at..).unwrap_or_default());
        self.bytes.copy_within(self.at..self.at + run, write);
        self.at += run;
        Ok(write + run)
    }

    /// Writes what the escape at the cursor stands for; returns the place behind it.
    fn escape(&mut self, write: usize) -> Result<usize, HeaderError> {
        // The separators of property strings, U+0001 and U+0002, come this way, many in each send.
        if let Some([b'\\', b'u', b'0', b'0', b'0', digit @ b'0'..=b'9']) =
            self.bytes.get(self.at..self.at + 6)
        {
            let control = digit - b'0';
            self.at += 6;
            return self.put(write, &[control]);
        }
        let kind = *self.bytes.get(self.at + 1).ok_or(HeaderError::Truncated)?;
        self.at += 2;
        let plain = match kind {
            b'u' => return self.unicode(write),
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'"' | b'\\' | b'/' | b'\'' => kind,
            _ => return Err(HeaderError::Unexpected { at: self.at - 1 }),
        };
        self.put(write, &[plain])
    }

    fn unicode(&mut self, write: usize) -> Result<usize, HeaderError> {
        let unit = self.hex4(self.at)?;
        self.at += 4;
        let mut point = u32::from(unit);
        if (0xD800..0xDC00).contains(&unit)
            && self.bytes.get(self.at..self.at + 2) == Some(b"\\u")
            && let Ok(low @ 0xDC00..0xE000) = self.hex4(self.at + 2)
        {
            self.at += 6;
            point = 0x1_0000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00);
        }
        let char = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.put(write, char.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn hex4(&self, at: usize) -> Result<u16, HeaderError> {
        let digits = self.bytes.get(at..at + 4).ok_or(HeaderError::Truncated)?;
        let mut unit = 0;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(HeaderError::Unexpected { at }),
            };
            unit = unit << 4 | u16::from(value);
        }
        Ok(unit)
    }

    fn put(&mut self, write: usize, text: &[u8]) -> Result<usize, HeaderError> {
        let end = write + text.len();
        self.bytes.get_mut(write..end).ok_or(HeaderError::Truncated)?.copy_from_slice(text);
        Ok(end)
    }

    /// Steps over one value of any kind.
    fn skip(&mut self) -> Result<(), HeaderError> {
        let mut depth = 0;
        loop {
            self.space();
            depth = self.skip_token(depth)?;
            if depth > DEPTH_MAX {
                return Err(HeaderError::Nested);
            }
            self.space();
            // Within a value only, separators are stepped over without a look at their order.
            while depth > 0 && matches!(self.peek()?, b',' | b':') {
                self.at += 1;
                self.space();
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Steps over one bracket, string or scalar; returns how deep the cursor is behind it.
    fn skip_token(&mut self, depth: usize) -> Result<usize, HeaderError> {
        match self.peek()? {
            b'{' | b'[' => {
                self.at += 1;
                Ok(depth + 1)
            }
            b'}' | b']' if depth > 0 => {
                self.at += 1;
                Ok(depth - 1)
            }
            b'"' => self.string().map(|_| depth),
            _ => self.scalar().map(|_| depth),
        }
    }
}

#[inline]
fn span(start: usize, end: usize) -> Result<Span, HeaderError> {
    Span::new(start, end).ok_or(HeaderError::Truncated)
}

/// How many bytes stand before the first quote or backslash; all of them if there is none.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let plain = plain_bytes(*word);
        if plain < 8 {
            return run + plain;
        }
        run += 8;
        rest = tail;
    }
    run + rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len())
}

/// The same of eight bytes at once.
#[inline]
fn plain_bytes(word: [u8; 8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    // The lowest bit set is exact; higher ones may be borrows and do not matter.
    let hits =
        ((quote.wrapping_sub(LOW) & !quote) | (backslash.wrapping_sub(LOW) & !backslash)) & HIGH;
    hits.trailing_zeros() as usize / 8
}
