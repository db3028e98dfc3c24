//! Messages: what a producer sends, and what a consumer gets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gantry_model::properties::{self, PROPERTIES_MAX, name};
use gantry_model::record::Check;
use gantry_model::{
    Millis, OffsetMessageId, PhysicalOffset, Properties, QueueId, QueueOffset, Record, SysFlag,
    Topic,
};

use crate::ClientError;

/// Most bytes of a body, compressed or not: what brokers accept by default.
pub const BODY_MAX: usize = 4 * 1024 * 1024;

/// A message to be sent.
///
/// ```
/// use gantry_client::{Message, Topic};
///
/// let message = Message::new(Topic::new("Orders")?, "paid").tag("paid").key("order-17");
/// # Ok::<(), gantry_client::ClientError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Message {
    pub(crate) topic: Topic,
    pub(crate) body: Bytes,
    pub(crate) flag: i32,
    pub(crate) properties: Vec<(String, String)>,
}

impl Message {
    /// A message with a body and nothing else.
    #[must_use]
    pub fn new(topic: Topic, body: impl Into<Bytes>) -> Self {
        Self { topic, body: body.into(), flag: 0, properties: vec![] }
    }

    /// Where it goes.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// With a tag that subscriptions select by.
    #[must_use]
    pub fn tag(self, tag: &str) -> Self {
        self.property(name::TAGS, tag)
    }

    /// With keys that it can be found by, separated by blanks.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.property(name::KEYS, key)
    }

    /// To be delivered later: level 1 is a second, 18 is two hours.
    #[must_use]
    pub fn delay_level(self, level: u8) -> Self {
        self.property(name::DELAY, &level.to_string())
    }

    /// With bits of the application's own, which are handed to the consumer as they are.
    #[must_use]
    pub fn flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// With a property; a later one of the same name counts.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.retain(|(there, _)| there != name);
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The property string, with a unique key if the message has none; and that key.
    pub(crate) fn encoded(&self) -> Result<(String, String), ClientError> {
        if self.body.len() > BODY_MAX {
            let length = self.body.len();
            return Err(ClientError::Message(format!("a body of {length} bytes")));
        }
        let mut out = Vec::with_capacity(128);
        let there = self.properties.iter().find(|(n, _)| n == name::UNIQ_KEY);
        let key = there.map_or_else(unique_key, |(_, value)| value.clone());
        let own = [(name::UNIQ_KEY, key.as_str()), (name::WAIT, "true")];
        let theirs = self.properties.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        for (name, value) in own.into_iter().chain(theirs) {
            if !properties::append(&mut out, name, value) {
                return Err(ClientError::Message(format!("property {name} is empty or not text")));
            }
        }
        if out.len() > PROPERTIES_MAX {
            let length = out.len();
            return Err(ClientError::Message(format!("properties of {length} bytes")));
        }
        let text = String::from_utf8(out).map_err(|e| ClientError::Message(e.to_string()))?;
        Ok((text, key))
    }
}

/// A message as a broker has stored it.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// Where it was sent.
    pub topic: Topic,
    /// The queue.
    pub queue: QueueId,
    /// Its place in the queue.
    pub offset: QueueOffset,
    /// Its place in the broker's log.
    pub position: PhysicalOffset,
    /// As it was sent: a compressed body is compressed still.
    pub body: Bytes,
    /// The application's own bits.
    pub flag: i32,
    /// Whether the body is compressed, and other bits.
    pub sys_flag: SysFlag,
    /// When the producer made it.
    pub born: Millis,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// When it was stored.
    pub stored: Millis,
    /// The broker that stored it.
    pub store_host: SocketAddr,
    /// How often delivery failed before.
    pub reconsume_times: u32,
    properties: Vec<(String, String)>,
}

impl StoredMessage {
    /// Takes the record at the start of `bytes`; its length comes back too. The body is shared, not
    /// copied, and its checksum is compared.
    pub fn parse(bytes: &Bytes) -> Result<(Self, usize), String> {
        let record = Record::parse(bytes, Check::Crc).map_err(|e| e.to_string())?;
        let topic = Topic::new(record.topic).map_err(|e| e.to_string())?;
        let message = Self {
            topic,
            queue: record.queue,
            offset: record.offset,
            position: record.position,
            body: bytes.slice_ref(record.body),
            flag: record.flag,
            sys_flag: record.sys_flag,
            born: record.born,
            born_host: record.born_host,
            stored: record.stored,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            properties: owned(record.properties),
        };
        Ok((message, record.len))
    }

    /// All records of a pull's body. The first that can't be read is the error.
    pub fn parse_all(body: &Bytes) -> Result<Vec<Self>, String> {
        let mut rest = body.clone();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let (message, length) = Self::parse(&rest)?;
            messages.push(message);
            rest = rest.slice(length.min(rest.len())..);
        }
        Ok(messages)
    }

    /// A property's value.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        let found = self.properties.iter().rev().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All properties, in their order.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.property(name::TAGS)
    }

    /// The keys, separated by blanks.
    #[must_use]
    pub fn keys(&self) -> Option<&str> {
        self.property(name::KEYS)
    }

    /// The producer's id of the message.
    #[must_use]
    pub fn unique_key(&self) -> Option<&str> {
        self.property(name::UNIQ_KEY)
    }

    /// The id that names the broker and the place in its log.
    #[must_use]
    pub fn offset_id(&self) -> OffsetMessageId {
        OffsetMessageId { host: self.store_host, position: self.position }
    }
}

fn owned(properties: Properties<'_>) -> Vec<(String, String)> {
    properties.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A message id in the shape of Java's: 16 bytes in upper-case hexadecimal. Process, time of start
/// and a counter make it unique.
fn unique_key() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    static STARTED: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(since.subsec_nanos()))
    });
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{:08X}{:016X}{count:08X}", std::process::id(), *STARTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_a_key_of_its_own() {
        let message = Message::new(Topic::new("T").unwrap(), "b").tag("a").tag("z");
        let (text, key) = message.encoded().unwrap();
        assert_eq!(key.len(), 32);
        let properties = Properties::new(text.as_bytes());
        assert_eq!(properties.get(name::UNIQ_KEY), Some(key.as_str()));
        assert_eq!(properties.get(name::TAGS), Some("z"));
        assert_ne!(message.encoded().unwrap().1, key);
    }

    #[test]
    fn a_property_that_cannot_be_written_is_refused() {
        let message = Message::new(Topic::new("T").unwrap(), "b").property("a\u{1}", "x");
        assert!(message.encoded().is_err());
    }
}
