//! A BrokerCluster as it is built: every default applied, every name proved to fit. Pure.
//!
//! The API server's CEL rules refuse almost all that is refused here; this holds also for objects that
//! were stored under an older definition. Behind this module nothing reads the spec again.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Toleration, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource, ResourceExt};

use crate::crd::{
    BrokerCluster, DisruptionBudget, Flush, PodTemplate, PullPolicy, RESERVED_PROPERTIES,
    Resources, Retention, Storage,
};

/// NameServers unless the spec says otherwise.
pub(crate) const NAME_SERVERS: u8 = 3;
/// Hours for which messages are kept unless the spec says otherwise.
const RETENTION_HOURS: u32 = 72;
/// Share of the volume, in percent, above which the oldest messages go.
const DISK_PERCENT: u8 = 75;
/// Longest name of a BrokerCluster: with the longest ending it still is the name of a Service.
pub const NAME_MAX: usize = 40;
/// Value of this annotation that changes restarts every pod, one after the other.
pub const RESTART: &str = "rocketmq.gantry.rs/restart";
/// With the value "true" the operator changes nothing.
pub const PAUSE: &str = "rocketmq.gantry.rs/pause-reconciliation";

/// The images that a BrokerCluster gets if it names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Image of the broker.
    pub broker: String,
    /// Image of the NameServer.
    pub name_server: String,
}

/// Why a BrokerCluster cannot be built; the sentence is for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The object came without a field that the API server always sets.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// The name cannot become the name of a Service.
    #[error(
        "metadata.name {0:?} must be at most {NAME_MAX} lower-case letters, digits and '-', beginning with a letter"
    )]
    Name(String),
    /// Slaves were asked for.
    #[error("replication is not available in this version: write slavesPerGroup: 0")]
    Slaves,
    /// A property that the operator writes itself.
    #[error("brokers.config may not contain {0}: the operator writes it itself")]
    Reserved(String),
    /// A duration that is no number of whole hours.
    #[error("messageRetention.time {0:?} must be whole hours, such as 72h")]
    Retention(String),
    /// More groups than allowed, or none.
    #[error("brokers.groups {0} must be 1 to 128")]
    Groups(u32),
}

/// A BrokerCluster that can be built.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidCluster {
    /// The object's name, from which those of its children come.
    pub name: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object as owner of its children.
    pub owner: OwnerReference,
    /// brokerClusterName.
    pub broker_cluster: String,
    /// The NameServers.
    pub name_servers: ValidNameServers,
    /// The broker groups.
    pub brokers: ValidBrokers,
    /// How images are pulled.
    pub pull: Pull,
    /// Whether voluntary disruptions are limited.
    pub disruption_budget: DisruptionBudget,
    /// The restart annotation's value.
    pub restart: Option<String>,
}

/// How images are pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// When.
    pub policy: Option<PullPolicy>,
    /// Names of Secrets.
    pub secrets: Vec<String>,
}

/// The NameServers.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidNameServers {
    /// How many.
    pub replicas: u8,
    /// Their image.
    pub image: String,
    /// CPU and memory of each.
    pub resources: Resources,
    /// What their pods get besides.
    pub extras: Extras,
}

/// The broker groups.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidBrokers {
    /// How many.
    pub groups: u32,
    /// Their image.
    pub image: String,
    /// When a message counts as stored.
    pub flush: Flush,
    /// Further properties.
    pub config: BTreeMap<String, String>,
    /// Size and class of the volumes.
    pub storage: Storage,
    /// Whether volumes outlive the object.
    pub when_deleted: Retention,
    /// Hours for which messages are kept.
    pub retention_hours: u32,
    /// Share of the volume, in percent, above which the oldest messages go.
    pub disk_percent: u8,
    /// CPU and memory of each.
    pub resources: Resources,
    /// What their pods get besides.
    pub extras: Extras,
}

/// What pods get besides the operator's own settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Extras {
    /// Labels; the operator's win.
    pub labels: BTreeMap<String, String>,
    /// Annotations; the operator's win.
    pub annotations: BTreeMap<String, String>,
    /// Labels of nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Name of a PriorityClass.
    pub priority_class: Option<String>,
}

impl ValidCluster {
    /// The brokerName of group `n`.
    #[must_use]
    pub fn broker_name(&self, n: u32) -> String {
        format!("{}-{n}", self.broker_cluster)
    }

    /// Name of the StatefulSet, Service and ConfigMap of group `n`.
    #[must_use]
    pub fn group_object(&self, n: u32) -> String {
        format!("{}-{n}", self.name)
    }

    /// Name of the StatefulSet, Service and ConfigMap of the NameServers.
    #[must_use]
    pub fn name_server_object(&self) -> String {
        format!("{}-namesrv", self.name)
    }

    /// What clients write as their namesrvAddr.
    #[must_use]
    pub fn name_server_endpoint(&self) -> String {
        format!("{}.{}.svc:9876", self.name_server_object(), self.namespace)
    }
}

