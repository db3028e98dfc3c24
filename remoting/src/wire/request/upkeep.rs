//! What administrators ask of a broker: topics and groups by name, and their settings.

use super::headers;

headers! {
    /// UPDATE_AND_CREATE_TOPIC.
    pub struct CreateTopic<'a> {
        /// The topic, unchecked.
        b"topic" topic: &'a str,
        /// The topic whose settings are the template.
        b"defaultTopic" default_topic: Option<&'a str>,
        /// How many queues consumers see.
        b"readQueueNums" read_queue_nums: u32,
        /// How many queues producers see.
        b"writeQueueNums" write_queue_nums: u32,
        /// What clients may do, 0 to 7.
        b"perm" perm: u32,
        /// `SINGLE_TAG` or `MULTI_TAG`.
        b"topicFilterType" topic_filter_type: Option<&'a str>,
        /// Bits of units.
        b"topicSysFlag" topic_sys_flag: Option<i32>,
        /// Whether the topic's order is declared.
        b"order" order: bool,
        /// Settings: `+name=value,-name`.
        b"attributes" attributes: Option<&'a str>,
    }

    /// What names a topic and nothing else.
    pub struct OfTopic<'a> {
        /// The topic.
        b"topic" topic: &'a str,
    }

    /// What names a group and nothing else.
    pub struct OfGroup<'a> {
        /// The group.
        b"group" group: &'a str,
    }

    /// What names a consumer group and nothing else.
    pub struct OfConsumerGroup<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
    }

    /// DELETE_SUBSCRIPTIONGROUP.
    pub struct DeleteGroup<'a> {
        /// The group.
        b"groupName" group_name: &'a str,
        /// Whether its offsets go too.
        b"cleanOffset" clean_offset: bool,
    }

    /// GET_CONSUME_STATS.
    pub struct GetConsumeStats<'a> {
        /// The group.
        b"consumerGroup" consumer_group: &'a str,
        /// Only this topic.
        b"topic" topic: Option<&'a str>,
        /// Only these topics, with `;` between.
        b"topicList" topic_list: Option<&'a str>,
    }
}
