//! Backlog: counts what every consumer group has not consumed, also while no member is online.
//!
//! Groups and topics come from the brokers (settings, offsets, members) and from the ConsumerGroups that
//! declare subscriptions. Only masters are asked, and only by the replica that leads. A group that
//! consumes as broadcast has no backlog: its offsets lie with its members.

pub mod count;
pub mod metrics;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use gantry_client::{
    BrokerAdmin, ClientError, Consumer, Queue as QueueName, Wanted,
    body::{ConsumeStats, MessageModel, MessageQueue, TopicOffset},
};
use gantry_model::{Group, Millis, QueueId, QueueOffset, Topic};
use kube::{ResourceExt, runtime::reflector::Store};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::{
    count::{Lag, Queue, is_of_the_system, lag},
    metrics::{Board, ClusterKey, Pair},
};
use crate::{
    crd::{BrokerCluster, ConsumerGroup, StartFrom},
    fleet::{Broker, Fleet, Fleets},
    group,
};

/// How often backlogs are counted.
const PERIOD: Duration = Duration::from_secs(5);
/// Longest counting of one cluster.
const PATIENCE: Duration = Duration::from_secs(60);
/// Groups of a cluster that are counted at once.
const CONCURRENCY: usize = 8;
/// The group as which the first message of a backlog is looked at; every broker has it.
const ONLOOKER: &str = "TOOLS_CONSUMER";

/// Where the first message of a backlog was, and when it was stored: while the group does not move, it
/// need not be looked at again.
type Heads = HashMap<(QueueName, QueueOffset), Millis>;

/// Counts backlogs.
pub struct Counter {
    /// All BrokerClusters.
    pub clusters: Store<BrokerCluster>,
    /// All ConsumerGroups.
    pub groups: Store<ConsumerGroup>,
    /// Connections to the brokers.
    pub fleets: Arc<Fleets>,
    /// Where the result is shown.
    pub board: Board,
}

/// What the ConsumerGroups of a cluster say of one group.
#[derive(Debug, Clone, Default)]
struct Declared {
    topics: BTreeSet<String>,
    start_from: StartFrom,
}

impl Counter {
    /// Counts again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut heads: BTreeMap<ClusterKey, Heads> = BTreeMap::new();
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.round(&mut heads) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn round(&self, heads: &mut BTreeMap<ClusterKey, Heads>) {
        let mut exist = Vec::new();
        for cluster in self.clusters.state() {
            let Ok(fleet) = self.fleets.of(&cluster) else { continue };
            let key = (cluster.namespace().unwrap_or_default(), fleet.cluster.clone());
            exist.push(key.clone());
            let round = Round {
                fleet: &fleet,
                declared: self.declared(&cluster),
                known: heads.remove(&key).unwrap_or_default(),
                heads: Mutex::default(),
            };
            match tokio::time::timeout(PATIENCE, Box::pin(round.count())).await {
                Ok(Ok(lags)) => self.board.show(key.clone(), lags),
                Ok(Err(error)) => tracing::warn!(cluster = key.1, %error, "backlog not counted"),
                Err(_) => tracing::warn!(cluster = key.1, "backlog not counted in time"),
            }
            heads.insert(key, round.heads.into_inner());
        }
        heads.retain(|key, _| exist.contains(key));
        self.board.retain(&exist);
    }

    fn declared(&self, cluster: &BrokerCluster) -> BTreeMap<String, Declared> {
        let state = self.groups.state();
        let of_cluster = state.iter().filter(|group| {
            group.namespace() == cluster.namespace()
                && group.spec.cluster_ref.name == cluster.name_any()
        });
        let declared = of_cluster.map(|group| {
            let declared = Declared {
                topics: group.spec.subscriptions.iter().map(|s| s.topic.clone()).collect(),
                start_from: group.spec.start_from.unwrap_or_default(),
            };
            (group::name(group), declared)
        });
        declared.collect()
    }
}

/// One counting of one cluster.
struct Round<'a> {
    fleet: &'a Fleet,
    declared: BTreeMap<String, Declared>,
    /// Of the last round.
    known: Heads,
    /// Of this round.
    heads: Mutex<Heads>,
}

/// What one broker says of a topic's queues.
type Offsets = Arc<BTreeMap<MessageQueue, TopicOffset>>;

