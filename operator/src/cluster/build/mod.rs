//! The objects a BrokerCluster consists of, one Kubernetes kind per file. Pure: the same cluster gives
//! the same bytes.
//!
//! Objects are of two sorts. Those of [`support`] may be changed at any time, since no pod restarts for
//! them. A [`Workload`] is a StatefulSet with the ConfigMap its pods read: a change restarts pods, so it
//! is applied only when it is the workload's turn.

mod config_map;
mod labels;
mod pod;
mod pod_disruption_budget;
mod service;
mod service_account;
mod stateful_set;

use std::net::IpAddr;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

pub use self::labels::{
    CLUSTER_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Part, broker_selector, cluster_selector, is_broker,
};
use super::validate::ValidCluster;

/// Where clients reach a NameServer.
pub const NAME_SERVER_PORT: i32 = 9876;
/// Where clients reach a broker.
pub const BROKER_PORT: i32 = 10911;
/// Where probes and metrics are served.
pub const ADMIN_PORT: i32 = 5557;

/// Objects that restart no pod.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Support {
    /// Identities of the pods; they have no rights.
    pub service_accounts: Vec<ServiceAccount>,
    /// Addresses of NameServers and brokers.
    pub services: Vec<Service>,
    /// Limits of voluntary disruptions.
    pub budgets: Vec<PodDisruptionBudget>,
}

/// A StatefulSet and what its pods read.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Workload {
    /// Which part of the cluster it is.
    #[serde(skip)]
    pub part: Part,
    /// The configuration file.
    pub config_map: ConfigMap,
    /// The pods.
    pub stateful_set: StatefulSet,
}

/// The objects that restart no pod.
#[must_use]
pub fn support(cluster: &ValidCluster) -> Support {
    Support {
        service_accounts: service_account::all(cluster),
        services: service::all(cluster),
        budgets: pod_disruption_budget::all(cluster),
    }
}

/// The NameServers.
#[must_use]
pub fn name_servers(cluster: &ValidCluster) -> Workload {
    let config_map = config_map::name_servers(cluster);
    let stateful_set = stateful_set::name_servers(cluster, &config_map);
    Workload { part: Part::NameServers, config_map, stateful_set }
}

/// Broker group `n`, whose Service has the address `address`.
#[must_use]
pub fn broker_group(cluster: &ValidCluster, n: u32, address: IpAddr) -> Workload {
    let config_map = config_map::broker_group(cluster, n, address);
    let stateful_set = stateful_set::broker_group(cluster, n, &config_map);
    Workload { part: Part::Group(n), config_map, stateful_set }
}

/// Metadata of a child of the cluster.
fn metadata(cluster: &ValidCluster, part: Option<Part>, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels::of(cluster, part)),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::validate::tests::valid;

    const FULL: &str = "
clusterName: DefaultCluster
imagePullPolicy: IfNotPresent
imagePullSecrets: [{name: registry}]
nameServers:
  replicas: 2
  resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
brokers:
  groups: 2
  image: example.org/broker@sha256:abc
  flush: Sync
  config: {maxMessageSize: '1048576', autoCreateTopicEnable: 'false'}
  storage: {size: 1Gi, storageClassName: fast, retention: {whenDeleted: Delete}}
  messageRetention: {time: 5h, diskPercent: 60}
  template:
    labels: {team: shop}
    annotations: {note: hello}
    nodeSelector: {disk: ssd}
    tolerations: [{key: dedicated, operator: Equal, value: mq, effect: NoSchedule}]
    priorityClassName: high
";

    fn address() -> IpAddr {
        IpAddr::from([10, 96, 0, 7])
    }

    #[test]
    fn the_objects_of_the_smallest_cluster() {
        let cluster = valid("{}");
        insta::assert_yaml_snapshot!("smallest_support", support(&cluster));
        insta::assert_yaml_snapshot!("smallest_name_servers", name_servers(&cluster));
        insta::assert_yaml_snapshot!("smallest_group", broker_group(&cluster, 0, address()));
    }

    #[test]
    fn the_objects_of_a_cluster_that_says_everything() {
        let cluster = valid(FULL);
        insta::assert_yaml_snapshot!("full_support", support(&cluster));
        insta::assert_yaml_snapshot!("full_name_servers", name_servers(&cluster));
        insta::assert_yaml_snapshot!("full_group", broker_group(&cluster, 1, address()));
    }

    #[test]
    fn a_changed_property_changes_the_pod_template_and_a_scale_does_not() {
        let template = |spec: &str| {
            let group = broker_group(&valid(spec), 0, address());
            group.stateful_set.spec.template
        };
        let plain = template("{}");
        assert_ne!(plain, template("brokers: {config: {a: b}}"));
        assert_ne!(plain, template("brokers: {flush: Sync}"));
        assert_eq!(plain, template("{nameServers: {replicas: 5}, brokers: {groups: 7}}"));
        let name_servers = |spec: &str| name_servers(&valid(spec)).stateful_set.spec.template;
        assert_eq!(name_servers("{}"), name_servers("brokers: {groups: 4, flush: Sync}"));
    }

    #[test]
    fn the_longest_names_fit() {
        let mut object = crate::cluster::validate::tests::cluster("brokers: {groups: 128}");
        object.metadata.name = Some("n".repeat(40));
        let cluster =
            crate::cluster::validate::validate(&object, &crate::cluster::validate::tests::images())
                .unwrap();
        for service in support(&cluster).services {
            assert!(service.metadata.name.unwrap().len() <= 63);
        }
        let group = broker_group(&cluster, 127, address());
        assert!(group.stateful_set.metadata.name.unwrap().len() <= 52);
        assert!(name_servers(&cluster).stateful_set.metadata.name.unwrap().len() <= 52);
    }
}
