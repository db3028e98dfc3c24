//! Clients: who is connected, and what a consumer says of itself when it is asked.

use std::collections::BTreeMap;

use gantry_model::Millis;
use serde::{Deserialize, Serialize};

use super::{
    ConsumeFromWhere, ConsumeType, MessageModel, MessageQueue, SubscriptionData, queue::by_queue,
};

/// The clients that consume for a group: GET_CONSUMER_LIST_BY_GROUP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerIdList {
    /// Their ids.
    pub consumer_id_list: Vec<String>,
}

/// A subscription whose expression is to be checked (`CheckClientRequestBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientRequest {
    /// The client.
    pub client_id: String,
    /// The group.
    pub group: String,
    /// A namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The subscription.
    pub subscription_data: SubscriptionData,
}

/// A client's connection (`Connection`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionInfo {
    /// Its address.
    pub client_addr: String,
    /// The client.
    pub client_id: String,
    /// The name of its language.
    pub language: String,
    /// The ordinal of its version.
    pub version: i32,
}

/// A group's members (`ConsumerConnection`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// Their connections.
    pub connection_set: Vec<ConnectionInfo>,
    /// Where the group began.
    pub consume_from_where: ConsumeFromWhere,
    /// Who asks for messages.
    pub consume_type: ConsumeType,
    /// Who gets a message.
    pub message_model: MessageModel,
    /// What they consume, by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// A producer group's members (`ProducerConnection`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    /// Their connections.
    pub connection_set: Vec<ConnectionInfo>,
}

/// All producers (`ProducerTableInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerTable {
    /// By group.
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}

/// A producer (`ProducerInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    /// The client.
    pub client_id: String,
    /// The name of its language.
    pub language: String,
    /// When it was last heard of.
    pub last_update_timestamp: Millis,
    /// Its address, behind a slash as Java writes it.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// The ordinal of its version.
    pub version: i32,
}

/// What a consumer does (`ConsumerRunningInfo`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerRunningInfo {
    /// The stacks of its threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jstack: Option<String>,
    /// Queues that it pops from.
    #[serde(with = "by_queue")]
    pub mq_pop_table: BTreeMap<MessageQueue, PopProcessQueueInfo>,
    /// Queues that it pulls from.
    #[serde(with = "by_queue")]
    pub mq_table: BTreeMap<MessageQueue, ProcessQueueInfo>,
    /// Its settings.
    pub properties: BTreeMap<String, String>,
    /// Its rates, by topic.
    pub status_table: BTreeMap<String, ConsumeStatus>,
    /// What it consumes.
    pub subscription_set: Vec<SubscriptionData>,
    /// What the application says.
    pub user_consumer_info: BTreeMap<String, String>,
}

/// A queue that a consumer pulls from (`ProcessQueueInfo`). Java's spelling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "Java's names say all that is known of them")]
pub struct ProcessQueueInfo {
    pub cached_msg_count: i32,
    pub cached_msg_max_offset: i64,
    pub cached_msg_min_offset: i64,
    #[serde(rename = "cachedMsgSizeInMiB")]
    pub cached_msg_size_in_mib: i64,
    pub commit_offset: i64,
    #[serde(alias = "dropped")]
    pub droped: bool,
    pub last_consume_timestamp: i64,
    pub last_lock_timestamp: i64,
    pub last_pull_timestamp: i64,
    pub locked: bool,
    pub transaction_msg_count: i32,
    pub transaction_msg_max_offset: i64,
    pub transaction_msg_min_offset: i64,
    pub try_unlock_times: i64,
}

/// A queue that a consumer pops from (`PopProcessQueueInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PopProcessQueueInfo {
    /// Whether it is given up. Java's spelling.
    pub droped: bool,
    /// When it was last popped from.
    pub last_pop_timestamp: i64,
    /// Messages that are not acknowledged.
    pub wait_ack_count: i32,
}

/// A consumer's rates for one topic (`ConsumeStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumeStatus {
    /// Messages that failed in the last hour.
    #[serde(rename = "consumeFailedMsgs")]
    pub consume_failed_msgs: i64,
    /// Messages a second that failed.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages a second that succeeded.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// Milliseconds to consume.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// Milliseconds to pull.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages pulled a second.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

/// How the consumption of one message went (`ConsumeMessageDirectlyResult`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeMessageDirectlyResult {
    /// Of orderly consumption.
    pub auto_commit: bool,
    /// The outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consume_result: Option<ConsumeResult>,
    /// Whether the consumer is orderly.
    pub order: bool,
    /// What was thrown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// Milliseconds it took. Java's spelling.
    pub spent_time_mills: i64,
}

/// The outcome of consuming one message (`CMResult`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsumeResult {
    /// Consumed.
    CrSuccess,
    /// To be consumed again.
    CrLater,
    /// Orderly: rolled back.
    CrRollback,
    /// Orderly: committed.
    CrCommit,
    /// The application threw.
    CrThrowException,
    /// The application returned nothing.
    CrReturnNull,
}