impl Round<'_> {
    async fn count(&self) -> Result<BTreeMap<Pair, Lag>, ClientError> {
        let mut groups: BTreeSet<String> = self.declared.keys().cloned().collect();
        let mut topics: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for broker in &self.fleet.brokers {
            let admin = self.admin(broker);
            groups.extend(admin.groups().await?.subscription_group_table.into_keys());
            let has = admin.topics().await?.topic_config_table.into_keys().collect();
            topics.insert(&broker.name, has);
        }
        let offsets = Mutex::new(HashMap::new());
        let mut countings = Vec::new();
        for name in groups.iter().filter(|name| !is_of_the_system(name)) {
            if let Ok(group) = Group::new(name) {
                countings.push(self.group(group, &topics, &offsets).boxed());
            }
        }
        let counted: Vec<Vec<(Pair, Lag)>> =
            stream::iter(countings).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(counted.into_iter().flatten().collect())
    }

    /// The backlog of one group in each of its topics.
    async fn group(
        &self,
        group: Group,
        topics: &BTreeMap<&str, BTreeSet<String>>,
        offsets: &Mutex<HashMap<(String, String), Offsets>>,
    ) -> Result<Vec<(Pair, Lag)>, ClientError> {
        let declared = self.declared.get(group.as_str()).cloned().unwrap_or_default();
        let mut consumed: BTreeSet<String> = declared.topics;
        consumed.insert(Topic::retry_of(&group).to_string());
        let mut stats = BTreeMap::new();
        for broker in &self.fleet.brokers {
            let admin = self.admin(broker);
            let found = admin.consume_stats(&group, None).await.or_else(nothing_if_refused)?;
            let online = admin.consumer_connection(&group).await?;
            if online.as_ref().is_some_and(|o| o.message_model == MessageModel::Broadcasting) {
                return Ok(Vec::new());
            }
            let is_online = online.is_some();
            consumed.extend(online.into_iter().flat_map(|o| o.subscription_table.into_keys()));
            consumed.extend(found.offset_table.keys().map(|queue| queue.topic.clone()));
            stats.insert(broker.name.as_str(), (found, is_online));
        }
        let mut lags = Vec::new();
        for topic in consumed.iter().filter(|name| !is_of_the_system(name)) {
            let Ok(topic) = Topic::new(topic) else { continue };
            let mut queues = Vec::new();
            let has = |broker: &&Broker| {
                let known = topics.get(broker.name.as_str());
                known.is_some_and(|known| known.contains(topic.as_str()))
            };
            for broker in self.fleet.brokers.iter().filter(has) {
                let ends = self.offsets(broker, &topic, offsets).await?;
                let of = (&group, declared.start_from);
                let said = stats.get(broker.name.as_str());
                queues.extend(self.queues(of, broker, said, &ends).await?);
            }
            if !queues.is_empty() {
                let pair = (group.to_string(), topic.to_string());
                lags.push((pair, lag(&queues, declared.start_from, now())));
            }
        }
        Ok(lags)
    }

    async fn offsets(
        &self,
        broker: &Broker,
        topic: &Topic,
        cache: &Mutex<HashMap<(String, String), Offsets>>,
    ) -> Result<Offsets, ClientError> {
        let key = (broker.name.clone(), topic.to_string());
        if let Some(found) = cache.lock().get(&key) {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(self.admin(broker).topic_stats(topic).await?.offset_table);
        cache.lock().insert(key, Arc::clone(&found));
        Ok(found)
    }

    async fn queues(
        &self,
        (group, start_from): (&Group, StartFrom),
        broker: &Broker,
        said: Option<&(ConsumeStats, bool)>,
        ends: &BTreeMap<MessageQueue, TopicOffset>,
    ) -> Result<Vec<Queue>, ClientError> {
        let online = said.is_some_and(|(_, online)| *online);
        let mut queues = Vec::with_capacity(ends.len());
        for (name, end) in ends {
            let Ok(topic) = Topic::new(&name.topic) else { continue };
            let wrapper = said.and_then(|(stats, _)| stats.offset_table.get(name));
            // 0 stands for "never said" too (AdminBrokerProcessor.getConsumeStats), so ask again.
            let committed = match wrapper.and_then(|w| w.consumer_offset.get()) {
                Some(offset) if offset > QueueOffset::ZERO => Some(offset),
                _ => self.admin(broker).committed(group, &topic, name.queue_id).await?,
            };
            let fetched = wrapper.filter(|_| online).and_then(|w| w.pull_offset.get());
            let mut queue = Queue {
                min: end.min_offset.get().unwrap_or_default().0,
                max: end.max_offset.get().unwrap_or_default().0,
                committed: committed.map(|offset| offset.0),
                fetched: fetched.map(|offset| offset.0),
                head_stored: None,
            };
            let head = queue.head(start_from);
            if head < queue.max {
                queue.head_stored =
                    self.head_stored(broker, (topic, name.queue_id), QueueOffset(head)).await;
            }
            queues.push(queue);
        }
        Ok(queues)
    }

    /// When the message was stored. Its age is missing, not the whole counting, if it cannot be read.
    async fn head_stored(
        &self,
        broker: &Broker,
        (topic, id): (Topic, QueueId),
        head: QueueOffset,
    ) -> Option<Millis> {
        let name = QueueName { topic, broker: broker.name.clone(), id };
        let key = (name, head);
        if let Some(stored) = self.known.get(&key).copied() {
            self.heads.lock().insert(key, stored);
            return Some(stored);
        }
        let onlooker = Consumer::new(self.fleet.admin.client(), Group::new(ONLOOKER).ok()?);
        let wanted = Wanted { messages: 1, ..Wanted::default() };
        match onlooker.pull(&key.0, head, &wanted).await {
            Ok(pulled) => {
                let stored = pulled.messages.first()?.stored;
                self.heads.lock().insert(key, stored);
                Some(stored)
            }
            Err(error) => {
                tracing::debug!(queue = %key.0, %error, "first message of a backlog not read");
                None
            }
        }
    }

    fn admin<'b>(&'b self, broker: &'b Broker) -> BrokerAdmin<'b> {
        self.fleet.admin.broker(&broker.address)
    }
}

/// A broker refuses where it has nothing to tell, as for a group that was just deleted.
fn nothing_if_refused(error: ClientError) -> Result<ConsumeStats, ClientError> {
    if error.code().is_some() { Ok(ConsumeStats::default()) } else { Err(error) }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
