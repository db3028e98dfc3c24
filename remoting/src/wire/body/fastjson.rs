//! fastjson's liberties, both ways.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

use super::BodyError;

/// Deepest nesting of a body.
const DEPTH_MAX: usize = 64;

/// Rewrites fastjson's dialect as strict JSON: keys are quoted (an object as key becomes the text of its
/// strict JSON), and members that are `null` are dropped.
pub(super) fn normalize(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut reader = Reader { bytes: body, at: 0, in_key: false };
    let mut out = Vec::with_capacity(body.len() + 64);
    reader.value(&mut out, 0)?;
    reader.space();
    if reader.at < body.len() {
        return Err(reader.unexpected());
    }
    Ok(out)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Whether an object is read that is itself a key: its keys must be simple, or escapes would
    /// double with each level.
    in_key: bool,
}

impl Reader<'_> {
    fn unexpected(&self) -> BodyError {
        BodyError::Syntax { at: self.at }
    }

    fn peek(&self) -> Result<u8, BodyError> {
        self.bytes.get(self.at).copied().ok_or_else(|| self.unexpected())
    }

    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), BodyError> {
        if depth > DEPTH_MAX {
            return Err(self.unexpected());
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(out, depth),
            b'[' => self.array(out, depth),
            b'"' | b'\'' => self.string(out),
            _ => {
                let scalar = self.scalar()?;
                out.extend_from_slice(scalar);
                Ok(())
            }
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), BodyError> {
        self.at += 1;
        out.push(b'[');
        let mut first = true;
        while self.more(b']')? {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            self.value(out, depth + 1)?;
            self.separator(b']')?;
        }
        out.push(b']');
        Ok(())
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), BodyError> {
        self.at += 1;
        out.push(b'{');
        let mut first = true;
        while self.more(b'}')? {
            let before = out.len();
            if !first {
                out.push(b',');
            }
            self.key(out, depth)?;
            self.space();
            if self.peek()? != b':' {
                return Err(self.unexpected());
            }
            self.at += 1;
            out.push(b':');
            let value = out.len();
            self.value(out, depth + 1)?;
            if out.get(value..) == Some(b"null") {
                out.truncate(before);
            } else {
                first = false;
            }
            self.separator(b'}')?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Whether another element comes; steps over the end if not.
    fn more(&mut self, end: u8) -> Result<bool, BodyError> {
        self.space();
        if self.peek()? == end {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// Steps over the comma behind an element; there is none before the end.
    fn separator(&mut self, end: u8) -> Result<(), BodyError> {
        self.space();
        match self.peek()? {
            b',' => self.at += 1,
            byte if byte == end => {}
            _ => return Err(self.unexpected()),
        }
        Ok(())
    }

    fn key(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), BodyError> {
        match self.peek()? {
            b'"' | b'\'' => self.string(out),
            b'{' if !self.in_key => {
                self.in_key = true;
                let mut text = Vec::new();
                self.value(&mut text, depth + 1)?;
                self.in_key = false;
                quote(out, &text);
                Ok(())
            }
            _ => {
                let scalar = self.scalar()?;
                quote(out, scalar);
                Ok(())
            }
        }
    }

    fn scalar(&mut self) -> Result<&[u8], BodyError> {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.' | b'_' | b'$') =
            self.bytes.get(self.at)
        {
            self.at += 1;
        }
        match self.bytes.get(start..self.at) {
            Some(scalar) if !scalar.is_empty() => Ok(scalar),
            _ => Err(self.unexpected()),
        }
    }

    /// Copies a string; single quotes become double ones.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let quote = self.peek()?;
        self.at += 1;
        out.push(b'"');
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'\\' => self.escape(out)?,
                byte if byte == quote => break,
                b'"' => out.extend_from_slice(b"\\\""),
                byte => out.push(byte),
            }
        }
        out.push(b'"');
        Ok(())
    }

    /// Copies an escape; JSON knows no escaped single quote.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let escaped = self.peek()?;
        self.at += 1;
        if escaped != b'\'' {
            out.push(b'\\');
        }
        out.push(escaped);
        Ok(())
    }
}

