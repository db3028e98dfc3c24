//! JSON as fastjson 1.2.83 writes and reads it where that differs: keys that are numbers stand bare.

use std::{borrow::Cow, io};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::ser::{Formatter, Serializer};

use crate::cache::Dialect;

/// Writes a value that has no part that could fail: maps have texts or numbers as keys.
pub(super) fn write<T: Serialize>(value: &T, dialect: Dialect) -> Bytes {
    let mut out = Vec::with_capacity(512);
    let written = match dialect {
        Dialect::Standard => value.serialize(&mut Serializer::new(&mut out)),
        Dialect::Fastjson => {
            value.serialize(&mut Serializer::with_formatter(&mut out, BareNumbers::default()))
        }
    };
    debug_assert!(written.is_ok(), "the types of this module always serialize: {written:?}");
    out.into()
}

/// Reads either dialect.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&quoted(text))
}

/// Where the writer stands in a key.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// In none.
    #[default]
    Outside,
    /// At its beginning: a number or a text may follow.
    Begins,
    /// In a number.
    Bare,
    /// In a text.
    Quoted,
}

/// Leaves out the quotes that serde_json puts around numbers as keys.
#[derive(Default)]
struct BareNumbers {
    key: Key,
}

impl Formatter for BareNumbers {
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.key = Key::Begins;
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.key = Key::Outside;
        Ok(())
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.key == Key::Begins { Ok(()) } else { out.write_all(b"\"") }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.open_text(out)?;
        out.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        self.open_text(out)?;
        serde_json::ser::CompactFormatter.write_char_escape(out, escape)
    }

    fn write_u64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: u64) -> io::Result<()> {
        if self.key == Key::Begins {
            self.key = Key::Bare;
        }
        out.write_all(value.to_string().as_bytes())
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        match self.key {
            Key::Bare => Ok(()),
            Key::Begins => out.write_all(b"\"\""),
            Key::Outside | Key::Quoted => out.write_all(b"\""),
        }
    }
}

impl BareNumbers {
    fn open_text<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.key == Key::Begins {
            self.key = Key::Quoted;
            out.write_all(b"\"")?;
        }
        Ok(())
    }
}

/// Puts quotes around keys that are bare numbers, so that a standard reader takes the text.
fn quoted(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut scan = Scan::default();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if scan.key_may_begin && (byte == b'-' || byte.is_ascii_digit()) {
            let rest = text.get(at..).unwrap_or_default();
            let digits = rest.iter().take_while(|b| **b == b'-' || b.is_ascii_digit()).count();
            out.extend_from_slice(text.get(copied..at).unwrap_or_default());
            out.push(b'"');
            out.extend_from_slice(rest.get(..digits).unwrap_or_default());
            out.push(b'"');
            at += digits;
            copied = at;
            scan.key_may_begin = false;
            continue;
        }
        scan.step(byte);
        at += 1;
    }
    if copied == 0 {
        return text.into();
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    out.into()
}

#[derive(Default)]
struct Scan {
    in_text: bool,
    escaped: bool,
    key_may_begin: bool,
    /// For each bracket that is open, whether it is an object's.
    open: Vec<bool>,
}

impl Scan {
    fn step(&mut self, byte: u8) {
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            b'{' => self.open.push(true),
            b'[' => self.open.push(false),
            b'}' | b']' => drop(self.open.pop()),
            b'"' => self.in_text = true,
            b' ' | b'\t' | b'\n' | b'\r' => return,
            _ => {}
        }
        self.key_may_begin =
            byte == b'{' || (byte == b',' && self.open.last().is_some_and(|object| *object));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_as_keys_are_bare_and_everything_else_is_json() {
        let numbers = BTreeMap::from([(0_u64, "a\"b"), (7, "")]);
        assert_eq!(write(&numbers, Dialect::Fastjson), r#"{0:"a\"b",7:""}"#);
        assert_eq!(write(&numbers, Dialect::Standard), r#"{"0":"a\"b","7":""}"#);
        let texts = BTreeMap::from([("", vec![1_u64]), ("\n", vec![2, 3])]);
        assert_eq!(write(&texts, Dialect::Fastjson), r#"{"":[1],"\n":[2,3]}"#);
    }

    #[test]
    fn bare_keys_are_quoted_and_nothing_else() {
        for (text, expected) in [
            (r#"{0:"x",12:{-1:[1,2]}}"#, r#"{"0":"x","12":{"-1":[1,2]}}"#),
            (r#"{"a":"{0:1,2:3}", 5 : [6,7]}"#, r#"{"a":"{0:1,2:3}", "5" : [6,7]}"#),
            (r#"{"a\\":1,"b\"{1":2}"#, r#"{"a\\":1,"b\"{1":2}"#),
            ("[1,{", "[1,{"),
        ] {
            assert_eq!(quoted(text.as_bytes()), expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_bare_is_read_back(
            map in proptest::collection::btree_map(any::<u64>(), any::<String>(), 0..5),
        ) {
            let text = write(&map, Dialect::Fastjson);
            prop_assert_eq!(read::<BTreeMap<u64, String>>(&text).unwrap(), map);
        }

        #[test]
        fn standard_json_is_left_alone(
            map in proptest::collection::btree_map(any::<String>(), any::<[i64; 2]>(), 0..5),
        ) {
            let text = write(&map, Dialect::Standard);
            prop_assert_eq!(quoted(&text), &text[..]);
        }

        #[test]
        fn any_bytes_are_survived(bytes in any::<Vec<u8>>()) {
            prop_assert!(quoted(&bytes).len() >= bytes.len());
        }
    }
}
