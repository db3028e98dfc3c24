//! Which clients consume for which group, and what the group subscribes to. In memory only: clients say
//! it again with every heartbeat.
//!
//! Membership belongs to a connection: it ends with the connection, with an unregistration, or after
//! [`EXPIRY`] of silence. Methods return whom to tell that the group has changed; telling is up to the
//! caller, outside of the lock. `C` is how a client is reached.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use gantry_model::{Group, Millis, tags};
use gantry_remoting::wire::{
    Language,
    body::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData},
};
use parking_lot::Mutex;

/// Silence after which a client is forgotten, in milliseconds (`channelExpiredTimeout`).
pub const EXPIRY: u64 = 120_000;
/// Most groups that one connection may consume for.
pub const GROUPS_PER_CONNECTION_MAX: usize = 10_000;
/// Most topics that one group may subscribe to.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;

/// Names a connection.
pub type ConnectionId = u64;

/// A client on one connection.
#[derive(Debug, Clone)]
pub struct Client<C> {
    /// The connection.
    pub connection: ConnectionId,
    /// The client's own name for itself.
    pub id: String,
    /// Its library's language.
    pub language: Language,
    /// Its library's version.
    pub version: i32,
    /// Where it is.
    pub address: SocketAddr,
    /// How it is reached.
    pub channel: C,
}

/// What members say of their group; the last one to speak counts, as in Java.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Push or pull.
    pub consume: ConsumeType,
    /// Share the queues, or everybody gets everything.
    pub model: MessageModel,
    /// Where a new group begins.
    pub from: ConsumeFromWhere,
}

/// A subscription, with its filter ready for use.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// As the client sent it.
    pub data: SubscriptionData,
    /// Which messages it selects.
    pub filter: Selector,
}

/// Which messages a subscription by tags selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All.
    All,
    /// Those whose tag has one of these hashes. Clients compare the tags themselves once more.
    Hashes(Box<[i64]>),
    /// This broker cannot evaluate the expression.
    Unsupported,
}

impl Selector {
    /// The selector of a subscription as a heartbeat carries it.
    #[must_use]
    pub fn of(data: &SubscriptionData) -> Self {
        if !is_tag(&data.expression_type) {
            return Self::Unsupported;
        }
        if data.sub_string.is_empty() || data.sub_string == "*" {
            return Self::All;
        }
        if data.code_set.is_empty() {
            return Self::parse(&data.sub_string);
        }
        Self::Hashes(data.code_set.iter().map(|code| i64::from(*code)).collect())
    }

    /// The selector of an expression, `a || b`; `*` and nothing are all.
    #[must_use]
    pub fn parse(expression: &str) -> Self {
        let mut tags =
            expression.split("||").map(str::trim).filter(|tag| !tag.is_empty()).peekable();
        if expression.trim().is_empty() || expression.trim() == "*" || tags.peek().is_none() {
            return Self::All;
        }
        Self::Hashes(tags.map(tags::tags_code).collect())
    }

    /// Whether a message with this tag hash is selected. Only the low 32 bits of a hash count, as in Java.
    #[must_use]
    pub fn selects(&self, hash: i64) -> bool {
        match self {
            Self::All => true,
            Self::Hashes(hashes) => hashes.iter().any(|wanted| low(*wanted) == low(hash)),
            Self::Unsupported => false,
        }
    }
}

fn low(hash: i64) -> u32 {
    (hash.cast_unsigned() & 0xFFFF_FFFF) as u32
}

/// Whether an expression selects by tags; an empty type does.
#[must_use]
pub fn is_tag(expression_type: &str) -> bool {
    matches!(expression_type, "" | "TAG")
}

#[derive(Debug)]
struct Member<C> {
    client: Client<C>,
    seen: Millis,
}

#[derive(Debug)]
struct State<C> {
    manner: Manner,
    members: HashMap<ConnectionId, Member<C>>,
    subscriptions: BTreeMap<String, Arc<Subscription>>,
}

/// What a heartbeat says of one group.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The group.
    pub group: &'a Group,
    /// How it consumes.
    pub manner: Manner,
    /// What it subscribes to; `None` in a heartbeat that leaves it as it was.
    pub subscriptions: Option<Vec<SubscriptionData>>,
}