/// Applies all defaults and checks what the build relies on.
///
/// # Errors
/// Says what the object's author has to change.
pub fn validate(cluster: &BrokerCluster, images: &Images) -> Result<ValidCluster, Invalid> {
    let name = cluster.name_any();
    if !is_service_name(&name) {
        return Err(Invalid::Name(name));
    }
    let spec = &cluster.spec;
    Ok(ValidCluster {
        namespace: cluster.namespace().ok_or(Invalid::Incomplete("namespace"))?,
        owner: cluster.controller_owner_ref(&()).ok_or(Invalid::Incomplete("uid"))?,
        broker_cluster: spec.cluster_name.clone().unwrap_or_else(|| name.clone()),
        name_servers: ValidNameServers {
            replicas: spec.name_servers.replicas.unwrap_or(NAME_SERVERS),
            image: spec.name_servers.image.clone().unwrap_or_else(|| images.name_server.clone()),
            resources: resources(spec.name_servers.resources.as_ref(), "50m", "32Mi"),
            extras: extras(&spec.name_servers.template),
        },
        brokers: brokers(cluster, images)?,
        pull: Pull {
            policy: spec.image_pull_policy,
            secrets: spec.image_pull_secrets.iter().map(|s| s.name.clone()).collect(),
        },
        disruption_budget: spec.pod_disruption_budget.unwrap_or_default(),
        restart: cluster.annotations().get(RESTART).cloned(),
        name,
    })
}

fn brokers(cluster: &BrokerCluster, images: &Images) -> Result<ValidBrokers, Invalid> {
    let spec = &cluster.spec.brokers;
    if spec.slaves_per_group.unwrap_or(0) != 0 {
        return Err(Invalid::Slaves);
    }
    if !(1..=128).contains(&spec.groups) {
        return Err(Invalid::Groups(spec.groups));
    }
    let reserved =
        |key: &&String| RESERVED_PROPERTIES.contains(&key.as_str()) || key.starts_with("storePath");
    if let Some(key) = spec.config.keys().find(reserved) {
        return Err(Invalid::Reserved(key.clone()));
    }
    let retention = &spec.message_retention;
    Ok(ValidBrokers {
        groups: spec.groups,
        image: spec.image.clone().unwrap_or_else(|| images.broker.clone()),
        flush: spec.flush.unwrap_or_default(),
        config: spec.config.clone(),
        storage: spec.storage.clone(),
        when_deleted: spec.storage.retention.when_deleted.unwrap_or_default(),
        retention_hours: retention.time.as_deref().map_or(Ok(RETENTION_HOURS), hours)?,
        disk_percent: retention.disk_percent.unwrap_or(DISK_PERCENT),
        resources: resources(spec.resources.as_ref(), "100m", "128Mi"),
        extras: extras(&spec.template),
    })
}

fn is_service_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn hours(text: &str) -> Result<u32, Invalid> {
    text.strip_suffix('h')
        .and_then(|digits| digits.parse().ok())
        .filter(|hours| *hours > 0)
        .ok_or_else(|| Invalid::Retention(text.to_owned()))
}

fn resources(given: Option<&Resources>, cpu: &str, memory: &str) -> Resources {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    given.cloned().unwrap_or_else(|| Resources {
        limits: BTreeMap::new(),
        requests: BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ]),
    })
}

fn extras(template: &PodTemplate) -> Extras {
    Extras {
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
        node_selector: template.node_selector.clone(),
        tolerations: template.tolerations.clone(),
        priority_class: template.priority_class_name.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn images() -> Images {
        Images {
            broker: "example.org/gantry-broker:1".to_owned(),
            name_server: "example.org/gantry-namesrv:1".to_owned(),
        }
    }

    /// The object `demo` in `shop` with the given spec, in YAML.
    pub(crate) fn cluster(spec: &str) -> BrokerCluster {
        let spec: serde_json::Value = serde_yaml::from_str(spec).unwrap();
        serde_json::from_value(serde_json::json!({
            "apiVersion": "rocketmq.gantry.rs/v1alpha1",
            "kind": "BrokerCluster",
            "metadata": { "name": "demo", "namespace": "shop", "uid": "u-1", "generation": 3 },
            "spec": spec,
        }))
        .unwrap()
    }

    pub(crate) fn valid(spec: &str) -> ValidCluster {
        validate(&cluster(spec), &images()).unwrap()
    }

    #[test]
    fn an_empty_spec_gets_every_default() {
        let valid = valid("{}");
        assert_eq!(valid.name_servers.replicas, 3);
        assert_eq!(valid.brokers.groups, 1);
        assert_eq!(valid.brokers.retention_hours, 72);
        assert_eq!(valid.brokers.storage.size, "20Gi");
        assert_eq!(valid.broker_name(0), "demo-0");
        assert_eq!(valid.name_server_endpoint(), "demo-namesrv.shop.svc:9876");
        assert_eq!(valid.brokers.image, "example.org/gantry-broker:1");
    }

    #[test]
    fn a_cluster_name_for_clients_leaves_the_names_of_the_children() {
        let valid = valid("clusterName: DefaultCluster");
        assert_eq!(valid.broker_name(1), "DefaultCluster-1");
        assert_eq!(valid.group_object(1), "demo-1");
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_a_sentence() {
        let refusal = |spec: &str| validate(&cluster(spec), &images()).unwrap_err().to_string();
        assert!(refusal("brokers: {slavesPerGroup: 1}").contains("slavesPerGroup: 0"));
        assert!(refusal("brokers: {config: {brokerId: '1'}}").contains("brokerId"));
        assert!(refusal("brokers: {config: {storePathIndex: /x}}").contains("storePathIndex"));
        assert!(refusal("brokers: {messageRetention: {time: 3d}}").contains("72h"));
        assert!(refusal("brokers: {groups: 0}").contains("1 to 128"));
        let mut named = cluster("{}");
        named.metadata.name = Some("9-lives".to_owned());
        assert!(matches!(validate(&named, &images()), Err(Invalid::Name(_))));
    }
}
