//! The body of REGISTER_BROKER: a broker's topics with their version, its filter servers, and its parts
//! of static topics.
//!
//! Plain, it is JSON (`RegisterBrokerBody` of Java, before 3.0.11 only its `TopicConfigSerializeWrapper`).
//! Compressed, it is one zlib stream of
//! ```text
//! length (4) DataVersion as JSON
//! topics (4), and for each: length (4) "name readQueues writeQueues perm filterType attributes"
//! length (4) filter servers as a JSON list
//! mappings (4), and for each: length (4) TopicQueueMappingInfo as JSON        brokers from 5.0 on
//! ```
//! All numbers are big-endian. What it inflates to is bounded, and nothing is allocated by a length
//! alone.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    sync::Arc,
};

use serde::Deserialize;

use super::{DataVersion, dialect, queues};
use crate::{
    limits,
    routes::{self, Mapping, Name, Queues},
};

/// The first version whose brokers announce more than topics: 3.0.11.
const WHOLE_BODY_SINCE: i32 = 37;
/// The first version whose compressed registrations end with mappings: 5.0.0.
const MAPPINGS_SINCE: i32 = 413;

/// What a broker announces.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) version: routes::DataVersion,
    pub(crate) topics: Vec<(String, Queues)>,
    pub(crate) filter_servers: Option<Vec<Name>>,
    pub(crate) mappings: Vec<AnnouncedMapping>,
}

/// A part of a static topic.
#[derive(Debug)]
pub(crate) struct AnnouncedMapping {
    pub(crate) topic: String,
    /// The group that serves it.
    pub(crate) group: String,
    pub(crate) mapping: Mapping,
}

/// Why a body cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is no JSON, or not of this shape.
    #[error("Failed to decode the body: {0}")]
    Json(#[from] serde_json::Error),
    /// It does not inflate, or ends too early, or inflates to too much.
    #[error("Failed to decode the compressed body: {0}")]
    Compressed(#[from] io::Error),
    /// A topic's line is not of its shape.
    #[error("Failed to decode the compressed body: {0:?} is no topic")]
    Topic(String),
}

/// Reads what a broker of this library version announces. No body announces no topics.
pub(crate) fn registration(
    body: &[u8],
    is_compressed: bool,
    version: i32,
) -> Result<Announced, BodyError> {
    if body.is_empty() {
        return Ok(Announced::default());
    }
    if version < WHOLE_BODY_SINCE {
        let topics: Topics = dialect::read(body)?;
        return Ok(topics.announced(None));
    }
    if is_compressed {
        return inflate(body, version);
    }
    let whole: Whole = dialect::read(body)?;
    Ok(whole.topic_config_serialize_wrapper.announced(whole.filter_server_list))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    #[serde(default)]
    topic_config_serialize_wrapper: Topics,
    filter_server_list: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Topics {
    #[serde(default)]
    topic_config_table: BTreeMap<String, Topic>,
    #[serde(default)]
    data_version: DataVersion,
    #[serde(default)]
    topic_queue_mapping_info_map: BTreeMap<String, serde_json::Value>,
}

/// `TopicConfig` of Java with its defaults; what the NameServer has no use for is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Topic {
    topic_name: Option<String>,
    read_queue_nums: i64,
    write_queue_nums: i64,
    perm: i64,
    topic_sys_flag: i64,
}

impl Default for Topic {
    fn default() -> Self {
        let (read_queue_nums, write_queue_nums) = (16, 16);
        Self { topic_name: None, read_queue_nums, write_queue_nums, perm: 6, topic_sys_flag: 0 }
    }
}

impl Topics {
    fn announced(self, filter_servers: Option<Vec<String>>) -> Announced {
        let topics = self.topic_config_table.into_iter().map(|(key, t)| {
            let numbers = [t.read_queue_nums, t.write_queue_nums, t.perm, t.topic_sys_flag];
            (t.topic_name.unwrap_or(key), queues(numbers))
        });
        let mappings = self.topic_queue_mapping_info_map.into_iter();
        Announced {
            version: self.data_version.into(),
            topics: topics.collect(),
            filter_servers: filter_servers.map(names),
            mappings: mappings.filter_map(|(topic, value)| mapping(topic, value)).collect(),
        }
    }
}

fn names(texts: Vec<String>) -> Vec<Name> {
    texts.into_iter().map(Name::from).collect()
}

/// A mapping belongs to the group that it names itself.
fn mapping(topic: String, value: serde_json::Value) -> Option<AnnouncedMapping> {
    let group = value.get("bname")?.as_str()?.to_owned();
    Some(AnnouncedMapping { topic, group, mapping: Arc::new(value) })
}

fn inflate(body: &[u8], version: i32) -> Result<Announced, BodyError> {
    let stream = flate2::read::ZlibDecoder::new(body);
    let mut parts = Parts(stream.take(limits::REGISTRATION_BYTES));
    let data_version: DataVersion = dialect::read(&parts.part()?)?;
    let count = parts.number()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        topics.push(topic_line(&parts.part()?)?);
    }
    // As in Java a list that does not parse is none.
    let filter_servers = dialect::read::<Vec<String>>(&parts.part()?).unwrap_or_default();
    let mut mappings = Vec::new();
    if version >= MAPPINGS_SINCE {
        for _ in 0..parts.number()? {
            let value: serde_json::Value = dialect::read(&parts.part()?)?;
            let topic = value.get("topic").and_then(|t| t.as_str()).map(str::to_owned);
            mappings.extend(topic.and_then(|topic| mapping(topic, value)));
        }
    }
    let filter_servers = Some(names(filter_servers));
    Ok(Announced { version: data_version.into(), topics, filter_servers, mappings })
}

