//! Requests by which clients hand messages in: sends in their three shapes, send-backs, the end of a
//! transaction, recalls. Fields as in Apache RocketMQ's `SendMessageRequestHeader(V2)`,
//! `ConsumerSendMsgBackRequestHeader`, `EndTransactionRequestHeader`, `RecallMessageRequestHeader`.

use gantry_model::{Millis, PhysicalOffset, QueueId, QueueOffset};

use super::headers;
use crate::wire::MaybeNegative;

headers! {
    /// SEND_MESSAGE and SEND_REPLY_MESSAGE: what the Go client sends.
    pub struct SendMessage<'a> {
        /// The group that sends.
        b"producerGroup" producer_group: &'a str,
        /// The topic, unchecked.
        b"topic" topic: &'a str,
        /// The topic whose settings an unknown topic inherits.
        b"defaultTopic" default_topic: Option<&'a str>,
        /// How many queues the client proposes for an unknown topic.
        b"defaultTopicQueueNums" default_topic_queue_nums: Option<i32>,
        /// The queue; a negative one leaves the choice to the broker.
        b"queueId" queue_id: MaybeNegative<QueueId>,
        /// Compression, transaction and other bits of the stored record.
        b"sysFlag" sys_flag: i32,
        /// When the client made the message.
        b"bornTimestamp" born_timestamp: Millis,
        /// The user's own bits, stored as they are.
        b"flag" flag: i32,
        /// The property string.
        b"properties" properties: Option<&'a str>,
        /// How often the message was consumed in vain.
        b"reconsumeTimes" reconsume_times: Option<u32>,
        /// Whether the client works in a unit of a multi-site set-up.
        b"unitMode" unit_mode: bool,
        /// Whether the body is a batch.
        b"batch" batch: bool,
        /// After how many vain attempts the message becomes a dead letter; negative is the default.
        b"maxReconsumeTimes" max_reconsume_times: Option<i32>,
        /// The broker that the client means.
        b"bname" broker_name: Option<&'a str>,
    }

    /// SEND_MESSAGE_V2, SEND_BATCH_MESSAGE, SEND_REPLY_MESSAGE_V2: the same under single letters.
    pub struct SendMessageV2<'a> {
        /// The group that sends.
        b"a" producer_group: &'a str,
        /// The topic, unchecked.
        b"b" topic: &'a str,
        /// The topic whose settings an unknown topic inherits.
        b"c" default_topic: Option<&'a str>,
        /// How many queues the client proposes for an unknown topic.
        b"d" default_topic_queue_nums: Option<i32>,
        /// The queue; a negative one leaves the choice to the broker.
        b"e" queue_id: MaybeNegative<QueueId>,
        /// Compression, transaction and other bits of the stored record.
        b"f" sys_flag: i32,
        /// When the client made the message.
        b"g" born_timestamp: Millis,
        /// The user's own bits, stored as they are.
        b"h" flag: i32,
        /// The property string.
        b"i" properties: Option<&'a str>,
        /// How often the message was consumed in vain.
        b"j" reconsume_times: Option<u32>,
        /// Whether the client works in a unit of a multi-site set-up.
        b"k" unit_mode: bool,
        /// After how many vain attempts the message becomes a dead letter; negative is the default.
        b"l" max_reconsume_times: Option<i32>,
        /// Whether the body is a batch.
        b"m" batch: bool,
        /// The broker that the client means.
        b"n" broker_name: Option<&'a str>,
    }

    /// The answer to each kind of send, also with codes 10, 11 and 12.
    pub struct SendReply<'a> {
        /// The offset id of the stored message; of a batch, all of them with commas between.
        b"msgId" msg_id: &'a str,
        /// The queue that was written.
        b"queueId" queue_id: QueueId,
        /// The message's place in the queue; of a batch, the first one's.
        b"queueOffset" queue_offset: QueueOffset,
        /// The message's UNIQ_KEY.
        b"transactionId" transaction_id: Option<&'a str>,
        /// Of an inner batch.
        b"batchUniqId" batch_uniq_id: Option<&'a str>,
        /// With which a timer message can be recalled.
        b"recallHandle" recall_handle: Option<&'a str>,
        /// The broker's region.
        b"MSG_REGION" region: Option<&'a str>,
        /// Whether clients may trace.
        b"TRACE_ON" trace_on: Option<bool>,
    }

    /// CONSUMER_SEND_MSG_BACK: consume this stored message again, later.
    pub struct ConsumerSendMsgBack<'a> {
        /// Where the record is.
        b"offset" offset: PhysicalOffset,
        /// The group that could not consume it.
        b"group" group: &'a str,
        /// Negative: a dead letter at once; 0: the broker chooses; else the delay level.
        b"delayLevel" delay_level: i32,
        /// The message's id.
        b"originMsgId" origin_msg_id: Option<&'a str>,
        /// The message's topic.
        b"originTopic" origin_topic: Option<&'a str>,
        /// Whether the client works in a unit of a multi-site set-up.
        b"unitMode" unit_mode: bool,
        /// After how many vain attempts the message becomes a dead letter; negative is the default.
        b"maxReconsumeTimes" max_reconsume_times: Option<i32>,
    }

    /// END_TRANSACTION: commit or roll back a half message.
    pub struct EndTransaction<'a> {
        /// The topic of the message.
        b"topic" topic: Option<&'a str>,
        /// The group that sent it.
        b"producerGroup" producer_group: &'a str,
        /// The half message's place in its queue.
        b"tranStateTableOffset" tran_state_table_offset: QueueOffset,
        /// The half message's place in the log.
        b"commitLogOffset" commit_log_offset: PhysicalOffset,
        /// 8 commit, 12 roll back, 0 unknown.
        b"commitOrRollback" commit_or_rollback: i32,
        /// Whether the broker had asked.
        b"fromTransactionCheck" from_transaction_check: bool,
        /// The half message's id.
        b"msgId" msg_id: Option<&'a str>,
        /// The half message's UNIQ_KEY.
        b"transactionId" transaction_id: Option<&'a str>,
    }

    /// RECALL_MESSAGE: cancel a timer message.
    pub struct RecallMessage<'a> {
        /// The group that sent it.
        b"producerGroup" producer_group: Option<&'a str>,
        /// The topic of the message.
        b"topic" topic: &'a str,
        /// The handle of the send's answer.
        b"recallHandle" recall_handle: &'a str,
    }

    /// The answer to RECALL_MESSAGE.
    pub struct RecallReply<'a> {
        /// The recalled message's id.
        b"msgId" msg_id: &'a str,
    }
}

impl<'a> From<SendMessage<'a>> for SendMessageV2<'a> {
    fn from(v1: SendMessage<'a>) -> Self {
        Self {
            producer_group: v1.producer_group,
            topic: v1.topic,
            default_topic: v1.default_topic,
            default_topic_queue_nums: v1.default_topic_queue_nums,
            queue_id: v1.queue_id,
            sys_flag: v1.sys_flag,
            born_timestamp: v1.born_timestamp,
            flag: v1.flag,
            properties: v1.properties,
            reconsume_times: v1.reconsume_times,
            unit_mode: v1.unit_mode,
            max_reconsume_times: v1.max_reconsume_times,
            batch: v1.batch,
            broker_name: v1.broker_name,
        }
    }
}
