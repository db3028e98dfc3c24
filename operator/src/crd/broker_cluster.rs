//! BrokerCluster: NameServers and broker groups that belong together.

#![expect(
    clippy::duplicated_attributes,
    reason = "kube's printcolumn attributes each have a type_, which the lint takes for repetitions"
)]

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::Toleration,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Condition},
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Conditions, schema::Rule};
use crate::condition;

/// What an object's own name must be: a CEL rule and the sentence for those who break it.
pub(super) const NAME_RULE: Rule = Rule {
    rule: "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message: "metadata.name becomes the name of Services: write at most 40 lower-case letters, digits and '-', beginning with a letter",
};

/// What a RocketMQ cluster shall be: its NameServers, its broker groups and their storage.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "rocketmq.gantry.rs",
    version = "v1alpha1",
    kind = "BrokerCluster",
    plural = "brokerclusters",
    shortname = "brc",
    category = "rocketmq",
    namespaced,
    status = "BrokerClusterStatus",
    derive = "PartialEq",
    doc = "A RocketMQ cluster: NameServers and broker groups.",
    scale(
        spec_replicas_path = ".spec.brokers.groups",
        status_replicas_path = ".status.brokers.groups",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".spec.brokers.groups"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.brokers.readyGroups"),
    printcolumn(name = "Masters", type_ = "integer", json_path = ".status.brokers.masters"),
    printcolumn(
        name = "Writes",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='WritesAvailable')].status"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        json_path = ".status.nameServers.endpoint",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.clusterName) == has(oldSelf.clusterName) && (!has(self.clusterName) || self.clusterName == oldSelf.clusterName)",
    "message": "clusterName cannot be changed, the brokers' data and the clients know it: create another BrokerCluster"
}]))]
pub struct BrokerClusterSpec {
    /// The name clients and tools see (brokerClusterName). Default: metadata.name. Brokers are called
    /// `<clusterName>-<n>`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub cluster_name: Option<String>,
    /// When images are pulled. Default: as Kubernetes does for the image's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the namespace with which images are pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<PullSecret>,
    /// The NameServers.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub name_servers: NameServers,
    /// The broker groups.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub brokers: Brokers,
    /// Budget for voluntary disruptions of NameServers and brokers. Default: Enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<DisruptionBudget>,
}

/// When a container's image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// At each start of a container.
    Always,
    /// Only if the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// Whether voluntary disruptions are limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DisruptionBudget {
    /// At most one NameServer and one broker group are drained at a time.
    #[default]
    Enabled,
    /// No PodDisruptionBudget is made.
    Disabled,
}

/// A Secret by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullSecret {
    /// Name of a Secret of type kubernetes.io/dockerconfigjson in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The NameServers: stateless, each knows every broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameServers {
    /// How many, 1 to 7. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub replicas: Option<u8>,
    /// The container image, as in a Pod. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// CPU and memory of each. Default: requests of 50m and 32Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// What the pods get besides.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub template: PodTemplate,
}

/// The broker groups. Each is one broker with its own volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.slavesPerGroup) || self.slavesPerGroup == 0",
        "fieldPath": ".slavesPerGroup",
        "message": "replication is not available in this version: leave slavesPerGroup out or write 0 (each group is then one broker, and its messages are as safe as its volume)"
    },
    {
        "rule": "!has(self.groups) || !has(oldSelf.groups) || self.groups >= oldSelf.groups",
        "fieldPath": ".groups",
        "message": "groups cannot be lowered in this version, the messages of a removed group would be lost: keep the number, or move to a new BrokerCluster"
    }
]))]
pub struct Brokers {
    /// How many groups, 1 to 128. `kubectl scale` raises it; it cannot be lowered yet.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 128))]
    pub groups: u32,
    /// Slaves in each group. Only 0 until replication is there. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4))]
    pub slaves_per_group: Option<u32>,
    /// The container image, as in a Pod. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When a message counts as stored. Default: Async.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<Flush>,
    /// Further properties of broker.conf. A change restarts one group after the other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config_schema")]
    pub config: BTreeMap<String, String>,
    /// The volume of each broker.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub storage: Storage,
    /// How long messages are kept.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub message_retention: MessageRetention,
    /// CPU and memory of each broker. Default: requests of 100m and 128Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// What the pods get besides.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub template: PodTemplate,
}

const fn one() -> u32 {
    1
}

impl Default for Brokers {
    fn default() -> Self {
        Self {
            groups: one(),
            slaves_per_group: None,
            image: None,
            flush: None,
            config: BTreeMap::new(),
            storage: Storage::default(),
            message_retention: MessageRetention::default(),
            resources: None,
            template: PodTemplate::default(),
        }
    }
}

