//! What a remoting frame says, decoded on its own terms: golden files must not depend on the code that they test.

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A decoded header, as written beside a golden frame.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meaning {
    /// `JSON` or `ROCKETMQ`.
    pub form: &'static str,
    /// Request code, or response code in a reply.
    pub code: i64,
    /// Name of the language, as in Java's `LanguageCode`.
    pub language: String,
    /// Ordinal of the peer's version.
    pub version: i64,
    /// Correlation id.
    pub opaque: i64,
    /// Bit 0: reply; bit 1: oneway.
    pub flag: i64,
    /// Error text.
    pub remark: Option<String>,
    /// The custom header.
    pub ext_fields: Map<String, Value>,
    /// Length of the header in bytes.
    pub header_length: usize,
    /// Length of the body in bytes.
    pub body_length: usize,
    /// The body, where it is text.
    pub body_text: Option<String>,
}

const LANGUAGES: [&str; 14] = [
    "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP",
    "OMS", "RUST", "NODE_JS",
];

/// Decodes a whole frame, its length word included.
pub fn decode(frame: &[u8]) -> anyhow::Result<Meaning> {
    let mut rest = Reader(frame);
    let length = rest.int()?;
    ensure!(usize::try_from(length)? == frame.len() - 4, "length word {length}");
    let mark = u32::try_from(rest.int()?)?;
    let header = rest.take(usize::try_from(mark & 0x00FF_FFFF)?)?;
    let body = rest.0;
    let mut meaning = match mark >> 24 {
        0 => json_header(header)?,
        1 => binary_header(header)?,
        form => bail!("header form {form}"),
    };
    meaning.header_length = header.len();
    meaning.body_length = body.len();
    meaning.body_text = text(body);
    Ok(meaning)
}

pub(super) fn text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_empty())?;
    (!text.chars().any(|c| c.is_control() && c != '\n')).then(|| text.to_owned())
}

fn json_header(header: &[u8]) -> anyhow::Result<Meaning> {
    let value: Value = serde_json::from_slice(header).context("header is not JSON")?;
    let number = |key: &str| value.get(key).and_then(Value::as_i64).context("no number");
    Ok(Meaning {
        form: "JSON",
        code: number("code")?,
        language: value.get("language").and_then(Value::as_str).unwrap_or_default().to_owned(),
        version: number("version")?,
        opaque: number("opaque")?,
        flag: number("flag")?,
        remark: value.get("remark").and_then(Value::as_str).map(str::to_owned),
        ext_fields: value.get("extFields").and_then(Value::as_object).cloned().unwrap_or_default(),
        header_length: 0,
        body_length: 0,
        body_text: None,
    })
}

fn binary_header(header: &[u8]) -> anyhow::Result<Meaning> {
    let mut rest = Reader(header);
    let code = rest.short()?;
    let language = usize::try_from(rest.byte()?)?;
    let version = rest.short()?;
    let opaque = rest.int()?;
    let flag = rest.int()?;
    let remark = rest.sized()?;
    let mut ext = Reader(rest.sized()?);
    let mut ext_fields = Map::new();
    while !ext.0.is_empty() {
        let length = usize::try_from(ext.short()?)?;
        let key = String::from_utf8(ext.take(length)?.to_vec())?;
        let value = String::from_utf8(ext.sized()?.to_vec())?;
        ext_fields.insert(key, json!(value));
    }
    Ok(Meaning {
        form: "ROCKETMQ",
        code,
        language: (*LANGUAGES.get(language).unwrap_or(&"?")).to_owned(),
        version,
        opaque,
        flag,
        remark: (!remark.is_empty()).then(|| String::from_utf8_lossy(remark).into_owned()),
        ext_fields,
        header_length: 0,
        body_length: 0,
        body_text: None,
    })
}

/// Takes big-endian values off the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("the frame ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn int(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from(i32::from_be_bytes(self.take(4)?.try_into()?)))
    }

    pub(super) fn long(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    pub(super) fn byte(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from(*self.take(1)?.first().context("no byte")?))
    }

    pub(super) fn short(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from(i16::from_be_bytes(self.take(2)?.try_into()?)))
    }

    pub(super) fn sized(&mut self) -> anyhow::Result<&'a [u8]> {
        let length = usize::try_from(self.int()?)?;
        self.take(length)
    }
}
