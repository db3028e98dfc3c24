//! What a stored record says, decoded on its own terms, and the cutting of CommitLog files into records.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use super::frame::Reader;

/// Magic of a record whose topic length takes one byte.
const V1: i64 = 0xDAA3_20A7_u32.cast_signed() as i64;
/// Magic of a record whose topic length takes two bytes.
const V2: i64 = 0xDAA3_20AB_u32.cast_signed() as i64;
/// Magic of the filler at the end of a CommitLog file.
const BLANK: i64 = 0xCBD4_3194_u32.cast_signed() as i64;

/// Writes into `out` the first record of each kind in CommitLog files, with its meaning as JSON beside it.
///
/// # Errors
/// When a file can't be read or written, or is no CommitLog file.
pub fn keep(out: &Path, files: &[impl AsRef<Path>]) -> anyhow::Result<()> {
    fs::create_dir_all(out)?;
    let mut kinds = HashSet::new();
    for file in files {
        let bytes = fs::read(file)?;
        for record in cut(&bytes)? {
            let meaning = decode(record)?;
            let kind = kind(&meaning);
            if kinds.insert(kind.clone()) {
                fs::write(out.join(format!("{kind}.bin")), record)?;
                let text = serde_json::to_string_pretty(&meaning)? + "\n";
                fs::write(out.join(format!("{kind}.json")), text)?;
            }
        }
    }
    Ok(())
}

/// Topic, key without its number, and version make a kind.
fn kind(meaning: &Value) -> String {
    let text = |pointer| meaning.pointer(pointer).and_then(Value::as_str).unwrap_or("none");
    let key = text("/properties/KEYS");
    let key = key.rsplit_once('-').map_or(key, |(name, _)| name);
    let topic: String =
        text("/topic").chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let family = if meaning.get("sysFlag").and_then(Value::as_i64).unwrap_or(0) & 0x30 == 0 {
        "ipv4"
    } else {
        "ipv6"
    };
    format!("{key}.{}.{}.{family}", topic.to_lowercase(), text("/version"))
}

fn cut(file: &[u8]) -> anyhow::Result<Vec<&[u8]>> {
    let mut records = Vec::new();
    let mut rest = file;
    while rest.len() >= 8 {
        let mut head = Reader(rest);
        let (size, magic) = (usize::try_from(head.int()?)?, head.int()?);
        if size == 0 || magic == BLANK {
            break;
        }
        let (record, after) = rest.split_at_checked(size).context("a record ends early")?;
        records.push(record);
        rest = after;
    }
    Ok(records)
}

/// Decodes one stored record.
pub(super) fn decode(record: &[u8]) -> anyhow::Result<Value> {
    let mut rest = Reader(record);
    let mut out = Map::new();
    let total_size = rest.int()?;
    ensure!(usize::try_from(total_size)? == record.len(), "record says {total_size}");
    out.insert("totalSize".to_owned(), json!(total_size));
    let version = match rest.int()? {
        V1 => "v1",
        V2 => "v2",
        magic => bail!("magic {magic:#x}"),
    };
    out.insert("version".to_owned(), json!(version));
    for name in ["bodyCrc", "queueId", "flag"] {
        out.insert(name.to_owned(), json!(rest.int()?));
    }
    for name in ["queueOffset", "physicalOffset"] {
        out.insert(name.to_owned(), json!(rest.long()?));
    }
    let sys_flag = rest.int()?;
    out.insert("sysFlag".to_owned(), json!(sys_flag));
    out.insert("bornMillis".to_owned(), json!(rest.long()?));
    out.insert("bornHost".to_owned(), json!(host(&mut rest, sys_flag & 0x10 != 0)?));
    out.insert("storeMillis".to_owned(), json!(rest.long()?));
    out.insert("storeHost".to_owned(), json!(host(&mut rest, sys_flag & 0x20 != 0)?));
    out.insert("reconsumeTimes".to_owned(), json!(rest.int()?));
    out.insert("preparedTransactionOffset".to_owned(), json!(rest.long()?));
    let body = rest.sized()?;
    out.insert("bodyLength".to_owned(), json!(body.len()));
    out.insert("bodyText".to_owned(), json!(super::frame::text(body)));
    let length = if version == "v1" { rest.byte()? } else { rest.short()? };
    let topic = rest.take(usize::try_from(length)?)?;
    out.insert("topic".to_owned(), json!(std::str::from_utf8(topic)?));
    let length = rest.short()?;
    let properties = std::str::from_utf8(rest.take(usize::try_from(length)?)?)?;
    out.insert("properties".to_owned(), properties_map(properties));
    out.insert("propertiesText".to_owned(), json!(properties));
    ensure!(rest.0.is_empty(), "{} bytes behind the record", rest.0.len());
    Ok(Value::Object(out))
}

fn host(rest: &mut Reader<'_>, ipv6: bool) -> anyhow::Result<String> {
    Ok(if ipv6 {
        let address: [u8; 16] = rest.take(16)?.try_into()?;
        format!("[{}]:{}", std::net::Ipv6Addr::from(address), rest.int()?)
    } else {
        let address: [u8; 4] = rest.take(4)?.try_into()?;
        format!("{}:{}", std::net::Ipv4Addr::from(address), rest.int()?)
    })
}

fn properties_map(text: &str) -> Value {
    text.split('\u{2}')
        .filter_map(|pair| pair.split_once('\u{1}'))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}
