//! Requests that a broker sends to its clients.

use gantry_model::{Millis, PhysicalOffset, QueueId, QueueOffset};

use super::headers;
use crate::wire::MaybeNegative;

headers! {
    /// CHECK_TRANSACTION_STATE: what became of this half message? Oneway; answered by END_TRANSACTION.
    pub struct CheckTransactionState<'a> {
        /// The topic of the message.
        b"topic" topic: Option<&'a str>,
        /// The half message's place in its queue.
        b"tranStateTableOffset" tran_state_table_offset: QueueOffset,
        /// The half message's place in the log.
        b"commitLogOffset" commit_log_offset: PhysicalOffset,
        /// The half message's UNIQ_KEY.
        b"msgId" msg_id: Option<&'a str>,
        /// The same.
        b"transactionId" transaction_id: Option<&'a str>,
        /// The half message's offset id.
        b"offsetMsgId" offset_msg_id: Option<&'a str>,
        /// The broker that asks.
        b"bname" broker_name: Option<&'a str>,
    }

    /// NOTIFY_CONSUMER_IDS_CHANGED: share the queues anew. Oneway.
    pub struct NotifyConsumerIdsChanged<'a> {
        /// The group whose members changed.
        b"consumerGroup" consumer_group: &'a str,
    }

    /// RESET_CONSUMER_CLIENT_OFFSET (oneway), and INVOKE_BROKER_TO_RESET_OFFSET at the broker.
    pub struct ResetOffset<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The group.
        b"group" group: &'a str,
        /// The time to go to; negative is now.
        b"timestamp" timestamp: MaybeNegative<Millis>,
        /// Whether offsets may also go forward.
        b"isForce" is_force: bool,
        /// One queue; negative or absent is all of them.
        b"queueId" queue_id: Option<MaybeNegative<QueueId>>,
        /// The offset to go to, if one queue is meant.
        b"offset" offset: Option<MaybeNegative<QueueOffset>>,
    }

    /// GET_CONSUMER_STATUS_FROM_CLIENT, and INVOKE_BROKER_TO_GET_CONSUMER_STATUS at the broker.
    pub struct GetConsumerStatus<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The group.
        b"group" group: &'a str,
        /// One client; absent is all of them.
        b"clientAddr" client_addr: Option<&'a str>,
    }

    /// GET_CONSUMER_RUNNING_INFO, which the broker passes on from an administrator.
    pub struct GetConsumerRunningInfo<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
        /// The client.
        b"clientId" client_id: &'a str,
        /// Whether the stacks of its threads are wanted.
        b"jstackEnable" jstack_enable: bool,
    }

    /// CONSUME_MESSAGE_DIRECTLY, which the broker passes on from an administrator.
    pub struct ConsumeMessageDirectly<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
        /// The client.
        b"clientId" client_id: Option<&'a str>,
        /// The message's offset id.
        b"msgId" msg_id: Option<&'a str>,
        /// The broker that has the message.
        b"brokerName" broker_name: Option<&'a str>,
        /// The message's topic.
        b"topic" topic: Option<&'a str>,
        /// Bits of the topic.
        b"topicSysFlag" topic_sys_flag: Option<i32>,
        /// Bits of the group.
        b"groupSysFlag" group_sys_flag: Option<i32>,
    }

    /// PUSH_REPLY_MESSAGE_TO_CLIENT: the answer to a request-reply message.
    pub struct PushReplyMessage<'a> {
        /// The group that replied.
        b"producerGroup" producer_group: &'a str,
        /// The reply's topic.
        b"topic" topic: &'a str,
        /// As the replier sent it.
        b"defaultTopic" default_topic: Option<&'a str>,
        /// As the replier sent it.
        b"defaultTopicQueueNums" default_topic_queue_nums: Option<i32>,
        /// As the replier sent it.
        b"queueId" queue_id: MaybeNegative<QueueId>,
        /// Compression and other bits of the body.
        b"sysFlag" sys_flag: i32,
        /// When the replier made the message.
        b"bornTimestamp" born_timestamp: Millis,
        /// The user's own bits.
        b"flag" flag: i32,
        /// The property string.
        b"properties" properties: Option<&'a str>,
        /// How often the message was consumed in vain.
        b"reconsumeTimes" reconsume_times: Option<u32>,
        /// Whether the replier works in a unit of a multi-site set-up.
        b"unitMode" unit_mode: bool,
        /// The replier's address.
        b"bornHost" born_host: Option<&'a str>,
        /// The broker's address.
        b"storeHost" store_host: Option<&'a str>,
        /// When the broker got it.
        b"storeTimestamp" store_timestamp: Option<Millis>,
    }
}
