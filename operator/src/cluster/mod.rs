//! BrokerCluster: NameServers and broker groups out of one object.
//!
//! `reconcile` is the shell: it reads, lets the pure modules decide, writes, and reports. A run that is
//! killed anywhere is finished by the next, since every run begins with what the API server has.

pub mod build;
mod deletion;
pub mod health;
pub mod observe;
pub mod status;
pub mod step;
pub mod validate;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use k8s_openapi::{api::apps::v1::StatefulSet, jiff::Timestamp};
use kube::{Resource, ResourceExt, runtime::controller::Action};

use self::{
    build::{Part, Workload},
    observe::Observed,
    status::{Paused, Problem, View},
    step::{Change, State},
    validate::{PAUSE, ValidCluster},
};
use crate::{
    apply::{ApplyError, Object, Writer},
    condition,
    context::{Context, ReconcileError},
    crd::{BrokerCluster, BrokerClusterStatus},
    events::Happening,
};

/// How soon to look again while something is on its way; watches mostly are sooner.
const SOON: Duration = Duration::from_secs(5);
/// How soon to look again when only its author can help.
const LATER: Duration = Duration::from_secs(30);
/// How often to look without a reason, for changes that nobody told of.
const RESYNC: Duration = Duration::from_secs(300);

/// Brings the cluster a step nearer to its spec.
///
/// # Errors
/// When the API server could not be read or written; the run is to be repeated.
pub async fn reconcile(
    cluster: Arc<BrokerCluster>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return deletion::run(&cluster, &context).await;
    }
    context.writer.hold(cluster.as_ref()).await?;
    let valid = match validate::validate(&cluster, &context.images) {
        Ok(valid) => valid,
        Err(invalid) => {
            let problem = Problem { reason: "Invalid", message: invalid.to_string() };
            return stop(&cluster, &context, &problem).await;
        }
    };
    let mut observed = observe::observe(&context.client, &cluster).await?;
    let paused = match cluster.annotations().get(PAUSE).map(String::as_str) {
        Some("true") => Paused::Yes,
        _ => Paused::No,
    };
    let mut run = Run { cluster: &cluster, context: &context, valid: &valid, states: Vec::new() };
    let problem = match run.advance(&mut observed, paused).await {
        Ok(()) => None,
        Err(ApplyError::Failed { kind, name, source }) => {
            return Err(ApplyError::Failed { kind, name, source }.into());
        }
        Err(taken @ ApplyError::NameTaken { .. }) => {
            Some(Problem { reason: "NameTaken", message: taken.to_string() })
        }
        Err(rejected @ ApplyError::Rejected { .. }) => {
            Some(Problem { reason: "Rejected", message: rejected.to_string() })
        }
    };
    let stuck = problem.is_some();
    let view = View {
        cluster: &valid,
        states: &run.states,
        stateful_sets: &observed.stateful_sets,
        addresses: &addresses(&valid, &observed),
        problem,
        paused,
    };
    let stored = cluster.status.clone().unwrap_or_default();
    let status = status::of(&stored, cluster.metadata.generation, &view, Timestamp::now());
    let settled = condition::is_true(&status.conditions, condition::READY);
    report(&cluster, &context, &stored, status).await?;
    Ok(Action::requeue(match (stuck, settled) {
        (true, _) => LATER,
        (false, true) => RESYNC,
        (false, false) => SOON,
    }))
}

/// One run over a cluster that can be built.
struct Run<'a> {
    cluster: &'a BrokerCluster,
    context: &'a Context,
    valid: &'a ValidCluster,
    states: Vec<State>,
}