/// What the connections list of a group shows.
#[derive(Debug)]
pub struct GroupView<C> {
    /// How it consumes.
    pub manner: Manner,
    /// Its members.
    pub members: Vec<Client<C>>,
    /// Its subscriptions by topic.
    pub subscriptions: BTreeMap<String, Arc<Subscription>>,
}

/// What the metrics show of a group.
#[derive(Debug)]
pub struct GroupCount {
    /// The group.
    pub group: Group,
    /// How it consumes.
    pub manner: Manner,
    /// Language and version of each member's library.
    pub libraries: Vec<(Language, i32)>,
}

#[derive(Debug)]
struct Table<C> {
    groups: HashMap<Group, State<C>, foldhash::fast::RandomState>,
    /// Groups by connection, so that a closed connection costs only what it had.
    of_connection: HashMap<ConnectionId, HashSet<Group>>,
    /// The last fingerprint of a group's heartbeats (version 2).
    fingerprints: HashMap<Group, i32>,
}

/// All consumers.
#[derive(Debug)]
pub struct Consumers<C> {
    table: Mutex<Table<C>>,
}

impl<C> Default for Consumers<C> {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table {
                groups: HashMap::default(),
                of_connection: HashMap::new(),
                fingerprints: HashMap::new(),
            }),
        }
    }
}

impl<C: Clone> Consumers<C> {
    /// Takes what a heartbeat says of a group. Returns whom to tell of the change, if there is one; the
    /// members of a broadcasting group are told nothing.
    pub fn register(&self, client: &Client<C>, what: Registration<'_>, now: Millis) -> Vec<C> {
        let mut table = self.table.lock();
        let groups = table.of_connection.entry(client.connection).or_default();
        if !groups.contains(what.group) {
            if GROUPS_PER_CONNECTION_MAX <= groups.len() {
                return Vec::new();
            }
            groups.insert(what.group.clone());
        }
        let state = table.groups.entry(what.group.clone()).or_insert_with(|| State {
            manner: what.manner,
            members: HashMap::new(),
            subscriptions: BTreeMap::new(),
        });
        state.manner = what.manner;
        let joined = match state.members.get_mut(&client.connection) {
            Some(member) => {
                member.seen = now;
                if member.client.id != client.id {
                    member.client = client.clone();
                }
                false
            }
            None => {
                let member = Member { client: client.clone(), seen: now };
                state.members.insert(client.connection, member);
                true
            }
        };
        let changed =
            what.subscriptions.is_some_and(|subscriptions| state.subscribe(subscriptions));
        if joined || changed { state.to_tell() } else { Vec::new() }
    }

    /// Notes the fingerprint of a heartbeat; whether another one was seen before, so that the client is
    /// to send its subscriptions in full.
    pub fn fingerprint(&self, group: &Group, fingerprint: i32) -> bool {
        let mut table = self.table.lock();
        table
            .fingerprints
            .insert(group.clone(), fingerprint)
            .is_some_and(|before| before != fingerprint)
    }

    /// Ends the membership of a connection in a group. Returns whom to tell.
    pub fn unregister(&self, connection: ConnectionId, group: &Group) -> Vec<C> {
        let mut table = self.table.lock();
        table.forget(connection, group);
        table.leave(connection, group)
    }

    /// Ends all memberships of a connection. Returns whom to tell of which group.
    pub fn closed(&self, connection: ConnectionId) -> Vec<(Group, Vec<C>)> {
        let mut table = self.table.lock();
        let groups = table.of_connection.remove(&connection).unwrap_or_default();
        groups
            .into_iter()
            .map(|group| {
                let told = table.leave(connection, &group);
                (group, told)
            })
            .collect()
    }

    /// Ends the memberships of clients that were silent for too long. Returns whom to tell.
    pub fn expire(&self, now: Millis, after: u64) -> Vec<(Group, Vec<C>)> {
        let mut table = self.table.lock();
        let mut silent = Vec::new();
        for (group, state) in &table.groups {
            let members = state.members.iter().filter(|(_, member)| after < now.since(member.seen));
            silent.extend(members.map(|(connection, _)| (*connection, group.clone())));
        }
        silent
            .into_iter()
            .map(|(connection, group)| {
                table.forget(connection, &group);
                let told = table.leave(connection, &group);
                (group, told)
            })
            .collect()
    }

