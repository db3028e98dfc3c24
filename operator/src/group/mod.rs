//! ConsumerGroup: created, adopted, corrected and deleted on every broker group of its cluster.

pub mod plan;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gantry_client::{ClientError, admin::Offsets, body::SubscriptionGroupConfig};
use gantry_model::{Group, Topic};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    runtime::{controller::Action, reflector::Store},
};

use self::plan::{Live, Step};
use crate::{
    apply::FINALIZER,
    condition,
    context::{Context, ReconcileError},
    crd::{ConsumerGroup, ConsumerGroupStatus, DeletionPolicy},
    declared::{self, NAME_IN_USE, Past, Policies, Verdict, WasSynced, activity, older_rival},
    events::Happening,
    fleet::{Absent, Fleet, is_refusal},
};

/// How soon to look again while something is on its way.
const SOON: Duration = Duration::from_secs(5);
/// How often to look who is online and whether somebody else changed the group.
const RESYNC: Duration = Duration::from_secs(30);
/// Most steps of one run; one that needs more goes on in the next.
const STEPS_MAX: usize = 4;

/// What reconciling ConsumerGroups needs.
pub struct Groups {
    /// What all kinds need.
    pub base: Arc<Context>,
    /// All ConsumerGroups.
    pub all: Store<ConsumerGroup>,
}

/// The name on the brokers.
#[must_use]
pub fn name(group: &ConsumerGroup) -> String {
    group.spec.group_name.clone().unwrap_or_else(|| group.name_any())
}

/// Brings the group a step nearer to its spec.
///
/// # Errors
/// When the API server could not be read or written; the run is to be repeated.
pub async fn reconcile(
    group: Arc<ConsumerGroup>,
    groups: Arc<Groups>,
) -> Result<Action, ReconcileError> {
    let base = &groups.base;
    let namespace = group.namespace().unwrap_or_default();
    let fleet = base.fleets.find(&base.client, &namespace, &group.spec.cluster_ref.name).await?;
    let mut run = Run { group: &group, base, status: group.status.clone().unwrap_or_default() };
    if group.metadata.deletion_timestamp.is_some() {
        return run.delete(fleet).await;
    }
    base.writer.hold(group.as_ref()).await?;
    run.status.group_name = Some(name(&group));
    if let Some(owner) = rival(&group, &groups.all) {
        let message =
            format!("ConsumerGroup {owner} is older and has the same name: delete one of them");
        return run.rest(Verdict::stuck(NAME_IN_USE, message)).await;
    }
    let named = match Group::new(&name(&group)) {
        Ok(named) => named,
        Err(error) => return run.rest(Verdict::stuck("Invalid", error.to_string())).await,
    };
    let fleet = match fleet {
        Ok(fleet) => fleet,
        Err(absent) => return run.wait(absent).await,
    };
    match Box::pin(run.advance(&named, &fleet)).await {
        Ok(verdict) => run.rest(verdict).await,
        Err(Trouble::Brokers(error)) if is_refusal(&error) => {
            run.rest(Verdict::stuck("Refused", error.to_string())).await
        }
        Err(Trouble::Brokers(error)) => run.wait(Absent::Starting(error.to_string())).await,
        Err(Trouble::Kubernetes(error)) => Err(error),
    }
}

/// The older ConsumerGroup that has the same name on the same cluster.
fn rival(group: &ConsumerGroup, all: &Store<ConsumerGroup>) -> Option<String> {
    let state = all.state();
    let same = state.iter().filter(|other| {
        other.namespace() == group.namespace()
            && other.spec.cluster_ref == group.spec.cluster_ref
            && name(other) == name(group)
    });
    older_rival(&group.metadata, same.map(|other| &other.metadata)).and_then(|m| m.name.clone())
}

enum Trouble {
    Brokers(ClientError),
    Kubernetes(ReconcileError),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Brokers(error)
    }
}

struct Run<'a> {
    group: &'a ConsumerGroup,
    base: &'a Context,
    /// The status as it will be stored.
    status: ConsumerGroupStatus,
}