impl Run<'_> {
    /// Writes what may be written now, and leaves in `observed` what exists afterwards.
    async fn advance(&mut self, observed: &mut Observed, paused: Paused) -> Result<(), ApplyError> {
        let support = build::support(self.valid);
        if paused == Paused::No {
            let writer = &self.context.writer;
            apply_all(writer, support.service_accounts, &mut observed.service_accounts).await?;
            apply_all(writer, support.services, &mut observed.services).await?;
            apply_all(writer, support.budgets, &mut observed.budgets).await?;
        }
        let workloads = self.workloads(observed);
        for workload in &workloads {
            let state = self.state(workload, observed).await?;
            self.states.push(state);
        }
        if paused == Paused::Yes {
            return Ok(());
        }
        let parts = step::next(&self.states);
        for workload in &workloads {
            let change = self.states.iter().find(|s| s.part == workload.part).map(|s| s.change);
            if parts.contains(&workload.part) {
                self.apply(workload, observed, change).await?;
            } else if change == Some(Change::None) {
                let live = observed.config_maps.get(&workload.config_map.name_any());
                self.context.writer.apply(&workload.config_map, live).await?;
            }
        }
        Ok(())
    }

    /// The workloads in the order of a roll. A group whose Service has no address yet is left out.
    fn workloads(&self, observed: &Observed) -> Vec<Workload> {
        let mut workloads = vec![build::name_servers(self.valid)];
        for (n, address) in addresses(self.valid, observed) {
            workloads.push(build::broker_group(self.valid, n, address));
        }
        workloads
    }

    async fn state(&self, workload: &Workload, observed: &Observed) -> Result<State, ApplyError> {
        let live = observed.stateful_sets.get(&workload.stateful_set.name_any());
        let change = match live {
            None => Change::Create,
            Some(live) => {
                let then = self.context.writer.rehearse(&workload.stateful_set).await?;
                difference(live, &then)
            }
        };
        let health = health::of(live, &observed.pods, Timestamp::now());
        Ok(State { part: workload.part, change, health })
    }

    async fn apply(
        &mut self,
        workload: &Workload,
        observed: &mut Observed,
        change: Option<Change>,
    ) -> Result<(), ApplyError> {
        let writer = &self.context.writer;
        let name = workload.stateful_set.name_any();
        writer.apply(&workload.config_map, observed.config_maps.get(&name)).await?;
        let live = observed.stateful_sets.get(&name);
        let written = writer.apply(&workload.stateful_set, live).await?;
        let happening = match change {
            Some(Change::Create) => Some(Happening::created(&name)),
            Some(Change::Restart) => Some(Happening::rolling(&name)),
            Some(Change::InPlace | Change::None) | None => None,
        };
        if let Some(happening) = happening {
            self.context.events.publish(&self.cluster.object_ref(&()), happening).await;
        }
        let health = health::of(Some(&written), &observed.pods, Timestamp::now());
        if let Some(state) = self.states.iter_mut().find(|s| s.part == workload.part) {
            *state = State { change: Change::None, health, ..state.clone() };
        }
        observed.stateful_sets.insert(name, written);
        Ok(())
    }
}

/// What applying would change, from the object as it is and as it would be.
fn difference(live: &StatefulSet, then: &StatefulSet) -> Change {
    if live.spec.template != then.spec.template {
        return Change::Restart;
    }
    let same = live.spec == then.spec
        && live.labels() == then.labels()
        && live.annotations() == then.annotations()
        && live.owner_references() == then.owner_references();
    if same { Change::None } else { Change::InPlace }
}

/// Applies all of one kind, and deletes those of ours that are not wanted any more.
async fn apply_all<K: Object>(
    writer: &Writer,
    desired: Vec<K>,
    live: &mut BTreeMap<String, K>,
) -> Result<(), ApplyError> {
    let mut orphans = std::mem::take(live);
    for object in desired {
        let name = object.name_any();
        let before = orphans.remove(&name);
        let written = writer.apply(&object, before.as_ref()).await?;
        live.insert(name, written);
    }
    for orphan in orphans.values() {
        writer.delete(orphan).await?;
    }
    Ok(())
}

/// The addresses of the groups' Services, by the group's number.
fn addresses(cluster: &ValidCluster, observed: &Observed) -> BTreeMap<u32, IpAddr> {
    (0..cluster.brokers.groups)
        .filter_map(|n| {
            let service = observed.services.get(&Part::Group(n).object(cluster))?;
            Some((n, observe::address(service)?))
        })
        .collect()
}

async fn stop(
    cluster: &BrokerCluster,
    context: &Context,
    problem: &Problem,
) -> Result<Action, ReconcileError> {
    let stored = cluster.status.clone().unwrap_or_default();
    let status = status::stopped(&stored, cluster.metadata.generation, problem, Timestamp::now());
    report(cluster, context, &stored, status).await?;
    Ok(Action::requeue(LATER))
}

/// Stores the status if it differs, and tells of what has become of the cluster.
async fn report(
    cluster: &BrokerCluster,
    context: &Context,
    stored: &BrokerClusterStatus,
    status: BrokerClusterStatus,
) -> Result<(), ReconcileError> {
    if *stored == status {
        return Ok(());
    }
    context.writer.status(cluster, &status).await?;
    for happening in Happening::between(&stored.conditions, &status.conditions) {
        context.events.publish(&cluster.object_ref(&()), happening).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{step::Health, *};

    #[test]
    fn only_a_changed_template_restarts_pods() {
        let cluster = validate::tests::valid("{}");
        let live = build::name_servers(&cluster).stateful_set;
        assert_eq!(difference(&live, &live), Change::None);
        let more = validate::tests::valid("nameServers: {replicas: 5}");
        assert_eq!(difference(&live, &build::name_servers(&more).stateful_set), Change::InPlace);
        let other = validate::tests::valid("nameServers: {image: other}");
        assert_eq!(difference(&live, &build::name_servers(&other).stateful_set), Change::Restart);
        let health = Health::Settled;
        let state = State { part: Part::NameServers, change: Change::None, health };
        assert_eq!(step::next(&[state]), []);
    }
}
