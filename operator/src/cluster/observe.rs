//! All reads of one reconciliation: what exists of a BrokerCluster. Reads only.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::build::cluster_selector;
use crate::{
    apply::Object,
    crd::{BrokerCluster, ConsumerGroup, Topic},
};

/// What exists of a cluster, by name, and its pods.
#[derive(Debug, Default)]
pub struct Observed {
    /// Its StatefulSets.
    pub stateful_sets: BTreeMap<String, StatefulSet>,
    /// Its Services.
    pub services: BTreeMap<String, Service>,
    /// Its ConfigMaps.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// Its ServiceAccounts.
    pub service_accounts: BTreeMap<String, ServiceAccount>,
    /// Its PodDisruptionBudgets.
    pub budgets: BTreeMap<String, PodDisruptionBudget>,
    /// Its pods.
    pub pods: Vec<Pod>,
}

/// Reads all that belongs to the cluster.
///
/// # Errors
/// When the API server does not answer.
pub async fn observe(client: &Client, cluster: &BrokerCluster) -> Result<Observed, kube::Error> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    let uid = cluster.uid().unwrap_or_default();
    let (stateful_sets, services, config_maps, service_accounts, budgets, pods) = tokio::try_join!(
        children(client, &namespace, &name, &uid),
        children(client, &namespace, &name, &uid),
        children(client, &namespace, &name, &uid),
        children(client, &namespace, &name, &uid),
        children(client, &namespace, &name, &uid),
        list::<Pod>(client, &namespace, &name),
    )?;
    Ok(Observed { stateful_sets, services, config_maps, service_accounts, budgets, pods })
}

async fn list<K: Object>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Vec<K>, kube::Error> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.list(&ListParams::default().labels(&cluster_selector(name))).await?.items)
}

/// The objects with the cluster's label whose owner it is: of a cluster that was deleted and made anew
/// under the same name some may still be about.
async fn children<K: Object>(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Result<BTreeMap<String, K>, kube::Error> {
    let found = list::<K>(client, namespace, name).await?;
    let owned = found.into_iter().filter(|o| o.owner_references().iter().any(|r| r.uid == uid));
    Ok(owned.map(|object| (object.name_any(), object)).collect())
}

/// Topics and ConsumerGroups that name the cluster and are not being deleted, as `Kind/name`.
///
/// # Errors
/// When the API server does not answer.
pub async fn dependents(
    client: &Client,
    cluster: &BrokerCluster,
) -> Result<Vec<String>, kube::Error> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    let topics: Api<Topic> = Api::namespaced(client.clone(), &namespace);
    let groups: Api<ConsumerGroup> = Api::namespaced(client.clone(), &namespace);
    let all = ListParams::default();
    let (topics, groups) = tokio::try_join!(topics.list(&all), groups.list(&all))?;
    let topics = topics
        .iter()
        .filter(|t| t.spec.cluster_ref.name == name && t.metadata.deletion_timestamp.is_none())
        .map(|t| format!("Topic/{}", t.name_any()));
    let groups = groups
        .iter()
        .filter(|g| g.spec.cluster_ref.name == name && g.metadata.deletion_timestamp.is_none())
        .map(|g| format!("ConsumerGroup/{}", g.name_any()));
    Ok(topics.chain(groups).collect())
}

/// The address of a Service, once it has one.
#[must_use]
pub fn address(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()
}