/// Properties of broker.conf that the operator writes; a user's value would break the cluster.
pub(crate) const RESERVED_PROPERTIES: &[&str] = &[
    "brokerId",
    "brokerName",
    "brokerClusterName",
    "brokerRole",
    "namesrvAddr",
    "listenPort",
    "brokerIP1",
    "brokerIP2",
    "haListenPort",
    "haMasterAddress",
    "controllerAddr",
    "enableControllerMode",
    "flushDiskType",
    "inSyncReplicas",
    "minInSyncReplicas",
    "allAckInSyncStateSet",
    "slaveTimeout",
    "fileReservedTime",
    "diskMaxUsedSpaceRatio",
    "metricsExporterType",
    "metricsPromExporterPort",
];

fn config_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let reserved: Vec<String> =
        RESERVED_PROPERTIES.iter().map(|name| format!("'{name}'")).collect();
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 128,
        "additionalProperties": { "type": "string", "maxLength": 1024, "pattern": "^[^\\r\\n]*$" },
        "x-kubernetes-validations": [
            {
                "rule": format!("[{}].all(name, !(name in self))", reserved.join(", ")),
                "message": "the operator writes names, addresses, roles and retention into broker.conf itself: leave them out of config and use the fields flush and messageRetention"
            },
            {
                "rule": "self.all(name, !name.startsWith('storePath'))",
                "message": "the data is always below /data: leave storePath properties out of config"
            },
            {
                "rule": "self.all(name, name.matches('^[a-zA-Z][a-zA-Z0-9._]{0,127}$'))",
                "message": "a property's name consists of letters, digits, '.' and '_', beginning with a letter"
            }
        ]
    })
}

/// When a broker acknowledges a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Flush {
    /// When it is in the page cache: it survives a crash of the broker, not of the machine.
    #[default]
    Async,
    /// When it is on the disk.
    Sync,
}

/// The volume of each broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
    "fieldPath": ".storageClassName",
    "message": "storageClassName cannot be changed, volumes do not move between classes: create another BrokerCluster"
}]))]
pub struct Storage {
    /// Size of each volume. Immutable in this version.
    #[serde(default = "default_size")]
    #[schemars(
        length(max = 20),
        regex(pattern = r"^[1-9][0-9]*(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"),
        extend("x-kubernetes-validations" = [{
            "rule": "self == oldSelf",
            "message": "size cannot be changed in this version: create another BrokerCluster with larger volumes"
        }])
    )]
    pub size: String,
    /// StorageClass of the volumes. Default: the cluster's default class. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// What becomes of the volumes.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub retention: StorageRetention,
}

fn default_size() -> String {
    "20Gi".to_owned()
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: default_size(),
            storage_class_name: None,
            retention: StorageRetention::default(),
        }
    }
}

/// What becomes of the volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRetention {
    /// When the BrokerCluster is deleted. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<Retention>,
}

/// Whether a volume outlives its broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// The claims stay; a BrokerCluster of the same name finds its data again.
    #[default]
    Retain,
    /// The claims are deleted.
    Delete,
}

/// How long messages are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageRetention {
    /// Whole hours, such as `72h`. Default: 72h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = [{
        "rule": "self.matches('^[1-9][0-9]{0,5}h$')",
        "message": "write whole hours, such as 72h"
    }]))]
    pub time: Option<String>,
    /// Percentage of the volume above which the oldest messages go, whatever their age. Default: 75.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 95))]
    pub disk_percent: Option<u8>,
}

/// CPU and memory of a container, as in a Pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// The most it may use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::schema::quantities")]
    pub limits: BTreeMap<String, Quantity>,
    /// What a node must have free for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::schema::quantities")]
    pub requests: BTreeMap<String, Quantity>,
}

/// What pods get besides the operator's own settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Further labels. Those of the operator win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Further annotations. Those of the operator win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Name of a PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// What a RocketMQ cluster is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerClusterStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, WritesAvailable, Redundant, UpToDate and ReconciliationPaused always; Reconciling and
    /// Stalled while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The broker groups, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<BrokersStatus>,
    /// The NameServers, counted, and where clients find them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_servers: Option<NameServersStatus>,
    /// Label selector of the broker pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Each broker group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<GroupStatus>,
}

impl Conditions for BrokerClusterStatus {
    const TYPES: &'static [&'static str] = &[
        condition::READY,
        condition::WRITES_AVAILABLE,
        condition::REDUNDANT,
        condition::UP_TO_DATE,
        condition::PAUSED,
    ];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// The broker groups, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokersStatus {
    /// Groups that exist.
    pub groups: u32,
    /// Groups whose brokers are all ready.
    pub ready_groups: u32,
    /// Groups with a master that takes writes.
    pub masters: u32,
}

/// The NameServers, counted, and where clients find them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameServersStatus {
    /// NameServers that are ready.
    pub ready: u32,
    /// What clients write as their namesrvAddr.
    pub endpoint: String,
}

/// One broker group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupStatus {
    /// The brokerName.
    pub name: String,
    /// Pod of the master, if it takes writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The address that clients are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Revision of the StatefulSet that the pod runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}