struct Parts<R>(io::Take<R>);

impl<R: io::Read> Parts<R> {
    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn part(&mut self) -> io::Result<Vec<u8>> {
        let length = u64::from(self.number()?);
        let mut part = Vec::new();
        let read = self.0.by_ref().take(length).read_to_end(&mut part)?;
        if u64::try_from(read).ok() == Some(length) {
            Ok(part)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn topic_line(line: &[u8]) -> Result<(String, Queues), BodyError> {
    let bad = || BodyError::Topic(String::from_utf8_lossy(line).into_owned());
    let text = std::str::from_utf8(line).map_err(|_| bad())?;
    let mut words = text.split(' ');
    let name = words.next().filter(|name| !name.is_empty()).ok_or_else(bad)?;
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).ok_or_else(bad);
    let (read, write, perm) = (number()?, number()?, number()?);
    Ok((name.to_owned(), queues([read, write, perm, 0])))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use gantry_model::{Millis, Perm};

    use super::*;

    const JSON: &[u8] = br#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":2,"stateVersion":0,"timestamp":7},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":7},"topicConfigTable":{"orders":{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"orders","topicSysFlag":2,"writeQueueNums":4}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{"static":{"bname":"a","currIdMap":{0:1},"epoch":1,"scope":"g","topic":"static","totalQueues":1}}}}"#;

    fn compressed(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        for part in parts {
            out.write_all(part).unwrap();
        }
        out.finish().unwrap()
    }

    fn part(text: &str) -> Vec<u8> {
        let mut part = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        part.extend_from_slice(text.as_bytes());
        part
    }

    fn sample() -> Vec<Vec<u8>> {
        vec![
            part(r#"{"counter":2,"stateVersion":0,"timestamp":7}"#),
            2_u32.to_be_bytes().to_vec(),
            part("orders 8 4 6 SINGLE_TAG {}"),
            part("old 1 1 6 SINGLE_TAG"),
            part(r#"["f:1"]"#),
            1_u32.to_be_bytes().to_vec(),
            part(r#"{"bname":"a","currIdMap":{0:1},"topic":"static"}"#),
        ]
    }

    fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
        parts.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn a_plain_registration_is_read() {
        let announced = registration(JSON, false, 479).unwrap();
        assert_eq!(announced.version.counter, 2);
        assert_eq!(announced.version.timestamp, Millis(7));
        let expected = Queues { read: 8, write: 4, perm: Perm::READ_WRITE, sys_flag: 2 };
        assert_eq!(announced.topics, [("orders".to_owned(), expected)]);
        assert_eq!(announced.filter_servers, Some(vec![]));
        assert_eq!(announced.mappings.len(), 1);
        assert_eq!(announced.mappings[0].mapping["currIdMap"]["0"], 1);
    }

    #[test]
    fn an_old_broker_announces_its_topics_only() {
        let text = br#"{"dataVersion":{"counter":1,"timestamp":2},"topicConfigTable":{"x":{"topicName":"x"}}}"#;
        let announced = registration(text, false, 36).unwrap();
        assert_eq!((announced.version.counter, announced.filter_servers), (1, None));
        assert_eq!(announced.topics[0].1.read, 16);
        assert!(registration(b"", false, 479).unwrap().topics.is_empty());
    }

    #[test]
    fn a_compressed_registration_is_read() {
        let announced = registration(&compressed(&slices(&sample())), true, 479).unwrap();
        assert_eq!(announced.topics.len(), 2);
        assert_eq!(announced.topics[0].1.write, 4);
        assert_eq!(announced.filter_servers, Some(vec!["f:1".into()]));
        assert_eq!(announced.mappings[0].group, "a");
        let before_5 = compressed(&slices(&sample()[..5]));
        assert_eq!(registration(&before_5, true, 400).unwrap().topics.len(), 2);
    }

    #[test]
    fn a_damaged_registration_is_refused() {
        let parts = sample();
        for kept in 0..parts.len() {
            assert!(registration(&compressed(&slices(&parts[..kept])), true, 479).is_err());
        }
        assert!(registration(b"no zlib", true, 479).is_err());
        assert!(registration(b"no json", false, 479).is_err());
        let huge: &[u8] = &u32::MAX.to_be_bytes();
        assert!(registration(&compressed(&[huge]), true, 479).is_err());
        assert!(registration(&compressed(&[&parts[0], huge]), true, 479).is_err());
    }

    #[test]
    fn a_bomb_is_not_inflated_to_its_end() {
        let zeros = vec![b' '; 1 << 20];
        let mut parts: Vec<&[u8]> = vec![b"\x7f\xff\xff\xff"];
        parts.extend(std::iter::repeat_n(&zeros[..], 70));
        let error = registration(&compressed(&parts), true, 479).unwrap_err();
        assert!(matches!(error, BodyError::Compressed(_)), "{error}");
    }
}
