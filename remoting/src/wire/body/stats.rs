//! How far things are: offsets of queues and groups, rates, replication.

use std::collections::BTreeMap;

use gantry_model::{Millis, PhysicalOffset, QueueOffset};
use serde::{Deserialize, Serialize};

use super::{MessageQueue, SubscriptionData, queue::by_queue};
use crate::wire::MaybeNegative;

/// How far a group is behind (`ConsumeStats`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages a second.
    pub consume_tps: f64,
    /// By queue.
    #[serde(with = "by_queue")]
    pub offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
}

/// How far a group is behind in one queue (`OffsetWrapper`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    /// The queue's end.
    pub broker_offset: MaybeNegative<QueueOffset>,
    /// What the group has committed.
    pub consumer_offset: MaybeNegative<QueueOffset>,
    /// When the last consumed message was stored; 0 if unknown.
    pub last_timestamp: MaybeNegative<Millis>,
    /// What the group has been given.
    pub pull_offset: MaybeNegative<QueueOffset>,
}

impl Default for OffsetWrapper {
    fn default() -> Self {
        Self {
            broker_offset: QueueOffset::ZERO.into(),
            consumer_offset: QueueOffset::ZERO.into(),
            last_timestamp: Millis::ZERO.into(),
            pull_offset: QueueOffset::ZERO.into(),
        }
    }
}

/// Of each group how far it is behind (`ConsumeStatsList`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatsList {
    /// The broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// One map for each group, with one entry for each topic.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages behind, in all.
    pub total_diff: i64,
    /// Messages given and not committed, in all.
    pub total_inflight_diff: i64,
}

/// Where a topic's queues begin and end (`TopicStatsTable`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// By queue.
    #[serde(with = "by_queue")]
    pub offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// Messages stored a second.
    pub topic_put_tps: f64,
}

/// Where one queue begins and ends (`TopicOffset`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// When the last message was stored; 0 if there is none.
    pub last_update_timestamp: MaybeNegative<Millis>,
    /// Its end.
    pub max_offset: MaybeNegative<QueueOffset>,
    /// Its first message.
    pub min_offset: MaybeNegative<QueueOffset>,
}

impl Default for TopicOffset {
    fn default() -> Self {
        Self {
            last_update_timestamp: Millis::ZERO.into(),
            max_offset: QueueOffset::ZERO.into(),
            min_offset: QueueOffset::ZERO.into(),
        }
    }
}

/// Which times a group's offsets stand for (`QueryConsumeTimeSpanBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeTimeSpan {
    /// By queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// Which times a group's offset in one queue stands for (`QueueTimeSpan`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueTimeSpan {
    /// When the message last consumed was stored.
    pub consume_time_stamp: MaybeNegative<Millis>,
    /// How long the group is behind.
    pub delay_time: MaybeNegative<Millis>,
    /// When the queue's last message was stored.
    pub max_time_stamp: MaybeNegative<Millis>,
    /// The queue.
    pub message_queue: MessageQueue,
    /// When the queue's first message was stored.
    pub min_time_stamp: MaybeNegative<Millis>,
}

/// Rates of one thing (`BrokerStatsData`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    /// Of the last day.
    pub stats_day: BrokerStatsItem,
    /// Of the last hour.
    pub stats_hour: BrokerStatsItem,
    /// Of the last minute.
    pub stats_minute: BrokerStatsItem,
}

/// Rates in one span of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerStatsItem {
    /// The average of one.
    pub avgpt: f64,
    /// In all.
    pub sum: i64,
    /// A second.
    pub tps: f64,
}

/// The entries of a queue (`QueryConsumeQueueResponseBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueReply {
    /// What the broker knows of the group's filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// The queue's end.
    pub max_queue_index: QueueOffset,
    /// The queue's first entry.
    pub min_queue_index: QueueOffset,
    /// The entries.
    pub queue_data: Vec<ConsumeQueueEntry>,
    /// The group's subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

/// One entry of a queue (`ConsumeQueueData`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueEntry {
    /// Of the extended queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_map: Option<String>,
    /// Whether the group's filter lets it pass.
    pub eval: bool,
    /// Of the extended queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_data_json: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Where the record is.
    pub physic_offset: PhysicalOffset,
    /// Bytes of the record.
    pub physic_size: u32,
    /// The hash of its tag.
    pub tags_code: i64,
}

/// A group's subscription to a topic (`QuerySubscriptionResponseBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionReply {
    /// The group.
    pub group: String,
    /// The subscription; absent if nobody of the group is online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// How replication goes (`HARuntimeInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaRuntimeInfo {
    /// Of a slave: its link to the master.
    pub ha_client_runtime_info: HaClientInfo,
    /// Of a master: its links to slaves.
    pub ha_connection_info: Vec<HaConnectionInfo>,
    /// Slaves in the in-sync set.
    pub in_sync_slave_nums: u32,
    /// Whether this is a master.
    pub master: bool,
    /// The end of the master's log.
    pub master_commit_log_max_offset: PhysicalOffset,
}

/// A master's link to a slave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaConnectionInfo {
    /// The slave's address.
    pub addr: String,
    /// Bytes that it is behind.
    pub diff: i64,
    /// Whether it is in the in-sync set.
    pub in_sync: bool,
    /// What it has acknowledged.
    pub slave_ack_offset: i64,
    /// Where its transfer stands.
    pub transfer_from_where: i64,
    /// Bytes a second.
    pub transferred_byte_in_second: i64,
}

/// A slave's link to its master.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaClientInfo {
    /// When something last came.
    pub last_read_timestamp: i64,
    /// When something last went.
    pub last_write_timestamp: i64,
    /// The master's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_addr: Option<String>,
    /// What the master has flushed.
    pub master_flush_offset: i64,
    /// The end of the slave's log.
    pub max_offset: i64,
    /// Bytes a second.
    pub transferred_byte_in_second: i64,
}
