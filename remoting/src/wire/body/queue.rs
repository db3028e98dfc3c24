//! Queues, their locks, and tables of offsets by queue, whose keys are objects in fastjson's dialect.

use std::{collections::BTreeMap, fmt};

use gantry_model::{QueueId, QueueOffset};
use serde::{Deserialize, Serialize};

use crate::wire::MaybeNegative;

/// One queue of a topic on one broker (`MessageQueue`). Names are unchecked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    /// The broker group's name.
    pub broker_name: String,
    /// The queue.
    pub queue_id: QueueId,
    /// The topic.
    pub topic: String,
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.topic, self.broker_name, self.queue_id)
    }
}

/// A table whose keys are [`MessageQueue`]s: each key is the text of its JSON, which the fastjson
/// writer puts down bare and its reader turns back into a text.
pub(super) mod by_queue {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    use super::MessageQueue;

    pub(in super::super) fn serialize<V: Serialize, S: Serializer>(
        table: &BTreeMap<MessageQueue, V>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |queue| serde_json::to_string(queue).map_err(ser::Error::custom);
        let texts: Result<Vec<_>, _> = table.keys().map(text).collect();
        out.collect_map(texts?.into_iter().zip(table.values()))
    }

    pub(in super::super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        source: D,
    ) -> Result<BTreeMap<MessageQueue, V>, D::Error> {
        let table: BTreeMap<String, V> = Deserialize::deserialize(source)?;
        let queue = |text: &str| serde_json::from_str(text).map_err(de::Error::custom);
        table.into_iter().map(|(key, value)| Ok((queue(&key)?, value))).collect()
    }
}

/// Queues to lock or unlock for orderly consumption (`LockBatchRequestBody`, `Unlock…`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatch {
    /// Who locks.
    pub client_id: String,
    /// For which group.
    pub consumer_group: String,
    /// The queues.
    pub mq_set: Vec<MessageQueue>,
    /// Whether other brokers of the group need not agree.
    pub only_this_broker: bool,
}

/// The queues that the caller holds now (`LockBatchResponseBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockedQueues {
    /// The queues.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}

/// An offset for each queue (`ResetOffsetBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueOffsets {
    /// The offsets.
    #[serde(with = "by_queue")]
    pub offset_table: BTreeMap<MessageQueue, MaybeNegative<QueueOffset>>,
}

/// The same as a list, for clients in C++ (`ResetOffsetBodyForC`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueOffsetsForC {
    /// The offsets.
    pub offset_table: Vec<MessageQueueForC>,
}

/// A queue and its offset (`MessageQueueForC`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueueForC {
    /// The broker group's name.
    pub broker_name: String,
    /// The offset.
    pub offset: MaybeNegative<QueueOffset>,
    /// The queue.
    pub queue_id: QueueId,
    /// The topic.
    pub topic: String,
}

/// What a client has consumed of each queue (`GetConsumerStatusBody` of a client).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueStatus {
    /// The offsets.
    #[serde(with = "by_queue")]
    pub message_queue_table: BTreeMap<MessageQueue, MaybeNegative<QueueOffset>>,
}

/// What each client of a group has consumed (`GetConsumerStatusBody` of a broker).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatus {
    /// The offsets, by client id.
    pub consumer_table: BTreeMap<String, OffsetsOfClient>,
}

/// The offsets of one client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OffsetsOfClient(
    /// By queue.
    #[serde(with = "by_queue")]
    pub BTreeMap<MessageQueue, MaybeNegative<QueueOffset>>,
);

/// Where groups that are ahead of another stand (`QueryCorrectionOffsetBody`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// Offsets by queue.
    pub correction_offsets: BTreeMap<QueueId, MaybeNegative<QueueOffset>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::body::{parse, to_fastjson};

    #[test]
    fn objects_as_keys_come_back() {
        let text = br#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:-1,{"brokerName":"b","queueId":1,"topic":"t"}:7}}"#;
        let offsets: QueueOffsets = parse(text).unwrap();
        let values: Vec<_> = offsets.offset_table.values().copied().collect();
        assert_eq!(values, [MaybeNegative::Negative(-1), QueueOffset(7).into()]);
        assert_eq!(to_fastjson(&offsets), text);
    }
}