    /// The ids of a group's members, each once.
    pub fn client_ids(&self, group: &str) -> Vec<String> {
        let table = self.table.lock();
        let ids: HashSet<&String> = table
            .groups
            .get(group)
            .into_iter()
            .flat_map(|state| state.members.values().map(|member| &member.client.id))
            .collect();
        ids.into_iter().cloned().collect()
    }

    /// A group's members and subscriptions; `None` if nobody is online.
    pub fn view(&self, group: &str) -> Option<GroupView<C>> {
        let table = self.table.lock();
        let state = table.groups.get(group)?;
        Some(GroupView {
            manner: state.manner,
            members: state.members.values().map(|member| member.client.clone()).collect(),
            subscriptions: state.subscriptions.clone(),
        })
    }

    /// How a group consumes, and its subscription to a topic; `None` if nobody is online. What a pull needs.
    pub fn subscription(
        &self,
        group: &str,
        topic: &str,
    ) -> Option<(Manner, Option<Arc<Subscription>>)> {
        let table = self.table.lock();
        let state = table.groups.get(group)?;
        Some((state.manner, state.subscriptions.get(topic).cloned()))
    }

    /// The online groups that subscribe to a topic.
    pub fn groups_of(&self, topic: &str) -> Vec<Group> {
        let table = self.table.lock();
        let subscribing =
            table.groups.iter().filter(|(_, state)| state.subscriptions.contains_key(topic));
        subscribing.map(|(group, _)| group.clone()).collect()
    }

    /// A member of a group by its own id.
    pub fn member(&self, group: &str, client_id: &str) -> Option<Client<C>> {
        let table = self.table.lock();
        let members = table.groups.get(group)?.members.values();
        members.map(|member| &member.client).find(|client| client.id == client_id).cloned()
    }

    /// How many members each group has, for the metrics.
    pub fn counts(&self) -> Vec<GroupCount> {
        let table = self.table.lock();
        table
            .groups
            .iter()
            .map(|(group, state)| {
                let members = state.members.values();
                let kinds = members.map(|member| (member.client.language, member.client.version));
                GroupCount {
                    group: group.clone(),
                    manner: state.manner,
                    libraries: kinds.collect(),
                }
            })
            .collect()
    }
}

impl<C: Clone> State<C> {
    /// Takes a new set of subscriptions; whether a topic came or went. A subscription with a version that
    /// is not higher leaves the known one.
    fn subscribe(&mut self, subscriptions: Vec<SubscriptionData>) -> bool {
        let before = self.subscriptions.len();
        let mut seen = HashSet::new();
        let mut came = false;
        for data in subscriptions.into_iter().take(SUBSCRIPTIONS_MAX) {
            seen.insert(data.topic.clone());
            match self.subscriptions.get(&data.topic) {
                Some(known) if data.sub_version <= known.data.sub_version => {}
                known => {
                    came |= known.is_none();
                    let filter = Selector::of(&data);
                    let topic = data.topic.clone();
                    self.subscriptions.insert(topic, Arc::new(Subscription { data, filter }));
                }
            }
        }
        self.subscriptions.retain(|topic, _| seen.contains(topic));
        came || self.subscriptions.len() < before
    }

    fn to_tell(&self) -> Vec<C> {
        if self.manner.model == MessageModel::Broadcasting {
            return Vec::new();
        }
        self.members.values().map(|member| member.client.channel.clone()).collect()
    }
}

impl<C: Clone> Table<C> {
    /// The connection no longer consumes for the group.
    fn forget(&mut self, connection: ConnectionId, group: &Group) {
        let Some(groups) = self.of_connection.get_mut(&connection) else { return };
        groups.remove(group);
        if groups.is_empty() {
            self.of_connection.remove(&connection);
        }
    }