impl Run<'_> {
    /// Takes steps until there is none to take.
    async fn advance(&mut self, group: &Group, fleet: &Fleet) -> Result<Verdict, Trouble> {
        let spec = &self.group.spec;
        let was_synced = WasSynced::of(
            &self.group.status.clone().unwrap_or_default().conditions,
            self.group.metadata.generation,
        );
        for _ in 0..STEPS_MAX {
            let lives = observe(group, fleet).await?;
            self.status.members = Some(members(group, fleet).await?);
            let past = Past { claim: self.status.claim, was_synced };
            match plan::next(group, spec, &policies(self.group), &lives, past) {
                Step::Rest(verdict) => return Ok(verdict),
                Step::Claim(claim) => {
                    self.status.claim = Some(claim);
                    let written = self.base.writer.status(self.group, &self.status).await;
                    written.map_err(|error| Trouble::Kubernetes(error.into()))?;
                }
                Step::Write(writes) => self.write(group, fleet, &writes).await?,
            }
        }
        Ok(Verdict::working("Applying", "The brokers are being changed."))
    }

    async fn write(
        &self,
        group: &Group,
        fleet: &Fleet,
        writes: &[(String, SubscriptionGroupConfig)],
    ) -> Result<(), Trouble> {
        for (name, config) in writes {
            let Some(broker) = fleet.brokers.iter().find(|b| b.name == *name) else { continue };
            let admin = fleet.admin.broker(&broker.address);
            admin.upsert_group(config).await?;
            grow_retry_topic(group, config.retry_queue_nums, &admin).await?;
            let note = format!("Applied the settings of {group} on {name}");
            let happening = Happening::normal("Applied", "Apply", note);
            self.base.events.publish(&self.group.object_ref(&()), happening).await;
        }
        Ok(())
    }

    /// Nobody to speak to: what was true stays said, what was not is explained.
    async fn wait(&mut self, absent: Absent) -> Result<Action, ReconcileError> {
        let generation = self.group.metadata.generation;
        if WasSynced::of(&self.status.conditions, generation) == WasSynced::Yes {
            return Ok(Action::requeue(SOON));
        }
        self.status.members = None;
        let name = &self.group.spec.cluster_ref.name;
        let verdict = match absent {
            Absent::Gone => Verdict::working(
                "ClusterMissing",
                format!("There is no BrokerCluster {name} here."),
            ),
            Absent::Starting(why) => Verdict::working(
                "WaitingForBrokers",
                format!("Waiting for BrokerCluster {name}: {why}"),
            ),
        };
        self.rest(verdict).await
    }

    /// Ends the run: stores the status if it differs.
    async fn rest(&mut self, verdict: Verdict) -> Result<Action, ReconcileError> {
        let stored = self.group.status.clone().unwrap_or_default();
        let generation = self.group.metadata.generation;
        let findings = declared::findings(&verdict, vec![activity(self.status.members)]);
        self.status.observed_generation = generation;
        self.status.conditions =
            condition::merge(&stored.conditions, findings, generation, Timestamp::now());
        if stored != self.status {
            self.base.writer.status(self.group, &self.status).await?;
            for happening in Happening::between(&stored.conditions, &self.status.conditions) {
                self.base.events.publish(&self.group.object_ref(&()), happening).await;
            }
        }
        Ok(Action::requeue(if verdict == Verdict::Synced { RESYNC } else { SOON }))
    }

    async fn delete(&mut self, fleet: Result<Fleet, Absent>) -> Result<Action, ReconcileError> {
        if !self.group.finalizers().iter().any(|f| f == FINALIZER) {
            return Ok(Action::await_change());
        }
        let policy = policies(self.group).deletion;
        let named = Group::new(&name(self.group));
        let (Ok(named), Some(_), false) =
            (named, self.status.claim, policy == DeletionPolicy::Retain)
        else {
            return self.release().await;
        };
        let fleet = match fleet {
            Ok(fleet) => fleet,
            Err(Absent::Gone) => return self.release().await,
            Err(Absent::Starting(why)) => {
                return self.rest(Verdict::working("Deleting", format!("Waiting: {why}"))).await;
            }
        };
        match Box::pin(remove(&named, policy, &fleet)).await {
            Ok(0) => self.release().await,
            Ok(online) => {
                let message = format!("{online} members of {named} are still online");
                self.rest(Verdict::stuck("MembersOnline", message)).await
            }
            Err(error) => self.rest(Verdict::working("Deleting", error.to_string())).await,
        }
    }

    async fn release(&self) -> Result<Action, ReconcileError> {
        self.base.writer.release(self.group).await?;
        Ok(Action::await_change())
    }
}

fn policies(group: &ConsumerGroup) -> Policies {
    Policies {
        adoption: group.spec.adoption.unwrap_or_default(),
        drift: group.spec.drift.unwrap_or_default(),
        deletion: group.spec.deletion_policy.unwrap_or_default(),
    }
}

async fn observe(group: &Group, fleet: &Fleet) -> Result<Vec<Live>, ClientError> {
    let mut lives = Vec::with_capacity(fleet.brokers.len());
    for broker in &fleet.brokers {
        let config = fleet.admin.broker(&broker.address).group(group).await?;
        lives.push(Live { broker: broker.name.clone(), config });
    }
    Ok(lives)
}

/// Clients that are online on any broker. Each is counted once: a member speaks to all brokers.
async fn members(group: &Group, fleet: &Fleet) -> Result<u32, ClientError> {
    let mut ids = BTreeSet::new();
    for broker in &fleet.brokers {
        let online = fleet.admin.broker(&broker.address).consumer_connection(group).await?;
        let clients = online.into_iter().flat_map(|online| online.connection_set);
        ids.extend(clients.map(|client| client.client_id));
    }
    Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
}

/// A broker makes a group's retry topic once and leaves it; more retry queues are of use only if the
/// topic has them too.
async fn grow_retry_topic(
    group: &Group,
    queues: i32,
    admin: &gantry_client::BrokerAdmin<'_>,
) -> Result<(), ClientError> {
    let queues = u32::try_from(queues).unwrap_or(0);
    let Some(mut config) = admin.topic(&Topic::retry_of(group)).await? else { return Ok(()) };
    if config.read_queue_nums >= queues && config.write_queue_nums >= queues {
        return Ok(());
    }
    config.read_queue_nums = config.read_queue_nums.max(queues);
    config.write_queue_nums = config.write_queue_nums.max(queues);
    admin.upsert_topic(&config).await
}

/// Deletes the group, its offsets, and its retry and dead-letter topics; with `DeleteIfEmpty` only if
/// nobody is online. Returns the members that are in the way.
async fn remove(group: &Group, policy: DeletionPolicy, fleet: &Fleet) -> Result<u32, ClientError> {
    if policy == DeletionPolicy::DeleteIfEmpty {
        let online = members(group, fleet).await?;
        if online > 0 {
            return Ok(online);
        }
    }
    for broker in &fleet.brokers {
        let admin = fleet.admin.broker(&broker.address);
        admin.delete_group(group, Offsets::Deleted).await?;
        for topic in [Topic::retry_of(group), Topic::dlq_of(group)] {
            admin.delete_topic(&topic).await?;
        }
    }
    for topic in [Topic::retry_of(group), Topic::dlq_of(group)] {
        fleet.admin.forget_topic(&fleet.cluster, &topic).await?;
    }
    Ok(0)
}
