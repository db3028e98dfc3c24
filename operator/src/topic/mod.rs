//! Topic: created, adopted, grown, corrected and deleted on every broker group of its cluster.

pub mod plan;

use std::{sync::Arc, time::Duration};

use gantry_client::{ClientError, body::TopicConfig};
use gantry_model::Topic as TopicName;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    runtime::{controller::Action, reflector::Store},
};

use self::plan::{Audience, Facts, Live, Step, Want};
use crate::{
    apply::FINALIZER,
    condition,
    context::{Context, ReconcileError},
    crd::{DeletionPolicy, Topic, TopicGroupStatus, TopicStatus},
    declared::{self, NAME_IN_USE, Past, Policies, Verdict, WasSynced, older_rival},
    events::Happening,
    fleet::{Absent, Fleet, is_refusal},
};

/// How soon to look again while something is on its way.
const SOON: Duration = Duration::from_secs(5);
/// How often to look for changes that somebody else made on the brokers.
const RESYNC: Duration = Duration::from_secs(120);
/// Most steps of one run; one that needs more goes on in the next.
const STEPS_MAX: usize = 6;

/// What reconciling Topics needs.
pub struct Topics {
    /// What all kinds need.
    pub base: Arc<Context>,
    /// All Topics.
    pub all: Store<Topic>,
}

/// The name on the brokers.
#[must_use]
pub fn name(topic: &Topic) -> String {
    topic.spec.topic_name.clone().unwrap_or_else(|| topic.name_any())
}

/// Brings the topic a step nearer to its spec.
///
/// # Errors
/// When the API server could not be read or written; the run is to be repeated.
pub async fn reconcile(topic: Arc<Topic>, topics: Arc<Topics>) -> Result<Action, ReconcileError> {
    let base = &topics.base;
    let namespace = topic.namespace().unwrap_or_default();
    let fleet = base.fleets.find(&base.client, &namespace, &topic.spec.cluster_ref.name).await?;
    let mut run = Run { topic: &topic, base, status: topic.status.clone().unwrap_or_default() };
    if topic.metadata.deletion_timestamp.is_some() {
        return run.delete(fleet).await;
    }
    base.writer.hold(topic.as_ref()).await?;
    run.status.topic_name = Some(name(&topic));
    if let Some(owner) = rival(&topic, &topics.all) {
        let message = format!("Topic {owner} is older and has the same name: delete one of them");
        return run.rest(Verdict::stuck(NAME_IN_USE, message)).await;
    }
    let want = match TopicName::new(&name(&topic)) {
        Ok(name) => Want {
            topic: name,
            queues: topic.spec.queues,
            perm: plan::perm(topic.spec.permission.unwrap_or_default()),
        },
        Err(error) => return run.rest(Verdict::stuck("Invalid", error.to_string())).await,
    };
    let fleet = match fleet {
        Ok(fleet) => fleet,
        Err(absent) => return run.wait(absent).await,
    };
    match Box::pin(run.advance(&want, &fleet)).await {
        Ok(verdict) => run.rest(verdict).await,
        Err(Trouble::Brokers(error)) if is_refusal(&error) => {
            run.rest(Verdict::stuck("Refused", error.to_string())).await
        }
        Err(Trouble::Brokers(error)) => run.wait(Absent::Starting(error.to_string())).await,
        Err(Trouble::Kubernetes(error)) => Err(error),
    }
}

/// The older Topic that has the same name on the same cluster.
fn rival(topic: &Topic, all: &Store<Topic>) -> Option<String> {
    let state = all.state();
    let same = state.iter().filter(|other| {
        other.namespace() == topic.namespace()
            && other.spec.cluster_ref == topic.spec.cluster_ref
            && name(other) == name(topic)
    });
    older_rival(&topic.metadata, same.map(|other| &other.metadata)).and_then(|m| m.name.clone())
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
    topic: &'a Topic,
    base: &'a Context,
    /// The status as it will be stored.
    status: TopicStatus,
}

