//! Labels of every child, and the selectors that find them again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::cluster::validate::ValidCluster;

/// Holds the name of the BrokerCluster.
pub const CLUSTER_LABEL: &str = "rocketmq.gantry.rs/cluster";
/// Holds the number of the broker group.
const GROUP_LABEL: &str = "rocketmq.gantry.rs/group";
/// Says who made an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// What the operator writes there.
pub const MANAGED_BY: &str = "gantry-operator";
const COMPONENT: &str = "app.kubernetes.io/component";

/// A part of the cluster that has pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All NameServers.
    NameServers,
    /// The broker group of this number.
    Group(u32),
}

impl Part {
    const fn component(self) -> &'static str {
        match self {
            Self::NameServers => "namesrv",
            Self::Group(_) => "broker",
        }
    }

    /// Name of the part's StatefulSet.
    #[must_use]
    pub fn object(self, cluster: &ValidCluster) -> String {
        match self {
            Self::NameServers => cluster.name_server_object(),
            Self::Group(n) => cluster.group_object(n),
        }
    }
}

fn label(key: &str, value: impl Into<String>) -> (String, String) {
    (key.to_owned(), value.into())
}

/// Labels that pods are selected by; they never change.
pub(super) fn selector(cluster: &ValidCluster, part: Part) -> BTreeMap<String, String> {
    let mut labels =
        BTreeMap::from([label(CLUSTER_LABEL, &cluster.name), label(COMPONENT, part.component())]);
    if let Part::Group(n) = part {
        labels.extend([label(GROUP_LABEL, n.to_string())]);
    }
    labels
}

/// All labels of an object that belongs to `part`, or to the whole cluster.
pub(super) fn of(cluster: &ValidCluster, part: Option<Part>) -> BTreeMap<String, String> {
    let mut labels = part.map(|part| selector(cluster, part)).unwrap_or_default();
    labels.extend([
        label(CLUSTER_LABEL, &cluster.name),
        label(MANAGED_BY_LABEL, MANAGED_BY),
        label("app.kubernetes.io/name", "gantry"),
        label("app.kubernetes.io/instance", &cluster.name),
    ]);
    labels
}

/// Finds the pods of a part.
pub(super) fn match_part(cluster: &ValidCluster, part: Part) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(cluster, part)), ..LabelSelector::default() }
}

/// Finds the pods of all parts of the same component.
pub(super) fn match_component(cluster: &ValidCluster, part: Part) -> LabelSelector {
    let mut labels = selector(cluster, part);
    labels.remove(GROUP_LABEL);
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

/// Finds every object that the operator made for the BrokerCluster `name`.
#[must_use]
pub fn cluster_selector(name: &str) -> String {
    format!("{CLUSTER_LABEL}={name},{MANAGED_BY_LABEL}={MANAGED_BY}")
}

/// Finds the broker pods of the BrokerCluster `name`.
#[must_use]
pub fn broker_selector(name: &str) -> String {
    format!("{COMPONENT}=broker,{CLUSTER_LABEL}={name}")
}

/// Whether the pod is a broker.
#[must_use]
pub fn is_broker(pod: &k8s_openapi::api::core::v1::Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(COMPONENT)).is_some_and(|component| component == "broker")
}
