//! The route tables: which topic has queues on which broker group, and which members a group has.
//!
//! The five tables of Apache RocketMQ's `RouteInfoManager` (topicQueueTable, brokerAddrTable,
//! clusterAddrTable, brokerLiveTable, filterServerTable) as one synchronous value; time is an argument.
//!
//! Invariants:
//! - A topic is listed exactly while some group has queues of it, a group while it has a member, a
//!   cluster while it has a group.
//! - Every member of a group has an entry in `live`, under its cluster and address, and the other way round.
//! - Whoever held a mastership with a lower epoch than one already seen can neither replace, nor remove,
//!   nor keep alive what the later master registered.
//!
//! Nothing here knows a socket, a clock or a header.

mod answer;
mod leave;
mod lists;
mod register;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::FixedState;
use gantry_model::{BrokerId, Epoch, Millis, Perm};
use gantry_remoting::wire::body::TopicQueueMappingInfo;

pub use answer::{Route, RouteGroup, in_zone};
pub use leave::Departure;
pub use lists::UnitTopics;
pub use register::{Refused, Registered, Registration};

/// A name that came from outside: of a topic, a broker group, a cluster, or an address. Shared, not copied.
pub type Name = Arc<str>;

/// A table keyed by foreign names. The fixed seed is fine: names come from brokers, which are trusted
/// not to attack a hash table.
type Table<V> = HashMap<Name, V, FixedState>;

/// The id under which a group's master is shown.
pub const MASTER: BrokerId = BrokerId(0);

/// A connection to this NameServer, by the number that the server gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(pub u64);

/// How a topic's configuration at a broker is told from an older one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataVersion {
    /// Grows with each mastership in controller mode, else 0.
    pub state: u64,
    /// When it was changed.
    pub timestamp: Millis,
    /// Counts changes.
    pub counter: u64,
}

/// The queues of one topic in one broker group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    /// Queues that may be read.
    pub read: u32,
    /// Queues that may be written.
    pub write: u32,
    /// What clients may do.
    pub perm: Perm,
    /// Bit 0: a topic of a unit; bit 1: subscribed by units.
    pub sys_flag: u32,
}

/// The part of a static topic that one group serves, as the broker sent it; it is passed on unread.
pub type Mapping = Arc<TopicQueueMappingInfo>;

/// What the operator of the server decided about the tables' behaviour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// `supportActingMaster`: a slave may stand in for a missing master.
    pub acting_master: bool,
    /// `deleteTopicWithBrokerRegistration`: a registration is the whole list of a group's topics.
    pub registration_is_complete: bool,
    /// `notifyMinBrokerIdChanged`: tell the members of a group who has its smallest id.
    pub announce_smallest: bool,
}

/// Tells the members of a group that its smallest id has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallestChanged {
    /// The group.
    pub group: Name,
    /// The smallest id now.
    pub id: BrokerId,
    /// Whose it is.
    pub addr: Name,
    /// Who left, if that was the reason.
    pub left: Option<Name>,
    /// Where the newcomer's replication listens.
    pub ha: Option<Name>,
    /// Which members to tell.
    pub tell: Vec<Name>,
}

/// For how long the epoch of a group's last master is remembered after the group has left.
pub const EPOCH_MEMORY: Millis = Millis(60_000);

/// The tables.
#[derive(Debug, Default)]
pub struct Routes {
    topics: Table<Topic>,
    groups: BTreeMap<Name, Group>,
    clusters: BTreeMap<Name, BTreeSet<Name>>,
    live: HashMap<Address, Live, FixedState>,
    filter_servers: BTreeMap<Address, Vec<Name>>,
    /// Epochs of masters, also of groups that have left.
    masterships: Table<Mastership>,
    /// Raised when something changes that the routes of many topics depend on.
    generation: u64,
}

#[derive(Debug, Default)]
struct Topic {
    queues: BTreeMap<Name, Queues>,
    mappings: BTreeMap<Name, Mapping>,
    /// Raised with each change; never goes down while the topic exists.
    revision: u64,
}

#[derive(Debug)]
struct Group {
    cluster: Name,
    zone: Option<Name>,
    acting_master: bool,
    members: BTreeMap<BrokerId, Name>,
    topics: HashSet<Name, FixedState>,
}

impl Group {
    fn smallest(&self) -> Option<(BrokerId, &Name)> {
        self.members.first_key_value().map(|(id, addr)| (*id, addr))
    }

    fn has_master(&self) -> bool {
        self.members.contains_key(&MASTER)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Address {
    cluster: Name,
    addr: Name,
}

#[derive(Debug)]
struct Live {
    group: Name,
    id: BrokerId,
    seen: Millis,
    timeout: Millis,
    version: DataVersion,
    epoch: Option<Epoch>,
    link: Link,
    ha: Option<Name>,
}

#[derive(Debug, Clone, Copy)]
struct Mastership {
    epoch: Epoch,
    /// When a master of this epoch was last heard of or left.
    last: Millis,
}

/// Tells whether the route of a topic has changed since an answer was made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    generation: u64,
    revision: u64,
}

impl Routes {
    /// What the route of a topic depends on; `None` when there is no such topic.
    #[must_use]
    pub fn stamp(&self, topic: &str) -> Option<Stamp> {
        let revision = self.topics.get(topic)?.revision;
        Some(Stamp { generation: self.generation, revision })
    }