impl Run<'_> {
    /// Takes steps until there is none to take.
    async fn advance(&mut self, want: &Want, fleet: &Fleet) -> Result<Verdict, Trouble> {
        let policies = policies(self.topic);
        for _ in 0..STEPS_MAX {
            let lives = observe(want, fleet).await?;
            self.note(&lives);
            let facts = self.facts(want, fleet, &lives).await?;
            match plan::next(want, &policies, &lives, &facts) {
                Step::Rest(verdict) => return Ok(verdict),
                Step::Claim(claim) => {
                    self.status.claim = Some(claim);
                    self.store().await?;
                }
                Step::Readable => {
                    self.status.readable_since = Some(facts.now.to_string());
                    self.store().await?;
                }
                Step::Write(writes) => self.write(fleet, &writes, &lives).await?,
            }
        }
        Ok(Verdict::working("Applying", "The brokers are being changed."))
    }

    async fn write(
        &self,
        fleet: &Fleet,
        writes: &[(String, TopicConfig)],
        lives: &[Live],
    ) -> Result<(), Trouble> {
        for (name, config) in writes {
            if let Some(broker) = fleet.brokers.iter().find(|broker| broker.name == *name) {
                fleet.admin.broker(&broker.address).upsert_topic(config).await?;
            }
        }
        self.tell(writes, lives).await;
        Ok(())
    }

    async fn facts(&self, want: &Want, fleet: &Fleet, lives: &[Live]) -> Result<Facts, Trouble> {
        let growing = lives.iter().filter_map(|live| live.config.as_ref());
        let growing = growing.clone().any(|c| c.write_queue_nums < want.queues);
        let audience = if growing { audience(want, fleet).await? } else { Audience::Absent };
        Ok(Facts {
            past: Past {
                claim: self.status.claim,
                was_synced: WasSynced::of(
                    &self.topic.status.clone().unwrap_or_default().conditions,
                    self.topic.metadata.generation,
                ),
            },
            readable_since: self.status.readable_since.as_ref().and_then(|at| at.parse().ok()),
            audience,
            now: Timestamp::now(),
        })
    }

    fn note(&mut self, lives: &[Live]) {
        let status = |live: &Live| {
            let config = live.config.as_ref()?;
            Some(TopicGroupStatus {
                broker_group: live.broker.clone(),
                read_queues: config.read_queue_nums,
                write_queues: config.write_queue_nums,
                perm: u32::from(config.perm.bits()),
            })
        };
        self.status.groups = lives.iter().filter_map(status).collect();
        self.status.queues =
            self.status.groups.iter().map(|g| g.read_queues.min(g.write_queues)).min();
    }

    async fn tell(&self, writes: &[(String, TopicConfig)], lives: &[Live]) {
        for (broker, config) in writes {
            let existed = lives.iter().any(|live| live.broker == *broker && live.config.is_some());
            let (reason, verb) =
                if existed { ("Changed", "Changed") } else { ("Created", "Created") };
            let note = format!(
                "{verb} {} on {broker}: {} queues to read, {} to write, permission {}",
                config.topic_name,
                config.read_queue_nums,
                config.write_queue_nums,
                config.perm.bits()
            );
            let happening = Happening::normal(reason, "Apply", note);
            self.base.events.publish(&self.topic.object_ref(&()), happening).await;
        }
    }

    /// Stores the status in the middle of a run, without a verdict.
    async fn store(&self) -> Result<(), Trouble> {
        let written = self.base.writer.status(self.topic, &self.status).await;
        written.map_err(|error| Trouble::Kubernetes(error.into()))
    }

    /// Nobody to speak to: what was true stays said, what was not is explained.
    async fn wait(&mut self, absent: Absent) -> Result<Action, ReconcileError> {
        let generation = self.topic.metadata.generation;
        if WasSynced::of(&self.status.conditions, generation) == WasSynced::Yes {
            return Ok(Action::requeue(SOON));
        }
        let name = &self.topic.spec.cluster_ref.name;
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
        let stored = self.topic.status.clone().unwrap_or_default();
        let generation = self.topic.metadata.generation;
        let findings = declared::findings(&verdict, Vec::new());
        if verdict == Verdict::Synced {
            self.status.readable_since = None;
        }
        self.status.observed_generation = generation;
        self.status.conditions =
            condition::merge(&stored.conditions, findings, generation, Timestamp::now());
        if stored != self.status {
            self.base.writer.status(self.topic, &self.status).await?;
            for happening in Happening::between(&stored.conditions, &self.status.conditions) {
                self.base.events.publish(&self.topic.object_ref(&()), happening).await;
            }
        }
        Ok(Action::requeue(if verdict == Verdict::Synced { RESYNC } else { SOON }))
    }

    async fn delete(&mut self, fleet: Result<Fleet, Absent>) -> Result<Action, ReconcileError> {
        if !self.topic.finalizers().iter().any(|f| f == FINALIZER) {
            return Ok(Action::await_change());
        }
        let policy = policies(self.topic).deletion;
        let name = TopicName::new(&name(self.topic));
        let (Ok(name), Some(_), false) =
            (name, self.status.claim, policy == DeletionPolicy::Retain)
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
        match Box::pin(remove(&name, policy, &fleet)).await {
            Ok(0) => self.release().await,
            Ok(left) => {
                let message = format!(
                    "{name} still holds {left} messages: they go when they are old enough, or set deletionPolicy: Delete"
                );
                self.rest(Verdict::stuck("NotEmpty", message)).await
            }
            Err(error) => self.rest(Verdict::working("Deleting", error.to_string())).await,
        }
    }

    async fn release(&self) -> Result<Action, ReconcileError> {
        self.base.writer.release(self.topic).await?;
        Ok(Action::await_change())
    }
}

