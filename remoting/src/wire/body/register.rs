//! What a broker registers with: its topics, plainly as JSON or compressed.
//!
//! The compressed form is a zlib stream of `length i32, DataVersion JSON | count i32, (length i32, topic
//! line)* | length i32, filter servers JSON | count i32, (length i32, TopicQueueMappingInfo JSON)*`. The
//! last part came with 5.0. A topic line is `name read write perm filterType attributes`, with blanks
//! between and the attributes as JSON.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Write},
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use gantry_model::Perm;
use serde::{Deserialize, Serialize};

use super::{
    BodyError, DataVersion, TopicConfig, TopicFilterType, TopicQueueMappingInfo, parse, to_fastjson,
};

/// Most bytes that a compressed body may inflate to: about a million topics.
pub const INFLATED_MAX: u64 = 128 << 20;

/// Most bytes of one part of a compressed body.
const PART_MAX: usize = 4 << 20;

/// The body of REGISTER_BROKER (`RegisterBrokerBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Always empty nowadays.
    pub filter_server_list: Vec<String>,
    /// The topics.
    pub topic_config_serialize_wrapper: RegisteredTopics,
}

/// The topics of a broker as it registers them (`TopicConfigAndMappingSerializeWrapper`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisteredTopics {
    /// Raised by every change.
    pub data_version: DataVersion,
    /// The same of the mappings of static topics.
    pub mapping_data_version: DataVersion,
    /// The topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Of static topics, by name.
    pub topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingInfo>,
}

impl RegisterBrokerBody {
    /// Reads the body of a registration; `compressed` says which form the header announced.
    pub fn read(body: &[u8], form: Form) -> Result<Self, BodyError> {
        match form {
            Form::Plain => parse(body),
            Form::Compressed => inflate(body),
        }
    }

    /// Writes the body of a registration.
    #[must_use]
    pub fn write(&self, form: Form) -> Vec<u8> {
        match form {
            Form::Plain => to_fastjson(self),
            // A Vec takes every byte.
            Form::Compressed => self.deflate().unwrap_or_default(),
        }
    }

    fn deflate(&self) -> io::Result<Vec<u8>> {
        let topics = &self.topic_config_serialize_wrapper;
        let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
        part(&mut out, &to_fastjson(&topics.data_version))?;
        count(&mut out, topics.topic_config_table.len())?;
        for config in topics.topic_config_table.values() {
            part(&mut out, topic_line(config).as_bytes())?;
        }
        part(&mut out, &to_fastjson(&self.filter_server_list))?;
        count(&mut out, topics.topic_queue_mapping_info_map.len())?;
        for mapping in topics.topic_queue_mapping_info_map.values() {
            part(&mut out, &to_fastjson(mapping))?;
        }
        out.finish()
    }
}

/// How the body of a registration is written; the header's `compressed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As JSON.
    Plain,
    /// As a zlib stream.
    Compressed,
}

fn count(out: &mut impl Write, count: usize) -> io::Result<()> {
    // A table of 2^31 topics does not fit into memory.
    out.write_all(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes())
}

fn part(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    count(out, bytes.len())?;
    out.write_all(bytes)
}

fn inflate(body: &[u8]) -> Result<RegisterBrokerBody, BodyError> {
    let stream = ZlibDecoder::new(body).take(INFLATED_MAX);
    let mut parts = Parts { stream: BufReader::new(stream), left: INFLATED_MAX };
    let mut topics =
        RegisteredTopics { data_version: parse(&parts.next()?)?, ..RegisteredTopics::default() };
    for _ in 0..parts.count()? {
        let config = topic_of_line(&parts.next()?)?;
        topics.topic_config_table.insert(config.topic_name.clone(), config);
    }
    // Java, too, goes on without filter servers that it cannot read.
    let filter_server_list = parse(&parts.next()?).unwrap_or_default();
    let mappings = match parts.count() {
        Ok(count) => count,
        Err(BodyError::Inflate(error)) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
        Err(other) => return Err(other),
    };
    for _ in 0..mappings {
        let mapping: TopicQueueMappingInfo = parse(&parts.next()?)?;
        topics.topic_queue_mapping_info_map.insert(mapping.topic.clone(), mapping);
    }
    Ok(RegisterBrokerBody { filter_server_list, topic_config_serialize_wrapper: topics })
}

