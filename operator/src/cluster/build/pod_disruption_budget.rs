//! PodDisruptionBudgets: draining nodes takes one NameServer and one broker group at a time.
//!
//! A budget spans all groups, since a group of one broker could not have one of its own: it would
//! forbid every drain or none.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    labels::{self, Part},
    metadata,
};
use crate::{cluster::validate::ValidCluster, crd::DisruptionBudget};

pub(super) fn all(cluster: &ValidCluster) -> Vec<PodDisruptionBudget> {
    if cluster.disruption_budget == DisruptionBudget::Disabled {
        return Vec::new();
    }
    vec![
        budget(cluster, Part::NameServers, cluster.name_server_object()),
        budget(cluster, Part::Group(0), format!("{}-broker", cluster.name)),
    ]
}

fn budget(cluster: &ValidCluster, part: Part, name: String) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(cluster, None, name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(labels::match_component(cluster, part)),
            // A pod that is not ready protects nobody: it must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