/// Writes bytes that are part of a JSON text as a string.
fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Writes a value with bare numbers and objects as keys.
pub(super) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut writer = serde_json::Serializer::with_formatter(&mut out, BareKeys::default());
    match value.serialize(&mut writer) {
        Ok(()) => out,
        // The bodies have no key or value that JSON cannot write, and a Vec takes every byte.
        Err(_impossible) => Vec::new(),
    }
}

/// Compact, and without quotes around keys that are numbers, or the texts of objects.
#[derive(Default)]
struct BareKeys {
    key: Key,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// No key is being written.
    #[default]
    No,
    /// A key has begun; what it is shows with its first character.
    Begun,
    /// A number.
    Number,
    /// A text, in quotes.
    Text,
    /// The text of an object, as it is.
    Object,
}

impl BareKeys {
    fn number<W: ?Sized + Write, N: itoa::Integer>(
        &mut self,
        writer: &mut W,
        number: N,
    ) -> io::Result<()> {
        if self.key == Key::Begun {
            self.key = Key::Number;
        }
        writer.write_all(itoa::Buffer::new().format(number).as_bytes())
    }

    fn open_text<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.key = Key::Text;
        writer.write_all(b"\"")
    }
}

impl Formatter for BareKeys {
    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.key = Key::Begun;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.key = Key::No;
        Ok(())
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == Key::Begun { Ok(()) } else { writer.write_all(b"\"") }
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.key {
            Key::Number | Key::Object => Ok(()),
            Key::Begun => writer.write_all(b"\"\""),
            Key::No | Key::Text => writer.write_all(b"\""),
        }
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.key == Key::Begun {
            if fragment.starts_with('{') {
                self.key = Key::Object;
            } else {
                self.open_text(writer)?;
            }
        }
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match (self.key, &escape) {
            (Key::Object, CharEscape::Quote) => return writer.write_all(b"\""),
            (Key::Object, CharEscape::ReverseSolidus) => return writer.write_all(b"\\"),
            (Key::Begun, _) => self.open_text(writer)?,
            _ => {}
        }
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }

    fn write_i32<W: ?Sized + Write>(&mut self, writer: &mut W, value: i32) -> io::Result<()> {
        self.number(writer, value)
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.number(writer, value)
    }

    fn write_u32<W: ?Sized + Write>(&mut self, writer: &mut W, value: u32) -> io::Result<()> {
        self.number(writer, value)
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.number(writer, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fastjson: &str, strict: &str) {
        let normalized = normalize(fastjson.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(normalized).unwrap(), strict);
    }

    #[test]
    fn fastjson_becomes_strict_json() {
        check(r#"{0:"a",-1 : "b",c:[1,]}"#, r#"{"0":"a","-1":"b","c":[1]}"#);
        check(r#"{'it\'s "x"':'y'}"#, r#"{"it's \"x\"":"y"}"#);
        check(r#"{"a":null,"b":[null],"c":null}"#, r#"{"b":[null]}"#);
        check(r#"{{"q":1,"t":"x\"y"}:{2:3}}"#, r#"{"{\"q\":1,\"t\":\"x\\\"y\"}":{"2":3}}"#);
    }

    #[test]
    fn what_is_not_even_fastjson_is_refused() {
        let nested = "[".repeat(100) + &"]".repeat(100);
        let keys = "{".repeat(3) + "}:1}:1}";
        for text in ["", "{", "{a}", "{a:}", "[1 2]", "{\"a", "{}x", ":", &nested, &keys] {
            assert!(normalize(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_stand_bare_where_java_writes_them_so() {
        use std::collections::BTreeMap;
        let numbers = BTreeMap::from([(0_u64, BTreeMap::from([(-3_i32, "x\u{1}\"")]))]);
        assert_eq!(write(&numbers), br#"{0:{-3:"x\u0001\""}}"#);
        let texts = BTreeMap::from([("", 1), ("\"q", 2), ("a\"b", 3), (r#"{"t":"a\"b"}"#, 4)]);
        assert_eq!(write(&texts), br#"{"":1,"\"q":2,"a\"b":3,{"t":"a\"b"}:4}"#);
    }
}