struct Parts<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Parts<R> {
    /// A count that can be true: each thing takes four bytes or more.
    fn count(&mut self) -> Result<usize, BodyError> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word)?;
        self.left = self.left.saturating_sub(4);
        let count = u32::from_be_bytes(word);
        if u64::from(count) * 4 > self.left {
            return Err(BodyError::TooLarge);
        }
        Ok(count as usize)
    }

    fn next(&mut self) -> Result<Vec<u8>, BodyError> {
        let length = self.count()?;
        if length > PART_MAX {
            return Err(BodyError::TooLarge);
        }
        self.left = self.left.saturating_sub(length as u64);
        // Read as it inflates: a false length costs nothing.
        let mut bytes = Vec::new();
        (&mut self.stream).take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }
}

fn topic_line(config: &TopicConfig) -> String {
    let TopicConfig { topic_name, read_queue_nums, write_queue_nums, perm, .. } = config;
    let (perm, filter) = (perm.bits(), config.topic_filter_type.name());
    let attributes = to_fastjson(&config.attributes);
    let attributes = String::from_utf8_lossy(&attributes);
    format!("{topic_name} {read_queue_nums} {write_queue_nums} {perm} {filter} {attributes}")
}

fn topic_of_line(line: &[u8]) -> Result<TopicConfig, BodyError> {
    let text = String::from_utf8_lossy(line);
    let broken = || BodyError::Topic(text.chars().take(200).collect());
    let mut words = text.splitn(6, ' ');
    let mut word = || words.next().ok_or_else(broken);
    let topic_name = word()?.to_owned();
    let read_queue_nums = word()?.parse().map_err(|_| broken())?;
    let write_queue_nums = word()?.parse().map_err(|_| broken())?;
    let perm: u32 = word()?.parse().map_err(|_| broken())?;
    let topic_filter_type = TopicFilterType::from_name(word()?).ok_or_else(broken)?;
    // Java ignores attributes that it cannot read.
    let attributes = words.next().and_then(|json| parse(json.as_bytes()).ok()).unwrap_or_default();
    Ok(TopicConfig {
        attributes,
        perm: Perm::try_from(perm).map_err(|_| broken())?,
        read_queue_nums,
        topic_filter_type,
        topic_name,
        write_queue_nums,
        ..TopicConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> RegisterBrokerBody {
        let config = TopicConfig {
            topic_name: "Orders".to_owned(),
            read_queue_nums: 4,
            attributes: BTreeMap::from([("message.type".to_owned(), "FIFO".to_owned())]),
            ..TopicConfig::default()
        };
        let mapping = TopicQueueMappingInfo {
            topic: "Static".to_owned(),
            curr_id_map: BTreeMap::from([(0, 1)]),
            ..TopicQueueMappingInfo::default()
        };
        RegisterBrokerBody {
            filter_server_list: vec![],
            topic_config_serialize_wrapper: RegisteredTopics {
                data_version: DataVersion { counter: 3, ..DataVersion::default() },
                topic_config_table: BTreeMap::from([("Orders".to_owned(), config)]),
                topic_queue_mapping_info_map: BTreeMap::from([("Static".to_owned(), mapping)]),
                ..RegisteredTopics::default()
            },
        }
    }

    #[test]
    fn a_registration_comes_back_through_both_forms() {
        for form in [Form::Plain, Form::Compressed] {
            assert_eq!(RegisterBrokerBody::read(&body().write(form), form).unwrap(), body());
        }
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn before_5_0_nothing_follows_the_filter_servers() {
        let old = deflated(b"\0\0\0\x02{}\0\0\0\x01\0\0\0\x11t 8 4 6 MULTI_TAG\0\0\0\x02[]");
        let read = RegisterBrokerBody::read(&old, Form::Compressed).unwrap();
        let topic = &read.topic_config_serialize_wrapper.topic_config_table["t"];
        assert_eq!((topic.read_queue_nums, topic.write_queue_nums), (8, 4));
        assert_eq!(topic.topic_filter_type, TopicFilterType::MultiTag);
    }

    #[test]
    fn a_bomb_is_refused_and_costs_nothing() {
        let cases: [&[u8]; 4] = [
            b"no zlib",
            &deflated(b"\x7f\xff\xff\xff"),
            &deflated(b"\0\0\0\x02{}\x01\xff\xff\xff"),
            &deflated(b"\0\0\0\x02{}\0\0\0\x01\0\0\0\x05Topic"),
        ];
        for bytes in cases {
            assert!(RegisterBrokerBody::read(bytes, Form::Compressed).is_err(), "{bytes:?}");
        }
    }
}
