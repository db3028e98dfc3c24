//! The end of a BrokerCluster: brokers first and in order, then all the rest.
//!
//! It waits while Topics or ConsumerGroups name the cluster. Volumes go or stay as their retention
//! says; that is the StatefulSets' business.

use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};

use super::{
    SOON, build,
    observe::{self, Observed},
    report,
    status::{self, Problem},
};
use crate::{
    apply::FINALIZER,
    condition,
    context::{Context, ReconcileError},
    crd::BrokerCluster,
};

/// With the value "off" a cluster can be deleted while Topics and ConsumerGroups name it.
const PROTECTION: &str = "rocketmq.gantry.rs/deletion-protection";
/// Most objects that a message names.
const NAMED_MAX: usize = 5;

pub(super) async fn run(
    cluster: &BrokerCluster,
    context: &Context,
) -> Result<Action, ReconcileError> {
    if !cluster.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Action::await_change());
    }
    let protected = cluster.annotations().get(PROTECTION).map(String::as_str) != Some("off");
    if protected {
        let dependents = observe::dependents(&context.client, cluster).await?;
        if !dependents.is_empty() {
            let problem = blocked(&dependents);
            let stored = cluster.status.clone().unwrap_or_default();
            let generation = cluster.metadata.generation;
            let status = status::stopped(&stored, generation, &problem, Timestamp::now());
            report(cluster, context, &stored, status).await?;
            return Ok(Action::requeue(SOON));
        }
    }
    let observed = observe::observe(&context.client, cluster).await?;
    for (name, set) in &observed.stateful_sets {
        if *name != format!("{}-namesrv", cluster.name_any()) {
            context.writer.delete(set).await?;
        }
    }
    let brokers = broker_pods(&observed);
    if brokers == 0 {
        // The rest belongs to the object and is collected with it.
        context.writer.release(cluster).await?;
        return Ok(Action::await_change());
    }
    let stored = cluster.status.clone().unwrap_or_default();
    let message = format!("Being deleted: {brokers} brokers are still ending.");
    let finding = condition::Finding::new(condition::READY, false, "Deleting", message);
    let mut status = stored.clone();
    let others = status.conditions.iter().filter(|c| {
        ![condition::READY, condition::STALLED, condition::RECONCILING].contains(&c.type_.as_str())
    });
    let others: Vec<_> = others.cloned().collect();
    status.conditions = condition::merge(
        &stored.conditions,
        vec![finding],
        cluster.metadata.generation,
        Timestamp::now(),
    );
    status.conditions.extend(others);
    report(cluster, context, &stored, status).await?;
    Ok(Action::requeue(SOON))
}

fn broker_pods(observed: &Observed) -> usize {
    observed.pods.iter().filter(|pod| build::is_broker(pod)).count()
}

fn blocked(dependents: &[String]) -> Problem {
    let named: Vec<&str> = dependents.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = dependents.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Problem {
        reason: "DeletionBlocked",
        message: format!(
            "{}{more} belong to this cluster: delete them first, or annotate the cluster with {PROTECTION}=off",
            named.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_deletion_names_some_of_what_blocks_it() {
        let many: Vec<String> = (0..7).map(|n| format!("Topic/t{n}")).collect();
        let message = blocked(&many).message;
        assert!(message.starts_with("Topic/t0, Topic/t1, Topic/t2, Topic/t3, Topic/t4 and 2 more"));
        assert!(message.contains("deletion-protection=off"));
    }
}
