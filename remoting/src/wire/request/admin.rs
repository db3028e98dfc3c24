//! What administrators ask of a broker: topics, groups, clients, statistics, settings.

use gantry_model::{Perm, PhysicalOffset, QueueId, QueueOffset};

use super::headers;
use crate::wire::MaybeNegative;

headers! {
    /// UPDATE_AND_CREATE_TOPIC.
    pub struct CreateTopic<'a> {
        /// The topic, unchecked.
        b"topic" topic: &'a str,
        /// The topic whose settings a new one inherits.
        b"defaultTopic" default_topic: Option<&'a str>,
        /// How many queues consumers see.
        b"readQueueNums" read_queue_nums: u32,
        /// How many queues producers see.
        b"writeQueueNums" write_queue_nums: u32,
        /// What clients may do.
        b"perm" perm: Perm,
        /// `SINGLE_TAG` or `MULTI_TAG`.
        b"topicFilterType" topic_filter_type: Option<&'a str>,
        /// Bits of the topic.
        b"topicSysFlag" topic_sys_flag: Option<i32>,
        /// Whether the topic's order is declared in the NameServer's KV table.
        b"order" order: bool,
        /// Changes of attributes: `+k=v,+k2=v2,-k3`.
        b"attributes" attributes: Option<&'a str>,
        /// Whether checks are skipped.
        b"force" force: bool,
    }

    /// DELETE_TOPIC_IN_BROKER, GET_TOPIC_CONFIG, GET_TOPIC_STATS_INFO, QUERY_TOPIC_CONSUME_BY_WHO.
    pub struct OfTopic<'a> {
        /// The topic.
        b"topic" topic: &'a str,
    }

    /// GET_ALL_TOPIC_CONFIG. Old peers send no field and want all topics at once.
    pub struct GetAllTopicConfig<'a> {
        /// From which topic on.
        b"topicSeq" topic_seq: Option<u32>,
        /// The version that the caller has, as JSON.
        b"dataVersion" data_version: Option<&'a str>,
        /// Most topics wanted.
        b"maxTopicNum" max_topic_num: Option<u32>,
    }

    /// The answer to GET_ALL_TOPIC_CONFIG.
    pub struct GetAllTopicConfigReply {
        /// Topics in all.
        b"totalTopicNum" total_topic_num: Option<u32>,
    }

    /// The answer to GET_BROKER_CONFIG.
    pub struct GetBrokerConfigReply<'a> {
        /// The settings' version, as JSON.
        b"version" version: Option<&'a str>,
    }

    /// GET_ALL_SUBSCRIPTIONGROUP_CONFIG. Old peers send no field and want all groups at once.
    pub struct GetAllSubscriptionGroup<'a> {
        /// From which group on.
        b"groupSeq" group_seq: Option<u32>,
        /// The version that the caller has, as JSON.
        b"dataVersion" data_version: Option<&'a str>,
        /// Most groups wanted.
        b"maxGroupNum" max_group_num: Option<u32>,
    }

    /// The answer to GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
    pub struct GetAllSubscriptionGroupReply {
        /// Groups in all.
        b"totalGroupNum" total_group_num: Option<u32>,
    }

    /// GET_SUBSCRIPTIONGROUP_CONFIG and QUERY_TOPICS_BY_CONSUMER.
    pub struct OfGroup<'a> {
        /// The group.
        b"group" group: &'a str,
    }

    /// DELETE_SUBSCRIPTIONGROUP.
    pub struct DeleteSubscriptionGroup<'a> {
        /// The group.
        b"groupName" group_name: &'a str,
        /// Whether its offsets go too.
        b"cleanOffset" clean_offset: bool,
    }

    /// GET_CONSUMER_CONNECTION_LIST.
    pub struct GetConsumerConnectionList<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
    }

    /// GET_PRODUCER_CONNECTION_LIST.
    pub struct GetProducerConnectionList<'a> {
        /// The group.
        b"producerGroup" producer_group: &'a str,
    }

    /// GET_CONSUME_STATS.
    pub struct GetConsumeStats<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
        /// One topic; absent is all that the group consumes.
        b"topic" topic: Option<&'a str>,
        /// Several topics, with semicolons between.
        b"topicList" topic_list: Option<&'a str>,
    }

    /// GET_BROKER_CONSUME_STATS.
    pub struct GetBrokerConsumeStats {
        /// Whether groups that consume in order are meant, or the others.
        b"isOrder" is_order: bool,
    }

    /// QUERY_SUBSCRIPTION_BY_CONSUMER.
    pub struct QuerySubscriptionByConsumer<'a> {
        /// The group.
        b"group" group: &'a str,
        /// The topic.
        b"topic" topic: Option<&'a str>,
    }

    /// QUERY_CONSUME_TIME_SPAN.
    pub struct QueryConsumeTimeSpan<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The group.
        b"group" group: &'a str,
    }

    /// QUERY_CORRECTION_OFFSET.
    pub struct QueryCorrectionOffset<'a> {
        /// Groups to compare with, with commas between.
        b"filterGroups" filter_groups: Option<&'a str>,
        /// The group that is compared.
        b"compareGroup" compare_group: &'a str,
        /// The topic.
        b"topic" topic: &'a str,
    }

    /// CLONE_GROUP_OFFSET.
    pub struct CloneGroupOffset<'a> {
        /// From this group.
        b"srcGroup" src_group: &'a str,
        /// To this group.
        b"destGroup" dest_group: &'a str,
        /// One topic; absent is all.
        b"topic" topic: Option<&'a str>,
        /// Whether the source may be offline.
        b"offline" offline: bool,
    }

    /// VIEW_BROKER_STATS_DATA.
    pub struct ViewBrokerStatsData<'a> {
        /// What is counted, such as `TOPIC_PUT_NUMS`.
        b"statsName" stats_name: &'a str,
        /// Of what, such as a topic.
        b"statsKey" stats_key: &'a str,
    }

    /// QUERY_CONSUME_QUEUE.
    pub struct QueryConsumeQueue<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// The queue.
        b"queueId" queue_id: QueueId,
        /// From which entry on; negative counts from the end.
        b"index" index: MaybeNegative<QueueOffset>,
        /// Most entries wanted.
        b"count" count: u32,
        /// Whose filter to apply.
        b"consumerGroup" consumer_group: Option<&'a str>,
    }

    /// RESUME_CHECK_HALF_MESSAGE.
    pub struct ResumeCheckHalfMessage<'a> {
        /// The topic.
        b"topic" topic: Option<&'a str>,
        /// The half message's offset id.
        b"msgId" msg_id: &'a str,
    }

    /// UPDATE_AND_GET_GROUP_FORBIDDEN.
    pub struct UpdateGroupForbidden<'a> {
        /// The group.
        b"group" group: &'a str,
        /// The topic.
        b"topic" topic: &'a str,
        /// Whether the group may read it; absent asks only.
        b"readable" readable: Option<bool>,
    }

    /// EXCHANGE_BROKER_HA_INFO, and its answer.
    pub struct ExchangeHaInfo<'a> {
        /// From where slaves replicate.
        b"masterHaAddress" master_ha_address: Option<&'a str>,
        /// What the master has flushed.
        b"masterFlushOffset" master_flush_offset: Option<MaybeNegative<PhysicalOffset>>,
        /// The master's address for clients.
        b"masterAddress" master_address: Option<&'a str>,
    }

    /// RESET_MASTER_FLUSH_OFFSET.
    pub struct ResetMasterFlushOffset {
        /// What the master has flushed.
        b"masterFlushOffset" master_flush_offset: PhysicalOffset,
    }
}
