//! Requests of consumers and of whoever looks at offsets and stored messages.

use std::fmt;

use gantry_model::{BrokerId, Millis, PhysicalOffset, QueueId, QueueOffset};

use super::headers;
use crate::wire::{
    FieldWriter, MaybeNegative,
    field::{Field, Refused},
};

headers! {
    /// PULL_MESSAGE and LITE_PULL_MESSAGE.
    pub struct PullMessage<'a> {
        /// The group that pulls.
        b"consumerGroup" consumer_group: &'a str,
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
        /// The first message wanted. A negative one is too small for every queue.
        b"queueOffset" queue_offset: MaybeNegative<QueueOffset>,
        /// Most messages wanted.
        b"maxMsgNums" max_msg_nums: u32,
        /// Bits 1 commit, 2 may be parked, 4 subscription given here, 8 class filter, 16 lite pull.
        b"sysFlag" sys_flag: i32,
        /// What the group has consumed; counts if the commit bit is set.
        b"commitOffset" commit_offset: MaybeNegative<QueueOffset>,
        /// How long the request may be parked.
        b"suspendTimeoutMillis" suspend_timeout: Millis,
        /// The filter expression, if its bit is set.
        b"subscription" subscription: Option<&'a str>,
        /// The version of the subscription that the client has.
        b"subVersion" sub_version: i64,
        /// `TAG` or `SQL92`.
        b"expressionType" expression_type: Option<&'a str>,
        /// Most bytes wanted.
        b"maxMsgBytes" max_msg_bytes: Option<i32>,
        /// Who asks: 0 or absent a client.
        b"requestSource" request_source: Option<i32>,
        /// The client behind a proxy. Java spells it so.
        b"proxyFrowardClientId" proxy_forward_client_id: Option<&'a str>,
    }

    /// The answer to a pull, with any of the codes 0, 19, 20, 21: Java clients need the first four.
    pub struct PullReply {
        /// From which replica to pull next.
        b"suggestWhichBrokerId" suggest_which_broker_id: BrokerId,
        /// Where to pull next.
        b"nextBeginOffset" next_begin_offset: QueueOffset,
        /// The queue's first message.
        b"minOffset" min_offset: QueueOffset,
        /// The queue's end.
        b"maxOffset" max_offset: QueueOffset,
        /// Static topics: what to add to the messages' offsets.
        b"offsetDelta" offset_delta: Option<i64>,
        /// Bits of the topic.
        b"topicSysFlag" topic_sys_flag: Option<i32>,
        /// Bits of the group.
        b"groupSysFlag" group_sys_flag: Option<i32>,
        /// With code 16, what is forbidden: 1 broker, 2 group, 3 topic, 4 broadcast, 5 subscription.
        b"forbiddenType" forbidden_type: Option<i32>,
    }

    /// QUERY_CONSUMER_OFFSET.
    pub struct QueryConsumerOffset<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
        /// Whether a young queue counts as consumed up to 0; absent counts as yes.
        b"setZeroIfNotFound" set_zero_if_not_found: Option<bool>,
    }

    /// The answer to every question for one offset. Negative: there is none.
    pub struct OffsetReply {
        /// The offset.
        b"offset" offset: MaybeNegative<QueueOffset>,
    }

    /// UPDATE_CONSUMER_OFFSET.
    pub struct UpdateConsumerOffset<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
        /// The next message that the group wants. Java stores a negative one as it is.
        b"commitOffset" commit_offset: MaybeNegative<QueueOffset>,
    }

    /// GET_CONSUMER_LIST_BY_GROUP.
    pub struct GetConsumerListByGroup<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
    }

    /// The fields of the answer to HEART_BEAT.
    pub struct HeartbeatReply {
        /// Whether the broker understands heartbeats without subscriptions.
        b"IS_SUPPORT_HEART_BEAT_V2" supports_v2: Option<bool>,
        /// Whether the client must send its subscriptions again.
        b"IS_SUB_CHANGE" sub_changed: Option<bool>,
    }

    /// UNREGISTER_CLIENT.
    pub struct UnregisterClient<'a> {
        /// The client.
        b"clientID" client_id: &'a str,
        /// As a producer of this group.
        b"producerGroup" producer_group: Option<&'a str>,
        /// As a consumer of this group.
        b"consumerGroup" consumer_group: Option<&'a str>,
    }

    /// SEARCH_OFFSET_BY_TIMESTAMP.
    pub struct SearchOffset<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
        /// When it was stored. A negative time lies before everything.
        b"timestamp" timestamp: MaybeNegative<Millis>,
        /// Which of several; absent is `lower`.
        b"boundaryType" boundary: Option<Boundary>,
    }

    /// GET_MAX_OFFSET.
    pub struct GetMaxOffset<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
        /// Whether only what consumers may see counts; absent is yes.
        b"committed" committed: Option<bool>,
    }

    /// GET_MIN_OFFSET and GET_EARLIEST_MSG_STORETIME.
    pub struct OfQueue<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
    }

    /// The answer to GET_EARLIEST_MSG_STORETIME. Negative: the queue is empty.
    pub struct StoreTimeReply {
        /// When the first message was stored.
        b"timestamp" timestamp: MaybeNegative<Millis>,
    }

    /// VIEW_MESSAGE_BY_ID.
    pub struct ViewMessage<'a> {
        /// The topic.
        b"topic" topic: Option<&'a str>,
        /// Where the record is.
        b"offset" offset: PhysicalOffset,
    }

    /// QUERY_MESSAGE: messages by key.
    pub struct QueryMessage<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The key.
        b"key" key: &'a str,
        /// Most messages wanted.
        b"maxNum" max_num: u32,
        /// Stored at this time or later.
        b"beginTimestamp" begin_timestamp: MaybeNegative<Millis>,
        /// Stored at this time or earlier.
        b"endTimestamp" end_timestamp: MaybeNegative<Millis>,
        /// Whether the key is a UNIQ_KEY.
        b"_UNIQUE_KEY_QUERY" unique_key: bool,
        /// Of newer clients: which index.
        b"indexType" index_type: Option<&'a str>,
    }

    /// The answer to QUERY_MESSAGE.
    pub struct QueryMessageReply {
        /// When the index was last written.
        b"indexLastUpdateTimestamp" index_last_update_timestamp: Millis,
        /// Up to where the log is indexed.
        b"indexLastUpdatePhyoffset" index_last_update_phyoffset: PhysicalOffset,
    }
}

/// `BoundaryType`: which message a time stands for, if none was stored just then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// The first one at this time or later.
    #[default]
    Lower,
    /// The last one at this time or earlier.
    Upper,
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
        })
    }
}

/// Java takes everything but "upper" for "lower".
impl Field<'_> for Boundary {
    fn parse(value: &[u8]) -> Result<Self, Refused> {
        Ok(if value.eq_ignore_ascii_case(b"upper") { Self::Upper } else { Self::Lower })
    }

    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
        out.text(name, &self.to_string());
    }
}
