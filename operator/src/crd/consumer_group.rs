//! ConsumerGroup: a subscription group on all broker groups of a cluster.

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
    rule: "has(self.spec.groupName) || (self.metadata.name.size() <= 120 && !self.metadata.name.contains('.'))",
    message: "metadata.name is no legal group name (at most 120 characters, no dots): give the name in spec.groupName",
};

/// What a consumer group shall be, on each broker group of its cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "rocketmq.gantry.rs",
    version = "v1alpha1",
    kind = "ConsumerGroup",
    plural = "consumergroups",
    shortname = "rmcg",
    category = "rocketmq",
    namespaced,
    status = "ConsumerGroupStatus",
    derive = "PartialEq",
    doc = "A consumer group on the brokers of a BrokerCluster.",
    printcolumn(name = "Group", type_ = "string", json_path = ".status.groupName"),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name"),
    printcolumn(
        name = "Active",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Active')].status"
    ),
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.members"),
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
        "rule": "has(self.groupName) == has(oldSelf.groupName) && (!has(self.groupName) || self.groupName == oldSelf.groupName)",
        "fieldPath": ".groupName",
        "message": "groupName cannot be changed: create another ConsumerGroup"
    },
    {
        "rule": "self.clusterRef.name == oldSelf.clusterRef.name",
        "fieldPath": ".clusterRef",
        "message": "clusterRef cannot be changed: create another ConsumerGroup"
    }
]))]
pub struct ConsumerGroupSpec {
    /// The cluster whose brokers have the group. Immutable.
    pub cluster_ref: ClusterRef,
    /// The group's name on the brokers. Default: metadata.name. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 120),
        regex(pattern = r"^[%|a-zA-Z0-9_-]+$"),
        extend("x-kubernetes-validations" = [{
            "rule": "!self.startsWith('CID_RMQ_SYS_') && !(self in ['TOOLS_CONSUMER', 'FILTERSRV_CONSUMER', 'SELF_TEST_C_GROUP', 'CID_ONS-HTTP-PROXY', 'CID_ONSAPI_PULL', 'CID_ONSAPI_PERMISSION', 'CID_ONSAPI_OWNER'])",
            "message": "this is a group of the broker itself: choose another name"
        }])
    )]
    pub group_name: Option<String>,
    /// Whether members may consume at all. Default: as the broker has it, true for a new group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume_enabled: Option<bool>,
    /// Whether members may consume as broadcast, where each gets every message. Default: as the
    /// broker has it, true for a new group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast_enabled: Option<bool>,
    /// Whether the group may start at the oldest message. Default: as the broker has it, true for a
    /// new group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume_from_min: Option<bool>,
    /// How often a message that could not be consumed is delivered again.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub retry: Retry,
    /// The topics the group consumes, from which its lag is counted also before any member has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topic"]))]
    pub subscriptions: Vec<Subscription>,
    /// Where the lag of a queue begins of which the group has committed no offset. Set it as the
    /// clients' consumeFromWhere is set. Default: Latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<StartFrom>,
    /// What happens to the group and its offsets when this object is deleted. Default: Retain.
    /// DeleteIfEmpty waits until no member is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// What to do if the brokers have the group already. Default: AdoptIfMatching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// What to do if somebody else changes the group. Default: Correct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,
}

/// How a message that could not be consumed is delivered again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Queues of the retry topic on each broker group. Default: as the broker has it, 1 for a new group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub queues: Option<u32>,
    /// Deliveries after the first before a message becomes a dead letter. Default: as the broker has it,
    /// 16 for a new group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_times: Option<u32>,
}

/// A topic that a group consumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// The topic's name on the brokers.
    #[schemars(length(min = 1, max = 127), regex(pattern = r"^[%|a-zA-Z0-9_-]+$"))]
    pub topic: String,
}

/// Where a group begins in a queue of which it has committed no offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StartFrom {
    /// At the end, except that the broker lets new groups begin at the first message of a queue that
    /// still has it.
    #[default]
    Latest,
    /// At the oldest message that is kept.
    Earliest,
}

/// What a consumer group is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerGroupStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Synced, Active, DriftDetected and Conflict always; Reconciling and Stalled while they
    /// are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The group's name on the brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// How the group came to belong to this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Clients of the group that are online, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
}

impl Conditions for ConsumerGroupStatus {
    const TYPES: &'static [&'static str] = &[
        condition::READY,
        condition::SYNCED,
        condition::ACTIVE,
        condition::DRIFT_DETECTED,
        condition::CONFLICT,
    ];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}
