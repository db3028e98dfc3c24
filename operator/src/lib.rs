//! The Kubernetes operator: it turns BrokerCluster, Topic and ConsumerGroup objects into NameServers,
//! brokers, topics and groups, and measures the backlog of every group.
//!
//! Each kind is reconciled in the same steps: observe (all reads) -> validate (pure) -> build or plan
//! (pure) -> next permitted step (pure) -> write -> status (pure; written only if it differs). Nothing
//! is remembered between two runs but what the objects themselves say, so an operator that is killed
//! between any two calls ends in the same state. It never writes a user's `spec`.

pub mod apply;
pub mod cluster;
pub mod condition;
pub mod context;
pub mod crd;
pub mod declared;
pub mod events;
pub mod fleet;
pub mod group;
pub mod lag;
pub mod lease;
pub mod metrics;
pub mod run;
pub mod settings;
pub mod topic;
