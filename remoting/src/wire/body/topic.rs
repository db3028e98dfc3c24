//! Topics' settings, and the version that says which of two tables is newer.

use std::collections::BTreeMap;

use gantry_model::{Millis, Perm, QueueId};
use serde::{Deserialize, Serialize};

use super::MessageQueue;
use crate::wire::MaybeNegative;

/// A topic's settings on one broker (`TopicConfig`). Its name is unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Settings by name, such as `message.type`.
    pub attributes: BTreeMap<String, String>,
    /// Whether the topic's order is declared in the NameServer's KV table.
    pub order: bool,
    /// What clients may do.
    pub perm: Perm,
    /// How many queues consumers see.
    pub read_queue_nums: u32,
    /// How a message's tags are read.
    pub topic_filter_type: TopicFilterType,
    /// The name.
    pub topic_name: String,
    /// Bits: 1 unit, 2 has a subscription of a unit.
    pub topic_sys_flag: i32,
    /// How many queues producers see.
    pub write_queue_nums: u32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: Perm::READ_WRITE,
            read_queue_nums: 16,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

/// How a message's tags are read. In practice there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TopicFilterType {
    /// One tag.
    #[default]
    #[serde(rename = "SINGLE_TAG")]
    SingleTag,
    /// Several tags.
    #[serde(rename = "MULTI_TAG")]
    MultiTag,
}

impl TopicFilterType {
    /// Java's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleTag => "SINGLE_TAG",
            Self::MultiTag => "MULTI_TAG",
        }
    }

    /// The type with Java's name; `None` if there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::SingleTag, Self::MultiTag].into_iter().find(|known| known.name() == name)
    }
}

/// Which of two tables is newer. Equal only if all three are; ordered by state version, counter and
/// then time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Changes so far.
    pub counter: u64,
    /// The mastership under which it changed last.
    pub state_version: u64,
    /// When it changed last.
    pub timestamp: Millis,
}

impl DataVersion {
    fn rank(&self) -> (u64, u64, Millis) {
        (self.state_version, self.counter, self.timestamp)
    }

    /// The version after one more change.
    #[must_use]
    pub const fn next(self, now: Millis) -> Self {
        Self { counter: self.counter.saturating_add(1), timestamp: now, ..self }
    }
}

impl PartialOrd for DataVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DataVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// All topics of a broker (`TopicConfigSerializeWrapper`): GET_ALL_TOPIC_CONFIG.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigTable {
    /// Raised by every change.
    pub data_version: DataVersion,
    /// The topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

/// Several topics to create or update (`CreateTopicListRequestBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigList {
    /// The topics.
    pub topic_config_list: Vec<TopicConfig>,
}

/// Names of topics (`TopicList`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// A broker that has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// The names.
    pub topic_list: Vec<String>,
}

/// How far all groups have consumed (`ConsumerOffsetSerializeWrapper`, `consumerOffset.json`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsetTable {
    /// Raised every so many commits.
    pub data_version: DataVersion,
    /// Offsets by `topic@group` and queue.
    pub offset_table: BTreeMap<String, BTreeMap<QueueId, MaybeNegative<gantry_model::QueueOffset>>>,
}

impl MessageQueue {
    /// The queues of a topic on one broker, from 0 on.
    pub fn all_of(
        topic: &str,
        broker_name: &str,
        count: u32,
    ) -> impl Iterator<Item = Self> + use<> {
        let (topic, broker_name) = (topic.to_owned(), broker_name.to_owned());
        (0..count).map(move |queue| Self {
            broker_name: broker_name.clone(),
            queue_id: QueueId(queue),
            topic: topic.clone(),
        })
    }
}
