//! A broker registers: itself, its group's topics, and how long its silence may last.

use std::{collections::HashSet, sync::Arc};

use gantry_model::{BrokerId, Epoch, Millis, Perm};

use super::{
    Address, DataVersion, EPOCH_MEMORY, Group, Link, Live, MASTER, Mapping, Mastership, Name,
    Policy, Queues, Routes, SmallestChanged, is_late,
};
use crate::limits;

/// What a broker says of itself.
#[derive(Debug, Clone)]
pub struct Registration<'a> {
    /// Its cluster.
    pub cluster: &'a str,
    /// Its group.
    pub group: &'a str,
    /// Where clients reach it.
    pub addr: &'a str,
    /// Its id in the group; 0 claims to be the master.
    pub id: BrokerId,
    /// Where its replication listens.
    pub ha: Option<&'a str>,
    /// Its availability zone.
    pub zone: Option<&'a str>,
    /// For how long it may be silent.
    pub timeout: Millis,
    /// Whether a slave may stand in for the master; absent in brokers before 5.0.
    pub acting_master: Option<bool>,
    /// The mastership it serves under, if it knows epochs.
    pub epoch: Option<Epoch>,
    /// The version of its topics.
    pub version: DataVersion,
    /// Its topics: all of them, or the one that changed.
    pub topics: Vec<(&'a str, Queues)>,
    /// Its parts of static topics: topic, group that serves it, and the mapping.
    pub mappings: Vec<(&'a str, &'a str, Mapping)>,
    /// Its filter servers; absent means that nothing changes.
    pub filter_servers: Option<Vec<Name>>,
    /// The connection it came on.
    pub link: Link,
}

/// What the broker is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// For a slave: its master's address, when one is alive.
    pub master: Option<Name>,
    /// For a slave: where the master's replication listens.
    pub master_ha: Option<Name>,
    /// Whom to tell about a new smallest id.
    pub announce: Option<SmallestChanged>,
    /// Whether the broker was not registered before.
    pub is_new: bool,
}

/// Why a registration changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The first registration carries one topic only: it is the announcement of a change that has
    /// overtaken the broker's full list.
    #[error("register broker failed")]
    SingleTopicFirst,
    /// A later mastership is known.
    #[error("a later master of {group} is registered: epoch {seen}, this registration has {given}")]
    LateEpoch {
        /// The group.
        group: String,
        /// The epoch that counts.
        seen: Epoch,
        /// The epoch of the registration.
        given: Epoch,
    },
    /// The id belongs to a broker at another address whose state is newer.
    #[error("{group} has a newer broker with this id at {holder}")]
    LateState {
        /// The group.
        group: String,
        /// Where the newer one is.
        holder: Name,
    },
    /// The group belongs to another cluster.
    #[error("broker name {group} is in use in cluster {cluster}")]
    OtherCluster {
        /// The group.
        group: String,
        /// Its cluster.
        cluster: Name,
    },
    /// The tables hold as much as they may.
    #[error("this name server holds as many {what} as it may: {max}")]
    Full {
        /// "brokers" or "topics".
        what: &'static str,
        /// The bound.
        max: usize,
    },
}

