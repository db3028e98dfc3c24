//! Topic: a topic on all broker groups of a cluster.

#![expect(
    clippy::duplicated_attributes,
    reason = "kube's printcolumn attributes each have a type_, which the lint takes for repetitions"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Adoption, Claim, ClusterRef, Conditions, DeletionPolicy, DriftPolicy, schema::Rule};
use crate::condition;

/// What an object's own name must be: a CEL rule and the sentence for those who break it.
pub(super) const NAME_RULE: Rule = Rule {
    rule: "has(self.spec.topicName) || (self.metadata.name.size() <= 127 && !self.metadata.name.contains('.'))",
    message: "metadata.name is no legal topic name (at most 127 characters, no dots): give the name in spec.topicName",
};

/// What a topic shall be, on each broker group of its cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "rocketmq.gantry.rs",
    version = "v1alpha1",
    kind = "Topic",
    plural = "topics",
    shortname = "rmt",
    category = "rocketmq",
    namespaced,
    status = "TopicStatus",
    derive = "PartialEq",
    doc = "A topic on the brokers of a BrokerCluster.",
    scale(spec_replicas_path = ".spec.queues", status_replicas_path = ".status.queues"),
    printcolumn(name = "Topic", type_ = "string", json_path = ".status.topicName"),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name"),
    printcolumn(name = "Queues", type_ = "integer", json_path = ".status.queues"),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Synced')].status"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)",
        "fieldPath": ".topicName",
        "message": "topicName cannot be changed: create another Topic"
    },
    {
        "rule": "self.clusterRef.name == oldSelf.clusterRef.name",
        "fieldPath": ".clusterRef",
        "message": "clusterRef cannot be changed: create another Topic"
    },
    {
        "rule": "self.queues >= oldSelf.queues",
        "fieldPath": ".queues",
        "message": "queues cannot be lowered in this version, messages in the removed queues would be lost: keep the number, or create another Topic"
    }
]))]
pub struct TopicSpec {
    /// The cluster whose brokers have the topic. Immutable.
    pub cluster_ref: ClusterRef,
    /// The topic's name on the brokers. Default: metadata.name. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 127),
        regex(pattern = r"^[%|a-zA-Z0-9_-]+$"),
        extend("x-kubernetes-validations" = [
            {
                "rule": "!(self in ['TBW102', 'SCHEDULE_TOPIC_XXXX', 'BenchmarkTest', 'SELF_TEST_TOPIC', 'OFFSET_MOVED_EVENT', 'TRANS_CHECK_MAX_TIME_TOPIC', 'CHECKPOINT_TOPIC']) && !self.startsWith('RMQ_SYS_') && !self.startsWith('rmq_sys_')",
                "message": "this is a topic of the broker itself: choose another name"
            },
            {
                "rule": "!self.startsWith('%RETRY%') && !self.startsWith('%DLQ%')",
                "message": "retry and dead-letter topics belong to a consumer group: declare a ConsumerGroup"
            }
        ])
    )]
    pub topic_name: Option<String>,
    /// Queues on each broker group, 1 to 1024. `kubectl scale` raises it; it cannot be lowered yet.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1024))]
    pub queues: u32,
    /// What clients may do with the topic. Default: ReadWrite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<TopicPermission>,
    /// What happens to the topic and its messages when this object is deleted. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// What to do if the brokers have the topic already. Default: AdoptIfMatching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// What to do if somebody else changes the topic. Default: Correct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,
}

const fn eight() -> u32 {
    8
}

/// What clients may do with a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TopicPermission {
    /// Send and consume.
    #[default]
    ReadWrite,
    /// Consume only.
    ReadOnly,
    /// Send only.
    WriteOnly,
    /// Nothing.
    None,
}

/// What a topic is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Synced, DriftDetected and Conflict always; Reconciling and Stalled while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The topic's name on the brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// How the topic came to belong to this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Queues on each broker group that producers and consumers use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<u32>,
    /// The topic on each broker group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["brokerGroup"]))]
    pub groups: Vec<TopicGroupStatus>,
    /// Since when consumers can read the queues that producers may not yet use, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable_since: Option<String>,
}

impl Conditions for TopicStatus {
    const TYPES: &'static [&'static str] =
        &[condition::READY, condition::SYNCED, condition::DRIFT_DETECTED, condition::CONFLICT];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// The topic on one broker group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicGroupStatus {
    /// The brokerName.
    pub broker_group: String,
    /// Queues that consumers read.
    pub read_queues: u32,
    /// Queues that producers write.
    pub write_queues: u32,
    /// Permission bits: 4 read, 2 write.
    pub perm: u32,
}