    /// Makes every stamp given so far differ from those given from now on: for changes elsewhere that
    /// show in routes.
    pub fn touch(&mut self) {
        self.generation += 1;
    }

    /// A broker's own way to say that it lives (BROKER_HEARTBEAT). A late master's is not heard.
    pub fn heartbeat(&mut self, cluster: &str, addr: &str, epoch: Option<Epoch>, now: Millis) {
        let Some(live) = self.live.get_mut(&address(cluster, addr)) else { return };
        if is_late(epoch, live.epoch) {
            return;
        }
        live.seen = live.seen.max(now);
        if let (MASTER, Some(mastership)) = (live.id, self.masterships.get_mut(&live.group)) {
            mastership.last = mastership.last.max(now);
        }
    }

    /// The version that a broker registered last, if it is registered.
    #[must_use]
    pub fn version(&self, cluster: &str, addr: &str) -> Option<DataVersion> {
        self.live.get(&address(cluster, addr)).map(|live| live.version)
    }

    /// Takes the right to write to all topics of a group, until it registers them anew, or gives it back.
    /// Returns how many topics the group has.
    pub fn allow_writes(&mut self, group: &str, writes: Writes) -> usize {
        let Some(group) = self.groups.get_key_value(group).map(|(name, _)| Arc::clone(name)) else {
            return 0;
        };
        self.change_queues(&group, |queues| {
            queues.perm = match writes {
                Writes::Refused => queues.perm.without(Perm::WRITE),
                Writes::Allowed => Perm::READ_WRITE,
            };
        })
    }

    /// Applies `change` to every topic of a group; returns how many there are.
    fn change_queues(&mut self, group: &Name, change: impl Fn(&mut Queues)) -> usize {
        let Some(entry) = self.groups.get(group) else { return 0 };
        for name in &entry.topics {
            let Some(topic) = self.topics.get_mut(name) else { continue };
            let Some(queues) = topic.queues.get_mut(group) else { continue };
            let before = *queues;
            change(queues);
            if *queues != before {
                topic.revision += 1;
            }
        }
        entry.topics.len()
    }

    /// Announces queues of a topic (REGISTER_TOPIC_IN_NAMESRV). Nothing is taken when one of the groups
    /// is not known.
    ///
    /// # Errors
    /// Names the group that is not registered.
    pub fn add_topic(&mut self, topic: &str, queues: &[(&str, Queues)]) -> Result<(), String> {
        if let Some((unknown, _)) = queues.iter().find(|(g, _)| !self.groups.contains_key(*g)) {
            return Err((*unknown).to_owned());
        }
        for (group, queues) in queues {
            if let Some((group, _)) = self.groups.get_key_value(*group) {
                let group = Arc::clone(group);
                self.put_queues(topic, &group, *queues);
            }
        }
        Ok(())
    }

    /// Forgets a topic, in one cluster or everywhere (DELETE_TOPIC_IN_NAMESRV).
    pub fn remove_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(entry) = self.topics.get(topic) else { return };
        let groups: Vec<Name> = entry
            .queues
            .keys()
            .filter(|&group| {
                cluster.is_none_or(|c| self.groups.get(group).is_some_and(|g| &*g.cluster == c))
            })
            .cloned()
            .collect();
        for group in groups {
            self.drop_queues(topic, &group);
        }
    }

    fn put_queues(&mut self, topic: &str, group: &Name, queues: Queues) {
        let name: Name = match self.topics.get_key_value(topic) {
            Some((name, _)) => Arc::clone(name),
            None => topic.into(),
        };
        let entry = self.topics.entry(Arc::clone(&name)).or_default();
        if entry.queues.get(group) != Some(&queues) {
            entry.queues.insert(Arc::clone(group), queues);
            entry.revision += 1;
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.topics.insert(name);
        }
    }

    fn drop_queues(&mut self, topic: &str, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.topics.remove(topic);
        }
        let Some(entry) = self.topics.get_mut(topic) else { return };
        entry.queues.remove(group);
        entry.mappings.remove(group);
        entry.revision += 1;
        if entry.queues.is_empty() {
            self.topics.remove(topic);
            // A topic of that name that comes later begins with its first revision again.
            self.touch();
        }
    }

    /// How much is in the tables, for metrics.
    #[must_use]
    pub fn size(&self) -> Size {
        Size {
            topics: self.topics.len(),
            groups: self.groups.len(),
            clusters: self.clusters.len(),
            brokers: self.live.len(),
        }
    }
}

/// What [`Routes::allow_writes`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// WIPE_WRITE_PERM_OF_BROKER.
    Refused,
    /// ADD_WRITE_PERM_OF_BROKER: topics may be read and written, whatever they allowed before.
    Allowed,
}

/// Entries in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Topics.
    pub topics: usize,
    /// Broker groups.
    pub groups: usize,
    /// Clusters.
    pub clusters: usize,
    /// Brokers that are alive.
    pub brokers: usize,
}

fn address(cluster: &str, addr: &str) -> Address {
    Address { cluster: cluster.into(), addr: addr.into() }
}

/// Whether a message of mastership `message` comes after a later one was seen. Peers without epochs are
/// never late by this rule.
fn is_late(message: Option<Epoch>, seen: Option<Epoch>) -> bool {
    matches!((message, seen), (Some(message), Some(seen)) if message < seen)
}
