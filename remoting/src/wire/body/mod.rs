//! JSON bodies, in the dialect of fastjson 1.2 that the Java side speaks.
//!
//! Reading takes strict JSON and, where that fails, fastjson's liberties: unquoted keys, numbers and
//! objects as keys, single quotes, trailing commas, `null` for an absent value. Writing has two
//! dialects: [`to_fastjson`] with bare numbers and objects as keys, which every Java version reads, and
//! [`to_standard`] for whoever reads only standard JSON. Both are compact: the Go client splits routes
//! as text.
//!
//! Members stand in alphabetical order, as fastjson writes them. Unknown members are ignored.

mod client;
mod fastjson;
mod group;
mod heartbeat;
mod queue;
mod register;
mod route;
mod stats;
mod topic;

pub use client::{
    CheckClientRequest, ConnectionInfo, ConsumeMessageDirectlyResult, ConsumeResult, ConsumeStatus,
    ConsumerConnection, ConsumerIdList, ConsumerRunningInfo, PopProcessQueueInfo, ProcessQueueInfo,
    ProducerConnection, ProducerInfo, ProducerTable,
};
pub use group::{
    GroupConfigList, GroupForbidden, GroupList, GroupRetryPolicy, SimpleSubscription,
    SubscriptionGroupConfig, SubscriptionGroupTable,
};
pub use heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData,
    SubscriptionData,
};
pub use queue::{
    ConsumerStatus, CorrectionOffsets, LockBatch, LockedQueues, MessageQueue, MessageQueueForC,
    OffsetsOfClient, QueueOffsets, QueueOffsetsForC, QueueStatus,
};
pub use register::{Form, INFLATED_MAX, RegisterBrokerBody, RegisteredTopics};
pub use route::{
    BrokerData, BrokerMemberGroup, BrokerMemberGroupReply, ClusterInfo, KvTable, QueueData,
    TopicQueueMappingInfo, TopicRouteData,
};
pub use stats::{
    BrokerStatsData, BrokerStatsItem, ConsumeQueueEntry, ConsumeQueueReply, ConsumeStats,
    ConsumeStatsList, ConsumeTimeSpan, HaClientInfo, HaConnectionInfo, HaRuntimeInfo,
    OffsetWrapper, QueueTimeSpan, SubscriptionReply, TopicOffset, TopicStats,
};
pub use topic::{
    ConsumerOffsetTable, DataVersion, TopicConfig, TopicConfigList, TopicConfigTable,
    TopicFilterType, TopicList,
};

use serde::{Serialize, de::DeserializeOwned};

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is no JSON, not even fastjson's, or a member has a value that its type excludes.
    #[error("the body cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Values are nested deeper than any peer nests them, or an object stands where it cannot.
    #[error("the body is no JSON: unexpected byte at {at}")]
    Syntax {
        /// Bytes from the body's start.
        at: usize,
    },
    /// A compressed body that is none, or that ends early.
    #[error("the body cannot be inflated: {0}")]
    Inflate(#[from] std::io::Error),
    /// A part of a compressed body is longer than allowed, or they are too many.
    #[error("the body is too large when inflated")]
    TooLarge,
    /// A topic's line in a compressed body.
    #[error("the body has a broken topic: {0}")]
    Topic(String),
}

/// Reads a JSON body. An empty one is as good as `{}`: Java sends none for an object of defaults.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    if body.is_empty() {
        return Ok(serde_json::from_slice(b"{}")?);
    }
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    Ok(serde_json::from_slice(&fastjson::normalize(body)?)?)
}

/// Writes a body as fastjson does: numbers and objects as keys stand bare.
pub fn to_fastjson<T: Serialize>(value: &T) -> Vec<u8> {
    fastjson::write(value)
}

/// Writes a body as standard JSON: every key is quoted.
pub fn to_standard<T: Serialize>(value: &T) -> Vec<u8> {
    // The bodies have no key or value that JSON cannot write.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads a number that the Go client writes as a text where Java writes a number.
pub(super) fn numbers<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<i32>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Number {
        Bare(i32),
        Quoted(String),
    }
    let all: Vec<Number> = serde::Deserialize::deserialize(source)?;
    let bare = all.into_iter().map(|number| match number {
        Number::Bare(number) => Ok(number),
        Number::Quoted(text) => text.parse().map_err(serde::de::Error::custom),
    });
    bare.collect()
}