impl Routes {
    /// Takes a registration, or refuses it and stays as it is.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn register(
        &mut self,
        from: &Registration<'_>,
        policy: Policy,
        now: Millis,
    ) -> Result<Registered, Refused> {
        let at = super::address(from.cluster, from.addr);
        self.check(from, &at, now)?;
        if self.live.get(&at).is_some_and(|live| &*live.group != from.group) {
            // The broker was renamed: under its old name it is gone.
            self.remove(vec![at.clone()], policy, now);
        }

        let smallest_before = self.groups.get(from.group).and_then(|g| g.smallest()).map(|m| m.0);
        let is_new_id = self.join(from, now);
        let is_new = !self.live.contains_key(&at);
        let version_before = self.live.get(&at).map(|live| live.version);
        let group = self.names_of(from);
        if self.speaks_for_topics(from) {
            let is_changed = is_new_id || version_before != Some(from.version);
            self.take_topics(from, &group, policy, is_changed);
        }
        self.remember(from, &group, at, now);

        let (master, master_ha) = self.master_for(from);
        let announce = (policy.announce_smallest
            && smallest_before.is_some_and(|before| from.id < before))
        .then(|| self.announce_join(from, &group))
        .flatten();
        Ok(Registered { master, master_ha, announce, is_new })
    }

    fn check(&self, from: &Registration<'_>, at: &Address, now: Millis) -> Result<(), Refused> {
        self.check_epoch(from, at, now)?;
        let group = self.groups.get(from.group);
        if let Some(group) = group {
            if &*group.cluster != from.cluster {
                return Err(Refused::OtherCluster {
                    group: from.group.to_owned(),
                    cluster: Arc::clone(&group.cluster),
                });
            }
            self.check_holder(from, group)?;
        }
        let holder = group.and_then(|group| group.members.get(&from.id));
        // The broker may hold another id under this address; as in Java that one does not count.
        if holder.is_none() && from.topics.len() == 1 {
            return Err(Refused::SingleTopicFirst);
        }
        if holder.is_none() && self.live.len() >= limits::BROKERS_MAX {
            return Err(Refused::Full { what: "brokers", max: limits::BROKERS_MAX });
        }
        let fresh = from.topics.iter().filter(|(t, _)| !self.topics.contains_key(*t)).count();
        if self.topics.len() + fresh > limits::TOPICS_MAX {
            return Err(Refused::Full { what: "topics", max: limits::TOPICS_MAX });
        }
        Ok(())
    }

    /// A registration is late when whoever is at its address, or whoever is or was the group's master,
    /// serves a later mastership. All masters of a group may share one address.
    fn check_epoch(
        &self,
        from: &Registration<'_>,
        at: &Address,
        now: Millis,
    ) -> Result<(), Refused> {
        let Some(given) = from.epoch else { return Ok(()) };
        let at_address =
            self.live.get(at).filter(|l| &*l.group == from.group).and_then(|live| live.epoch);
        let mastership = self
            .masterships
            .get(from.group)
            .filter(|m| now.since(m.last) < EPOCH_MEMORY.0)
            .filter(|_| from.id == MASTER)
            .map(|m| m.epoch);
        match at_address.max(mastership) {
            Some(seen) if given < seen => {
                Err(Refused::LateEpoch { group: from.group.to_owned(), seen, given })
            }
            _ => Ok(()),
        }
    }

    /// Without epochs on both sides the state's version decides, as in Java, and only between addresses.
    fn check_holder(&self, from: &Registration<'_>, group: &Group) -> Result<(), Refused> {
        let Some(holder) = group.members.get(&from.id) else { return Ok(()) };
        if &**holder == from.addr {
            return Ok(());
        }
        let at = super::address(&group.cluster, holder);
        let Some(live) = self.live.get(&at) else { return Ok(()) };
        let late = match (from.epoch, live.epoch) {
            (Some(_), Some(_)) => is_late(from.epoch, live.epoch),
            _ => from.version.state < live.version.state,
        };
        if late {
            return Err(Refused::LateState {
                group: from.group.to_owned(),
                holder: Arc::clone(holder),
            });
        }
        Ok(())
    }

    /// Puts the broker into its group. Returns whether its id is new there.
    fn join(&mut self, from: &Registration<'_>, now: Millis) -> bool {
        let acting_master = from.acting_master.unwrap_or(false);
        let zone = from.zone.map(Name::from);
        let mut changed = false;
        if !self.groups.contains_key(from.group) {
            let group = Group {
                cluster: from.cluster.into(),
                zone: zone.clone(),
                acting_master,
                members: [].into(),
                topics: HashSet::default(),
            };
            let name: Name = from.group.into();
            self.clusters.entry(Arc::clone(&group.cluster)).or_default().insert(Arc::clone(&name));
            self.groups.insert(name, group);
        }
        let Some(group) = self.groups.get_mut(from.group) else { return false };
        changed |= group.acting_master != acting_master || group.zone != zone;
        group.acting_master = acting_master;
        group.zone = zone;
        let members = group.members.len();
        group.members.retain(|id, addr| *id == from.id || &**addr != from.addr);
        changed |= members != group.members.len();
        let before = group.members.get(&from.id).cloned();
        if before.as_deref() != Some(from.addr) {
            changed = true;
            group.members.insert(from.id, from.addr.into());
            if let Some(before) = &before {
                // Whoever had the id is gone: it shall not be kept alive, nor leave later.
                let at = Address { cluster: Arc::clone(&group.cluster), addr: Arc::clone(before) };
                self.retire(&at, now);
            }
        }
        if changed {
            self.touch();
        }
        before.is_none()
    }

    /// The group's name as the tables share it.
    fn names_of(&self, from: &Registration<'_>) -> Name {
        self.groups.get_key_value(from.group).map_or_else(|| from.group.into(), |g| Arc::clone(g.0))
    }

    /// The master's word counts; a slave's only when it stands in for a missing one.
    fn speaks_for_topics(&self, from: &Registration<'_>) -> bool {
        if from.id == MASTER {
            return true;
        }
        let smallest = self.groups.get(from.group).and_then(|g| g.smallest()).map(|m| m.0);
        from.acting_master.is_some() && smallest == Some(from.id)
    }

    fn take_topics(
        &mut self,
        from: &Registration<'_>,
        group: &Name,
        policy: Policy,
        is_changed: bool,
    ) {
        if policy.registration_is_complete && from.mappings.is_empty() {
            self.drop_unlisted(from, group);
        }
        let stands_in = from.id != MASTER && from.acting_master == Some(true);
        for &(topic, mut queues) in &from.topics {
            let is_listed = self.topics.get(topic).is_some_and(|t| t.queues.contains_key(group));
            if is_listed && !is_changed {
                continue;
            }
            if stands_in {
                queues.perm = queues.perm.without(Perm::WRITE);
            }
            self.put_queues(topic, group, queues);
        }
        if !is_changed {
            return;
        }
        for (topic, server, mapping) in &from.mappings {
            let Some(topic) = self.topics.get_mut(*topic) else { continue };
            topic.mappings.insert((*server).into(), Arc::clone(mapping));
            topic.revision += 1;
        }
    }

    fn drop_unlisted(&mut self, from: &Registration<'_>, group: &Name) {
        let listed: HashSet<&str> = from.topics.iter().map(|(topic, _)| *topic).collect();
        let Some(entry) = self.groups.get(group) else { return };
        let gone: Vec<Name> =
            entry.topics.iter().filter(|t| !listed.contains(&***t)).cloned().collect();
        for topic in gone {
            self.drop_queues(&topic, group);
        }
    }

    fn remember(&mut self, from: &Registration<'_>, group: &Name, at: Address, now: Millis) {
        let servers_before = self.filter_servers.get(&at).cloned();
        self.retire(&at, now);
        if let (MASTER, Some(epoch)) = (from.id, from.epoch) {
            self.masterships.insert(Arc::clone(group), Mastership { epoch, last: now });
        }
        let servers = from.filter_servers.clone().or_else(|| servers_before.clone());
        let servers = servers.filter(|servers| !servers.is_empty());
        if servers != servers_before {
            self.touch();
        }
        if let Some(servers) = servers {
            self.filter_servers.insert(at.clone(), servers);
        }
        let live = Live {
            group: Arc::clone(group),
            id: from.id,
            seen: now,
            timeout: from.timeout.clamp(limits::SILENCE_MIN, limits::SILENCE_MAX),
            version: from.version,
            epoch: from.epoch,
            link: from.link,
            ha: from.ha.map(Name::from),
        };
        self.live.insert(at, live);
    }

    fn master_for(&self, from: &Registration<'_>) -> (Option<Name>, Option<Name>) {
        if from.id == MASTER {
            return (None, None);
        }
        let master = self.groups.get(from.group).and_then(|g| g.members.get(&MASTER));
        let live = master.and_then(|addr| self.live.get(&super::address(from.cluster, addr)));
        match (master, live) {
            (Some(addr), Some(live)) => (Some(Arc::clone(addr)), live.ha.clone()),
            _ => (None, None),
        }
    }

    /// The members that were there before learn who is the smallest now.
    fn announce_join(&self, from: &Registration<'_>, group: &Name) -> Option<SmallestChanged> {
        let entry = self.groups.get(group)?;
        let (id, addr) = entry.smallest()?;
        let alone = entry.members.len() == 1;
        Some(SmallestChanged {
            group: Arc::clone(group),
            id,
            addr: Arc::clone(addr),
            left: None,
            ha: from.ha.map(Name::from),
            tell: entry
                .members
                .iter()
                .filter(|(member, _)| alone || **member != id)
                .map(|(_, addr)| Arc::clone(addr))
                .collect(),
        })
    }
}
