//! The three kinds of `rocketmq.gantry.rs/v1alpha1`: BrokerCluster, Topic and ConsumerGroup.
//!
//! A field is here only when the operator acts on it. What a type cannot say, a CEL rule says in a
//! sentence that tells the user what to write instead; the operator therefore needs no webhook.
//! Defaults are in the schema only where `kubectl scale` needs them or where they may never change;
//! all others are applied by `validate`, so that an upgrade never rewrites what a user has stored.

mod broker_cluster;
mod consumer_group;
pub mod schema;
#[cfg(test)]
mod tests;
mod topic;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::CustomResourceExt;
use serde::{Deserialize, Serialize};

pub(crate) use self::broker_cluster::RESERVED_PROPERTIES;
pub use self::{
    broker_cluster::{
        BrokerCluster, BrokerClusterSpec, BrokerClusterStatus, Brokers, BrokersStatus,
        DisruptionBudget, Flush, GroupStatus, MessageRetention, NameServers, NameServersStatus,
        PodTemplate, PullPolicy, PullSecret, Resources, Retention, Storage, StorageRetention,
    },
    consumer_group::{
        ConsumerGroup, ConsumerGroupSpec, ConsumerGroupStatus, Retry, StartFrom, Subscription,
    },
    topic::{Topic, TopicGroupStatus, TopicPermission, TopicSpec, TopicStatus},
};

/// The API group of all kinds, and the prefix of our labels and annotations.
pub const GROUP: &str = "rocketmq.gantry.rs";
/// The one version that is served.
pub const VERSION: &str = "v1alpha1";

/// Names the BrokerCluster, in the same namespace, that an object belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClusterRef {
    /// Name of a BrokerCluster in the same namespace.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
}

/// What happens to the object on the brokers when its custom resource is deleted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted with all it holds.
    Delete,
    /// It is deleted once it holds nothing; until then the deletion waits and says why.
    DeleteIfEmpty,
}

/// What to do with an object that the brokers had before the custom resource came.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Adoption {
    /// Take it over if that changes nothing but, at most, adds queues.
    #[default]
    AdoptIfMatching,
    /// Take it over and give it the settings of the custom resource.
    Adopt,
    /// Leave it alone and report it.
    Refuse,
}

/// What to do when somebody else changes the object on the brokers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum DriftPolicy {
    /// Set it back.
    #[default]
    Correct,
    /// Report it in the condition DriftDetected.
    Report,
}

/// How an object on the brokers came to belong to a custom resource. Written before the first
/// change on a broker, so that a restart in between does not mistake our own work for foreign work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Claim {
    /// The brokers did not have it; the operator creates it.
    Created,
    /// The brokers had it; the operator took it over.
    Adopted,
}

/// A status that has conditions: what the three kinds share.
pub trait Conditions {
    /// The conditions every object of the kind has from its first second on.
    const TYPES: &'static [&'static str];

    /// The conditions as stored.
    fn conditions(&self) -> &[Condition];
}

/// The three definitions as they are installed, in alphabetical order of their names.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        schema::finish(
            BrokerCluster::crd(),
            &broker_cluster::NAME_RULE,
            BrokerClusterStatus::TYPES,
        ),
        schema::finish(
            ConsumerGroup::crd(),
            &consumer_group::NAME_RULE,
            ConsumerGroupStatus::TYPES,
        ),
        schema::finish(Topic::crd(), &topic::NAME_RULE, TopicStatus::TYPES),
    ]
}
