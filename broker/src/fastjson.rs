//! Files under `config/` in the dialect of fastjson 1.2.83: written pretty, with tabs and with integer
//! keys bare (`{0:5}`), read with keys bare or quoted.
//!
//! Reading is that of `wire::body`, whose writer is for the network and compact.

use std::io;

use gantry_remoting::wire::body::{self, BodyError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The text is no JSON, or not of this shape.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// There is no text, as after a power loss under another server.
    #[error("the file is empty")]
    Empty,
}

/// The text of a value as fastjson's `toJSONString(value, prettyFormat)` writes it.
pub fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, Pretty::default()))?;
    Ok(out)
}

/// Reads a value from a text that fastjson or a standard writer made.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, ReadError> {
    if text.trim_ascii().is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(body::parse(text)?)
}

/// serde_json's formatter for the dialect. Whether a key is a number is only known when its first digit
/// is written, so the opening quote of keys waits until then.
#[derive(Default)]
struct Pretty {
    depth: usize,
    filled: bool,
    key: Key,
}

#[derive(Default, PartialEq)]
enum Key {
    #[default]
    None,
    Begun,
    Opened,
    Quoted,
    Bare,
}

impl Pretty {
    fn line(&self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(b"\t"))
    }

    fn close(&mut self, out: &mut (impl io::Write + ?Sized), with: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(with)
    }

    fn item(&mut self, out: &mut (impl io::Write + ?Sized), first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.line(out)
    }
}

impl Formatter for Pretty {
    fn begin_string<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.key == Key::Begun {
            self.key = Key::Opened;
            return Ok(());
        }
        out.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if self.key == Key::Opened {
            self.key = Key::Quoted;
            out.write_all(b"\"")?;
        }
        out.write_all(text.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        if self.key == Key::Opened {
            self.key = Key::Quoted;
            out.write_all(b"\"")?;
        }
        CompactFormatter.write_char_escape(out, escape)
    }

    fn write_u32<W: ?Sized + io::Write>(&mut self, out: &mut W, value: u32) -> io::Result<()> {
        if self.key == Key::Opened {
            self.key = Key::Bare;
        }
        write!(out, "{value}")
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        match self.key {
            Key::Bare => Ok(()),
            Key::Opened => out.write_all(b"\"\""),
            Key::None | Key::Begun | Key::Quoted => out.write_all(b"\""),
        }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(out, first)?;
        self.key = Key::Begun;
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.key = Key::None;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b":")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn numbers_as_keys_are_bare_and_texts_are_quoted() {
        let mut table: BTreeMap<&str, BTreeMap<u32, u64>> = BTreeMap::new();
        table.insert("t@g", BTreeMap::from([(0, 5), (12, 1)]));
        table.insert("empty", BTreeMap::new());
        let text = pretty(&table).unwrap();
        assert_eq!(
            String::from_utf8(text.clone()).unwrap(),
            "{\n\t\"empty\":{},\n\t\"t@g\":{\n\t\t0:5,\n\t\t12:1\n\t}\n}"
        );
        let again: BTreeMap<String, BTreeMap<String, u64>> = read(&text).unwrap();
        assert_eq!(again["t@g"]["12"], 1);
    }

    #[test]
    fn arrays_and_strings_are_pretty_too() {
        let value = serde_json::json!({"list": ["a", 1], "none": [], "text": "q\"\n"});
        assert_eq!(
            String::from_utf8(pretty(&value).unwrap()).unwrap(),
            "{\n\t\"list\":[\n\t\t\"a\",\n\t\t1\n\t],\n\t\"none\":[],\n\t\"text\":\"q\\\"\\n\"\n}"
        );
    }

    #[test]
    fn an_empty_file_is_told_from_an_empty_object() {
        assert!(matches!(read::<serde_json::Value>(b" \n"), Err(ReadError::Empty)));
        assert!(read::<serde_json::Value>(b"{}").is_ok());
        assert!(matches!(read::<serde_json::Value>(b"{1:"), Err(ReadError::Body(_))));
    }
}