    fn leave(&mut self, connection: ConnectionId, group: &Group) -> Vec<C> {
        let Some(state) = self.groups.get_mut(group) else { return Vec::new() };
        if state.members.remove(&connection).is_none() {
            return Vec::new();
        }
        let told = state.to_tell();
        if state.members.is_empty() {
            self.groups.remove(group);
            self.fingerprints.remove(group);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner {
        consume: ConsumeType::Passively,
        model: MessageModel::Clustering,
        from: ConsumeFromWhere::LastOffset,
    };

    fn client(connection: ConnectionId) -> Client<ConnectionId> {
        Client {
            connection,
            id: format!("c{connection}"),
            language: Language::Java,
            version: 479,
            address: "10.0.0.1:4000".parse().unwrap(),
            channel: connection,
        }
    }

    fn group() -> Group {
        Group::new("g").unwrap()
    }

    fn subscription(topic: &str, version: i64, tags: &str) -> SubscriptionData {
        SubscriptionData {
            topic: topic.into(),
            sub_string: tags.into(),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    fn register(
        consumers: &Consumers<ConnectionId>,
        connection: ConnectionId,
        topics: &[(&str, i64)],
        now: u64,
    ) -> Vec<ConnectionId> {
        let subscriptions =
            topics.iter().map(|(topic, version)| subscription(topic, *version, "*"));
        let what = Registration {
            group: &group(),
            manner: MANNER,
            subscriptions: Some(subscriptions.collect()),
        };
        let mut told = consumers.register(&client(connection), what, Millis(now));
        told.sort_unstable();
        told
    }

    #[test]
    fn all_are_told_when_one_joins_or_a_topic_changes_and_nobody_otherwise() {
        let consumers = Consumers::default();
        assert_eq!(register(&consumers, 1, &[("t", 1)], 0), [1]);
        assert_eq!(register(&consumers, 2, &[("t", 1)], 0), [1, 2]);
        assert!(register(&consumers, 2, &[("t", 1)], 0).is_empty());
        let again = register(&consumers, 2, &[("t", 2)], 0);
        assert!(again.is_empty(), "another version of the same topic");
        assert_eq!(register(&consumers, 1, &[("t", 2), ("u", 1)], 0), [1, 2]);
        assert_eq!(register(&consumers, 1, &[("u", 1)], 0), [1, 2]);
        assert!(consumers.subscription("g", "t").unwrap().1.is_none());
    }

    #[test]
    fn the_rest_is_told_when_one_leaves_and_the_last_takes_the_group_along() {
        let consumers = Consumers::default();
        register(&consumers, 1, &[("t", 1)], 0);
        register(&consumers, 2, &[("t", 1)], 0);
        assert_eq!(consumers.closed(1), [(group(), vec![2])]);
        assert_eq!(consumers.closed(1), []);
        assert!(consumers.unregister(2, &group()).is_empty());
        assert!(consumers.view("g").is_none());
        let table = consumers.table.lock();
        assert!(table.of_connection.is_empty() && table.groups.is_empty());
    }

    #[test]
    fn the_silent_are_forgotten() {
        let consumers = Consumers::default();
        register(&consumers, 1, &[("t", 1)], 0);
        register(&consumers, 2, &[("t", 1)], 60_000);
        assert_eq!(consumers.expire(Millis(EXPIRY), EXPIRY), []);
        assert_eq!(consumers.expire(Millis(EXPIRY + 1), EXPIRY), [(group(), vec![2])]);
        assert_eq!(consumers.client_ids("g"), ["c2"]);
    }

    #[test]
    fn an_older_subscription_does_not_replace_a_newer_one() {
        let consumers = Consumers::default();
        for (version, tags) in [(5, "a"), (4, "b")] {
            let what = Registration {
                group: &group(),
                manner: MANNER,
                subscriptions: Some(vec![subscription("t", version, tags)]),
            };
            consumers.register(&client(1), what, Millis(0));
        }
        let (_, found) = consumers.subscription("g", "t").unwrap();
        assert_eq!(found.unwrap().data.sub_string, "a");
    }

    #[test]
    fn tags_are_selected_by_the_low_half_of_their_hash() {
        assert_eq!(Selector::parse(" * "), Selector::All);
        assert_eq!(Selector::parse("||"), Selector::All);
        let selector = Selector::parse("a || b");
        assert!(selector.selects(97) && selector.selects(98) && !selector.selects(99));
        assert!(selector.selects(97 | 7 << 32));
        let sql =
            SubscriptionData { expression_type: "SQL92".into(), ..subscription("t", 1, "a > 1") };
        assert_eq!(Selector::of(&sql), Selector::Unsupported);
    }

    #[test]
    fn a_fingerprint_that_differs_asks_for_the_subscriptions() {
        let consumers: Consumers<ConnectionId> = Consumers::default();
        assert!(!consumers.fingerprint(&group(), 5));
        assert!(!consumers.fingerprint(&group(), 5));
        assert!(consumers.fingerprint(&group(), 6));
    }
}
