//! Routes: which brokers have which queues of a topic, and the tables around them.

use std::collections::BTreeMap;

use gantry_model::{BrokerId, Perm};
use serde::{Deserialize, Serialize};

/// The queues of a topic on one broker group (`QueueData`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// The broker group's name.
    pub broker_name: String,
    /// What clients may do.
    pub perm: Perm,
    /// How many queues consumers see.
    pub read_queue_nums: u32,
    /// Bits of the topic.
    pub topic_sys_flag: i32,
    /// How many queues producers see.
    pub write_queue_nums: u32,
}

impl Default for QueueData {
    fn default() -> Self {
        Self {
            broker_name: String::new(),
            perm: Perm::NONE,
            read_queue_nums: 0,
            topic_sys_flag: 0,
            write_queue_nums: 0,
        }
    }
}

/// The replicas of one broker group (`BrokerData`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// Addresses by id; 0 is the master.
    pub broker_addrs: BTreeMap<BrokerId, String>,
    /// The broker group's name.
    pub broker_name: String,
    /// The cluster.
    pub cluster: String,
    /// Whether a slave may stand in for an absent master.
    pub enable_acting_master: bool,
    /// The zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

/// Where a topic is (`TopicRouteData`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRouteData {
    /// The brokers.
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers by broker address; always empty nowadays.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// The topic's order as the NameServer's KV table has it: `broker:queues;…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// The queues.
    pub queue_datas: Vec<QueueData>,
    /// Of static topics: who has which logical queue, by broker group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_queue_mapping_by_broker: Option<BTreeMap<String, TopicQueueMappingInfo>>,
}

/// Which logical queues of a static topic a broker group has (`TopicQueueMappingInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappingInfo {
    /// The broker group's name.
    pub bname: String,
    /// Physical queues by logical ones.
    pub curr_id_map: BTreeMap<i32, i32>,
    /// Whether the mapping is incomplete.
    pub dirty: bool,
    /// The mapping's version.
    pub epoch: i64,
    /// Where it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The topic.
    pub topic: String,
    /// Logical queues in all.
    pub total_queues: i32,
}

/// All brokers and clusters (`ClusterInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Broker groups by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Names of broker groups by cluster.
    pub cluster_addr_table: BTreeMap<String, Vec<String>>,
}

/// The replicas of a broker group (`BrokerMemberGroup`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMemberGroup {
    /// Addresses by id.
    pub broker_addrs: BTreeMap<BrokerId, String>,
    /// The broker group's name.
    pub broker_name: String,
    /// The cluster.
    pub cluster: String,
}

/// The answer to GET_BROKER_MEMBER_GROUP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMemberGroupReply {
    /// The group.
    pub broker_member_group: BrokerMemberGroup,
}

/// Texts by name (`KVTable`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// The texts.
    pub table: BTreeMap<String, String>,
}