fn policies(topic: &Topic) -> Policies {
    Policies {
        adoption: topic.spec.adoption.unwrap_or_default(),
        drift: topic.spec.drift.unwrap_or_default(),
        deletion: topic.spec.deletion_policy.unwrap_or_default(),
    }
}

async fn observe(want: &Want, fleet: &Fleet) -> Result<Vec<Live>, ClientError> {
    let mut lives = Vec::with_capacity(fleet.brokers.len());
    for broker in &fleet.brokers {
        let config = fleet.admin.broker(&broker.address).topic(&want.topic).await?;
        lives.push(Live { broker: broker.name.clone(), config });
    }
    Ok(lives)
}

/// Whether any group that consumes the topic has members online.
async fn audience(want: &Want, fleet: &Fleet) -> Result<Audience, ClientError> {
    for broker in &fleet.brokers {
        let admin = fleet.admin.broker(&broker.address);
        for group in admin.groups_of(&want.topic).await.or_else(none_if_refused)? {
            let Ok(group) = gantry_model::Group::new(&group) else { continue };
            let members = admin.consumer_connection(&group).await?;
            if members.is_some_and(|members| !members.connection_set.is_empty()) {
                return Ok(Audience::Present);
            }
        }
    }
    Ok(Audience::Absent)
}

/// A broker refuses where it has nothing to tell.
fn none_if_refused(error: ClientError) -> Result<Vec<String>, ClientError> {
    if error.code().is_some() { Ok(Vec::new()) } else { Err(error) }
}

/// Deletes the topic everywhere; with `DeleteIfEmpty` only if that loses nothing. Returns the messages
/// that are in the way.
async fn remove(
    topic: &TopicName,
    policy: DeletionPolicy,
    fleet: &Fleet,
) -> Result<u64, ClientError> {
    if policy == DeletionPolicy::DeleteIfEmpty {
        let mut left = 0_u64;
        for broker in &fleet.brokers {
            let admin = fleet.admin.broker(&broker.address);
            if admin.topic(topic).await?.is_none() {
                continue;
            }
            let offsets = admin.topic_stats(topic).await?.offset_table;
            let held = |(max, min): (Option<gantry_model::QueueOffset>, Option<_>)| {
                max.unwrap_or_default().since(min.unwrap_or_default())
            };
            left += offsets
                .values()
                .map(|o| held((o.max_offset.get(), o.min_offset.get())))
                .sum::<u64>();
        }
        if left > 0 {
            return Ok(left);
        }
    }
    for broker in &fleet.brokers {
        fleet.admin.broker(&broker.address).delete_topic(topic).await?;
    }
    fleet.admin.forget_topic(&fleet.cluster, topic).await?;
    Ok(0)
}
