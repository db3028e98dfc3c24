//! Brokers leave: by their own word, by silence, or with their connection.

use std::{collections::BTreeSet, sync::Arc};

use gantry_model::{BrokerId, Epoch, Millis, Perm};

use super::{
    Address, EPOCH_MEMORY, Link, Live, MASTER, Name, Policy, Routes, SmallestChanged, is_late,
};

/// A broker that leaves by its own word.
#[derive(Debug, Clone)]
pub struct Departure<'a> {
    /// Its cluster.
    pub cluster: &'a str,
    /// Its group.
    pub group: &'a str,
    /// Where clients reached it.
    pub addr: &'a str,
    /// The mastership it served under, if it knows epochs.
    pub epoch: Option<Epoch>,
}

impl Routes {
    /// Removes brokers at their own word. One whose address belongs to a later master by now has nothing
    /// to remove.
    pub fn unregister(
        &mut self,
        departures: &[Departure<'_>],
        policy: Policy,
        now: Millis,
    ) -> Vec<SmallestChanged> {
        let gone = departures
            .iter()
            .filter_map(|departure| {
                let at = super::address(departure.cluster, departure.addr);
                let live = self.live.get(&at)?;
                let own = &*live.group == departure.group && !is_late(departure.epoch, live.epoch);
                own.then_some(at)
            })
            .collect();
        self.remove(gone, policy, now)
    }

    /// Removes the brokers that registered on a connection that is closed now.
    pub fn disconnected(
        &mut self,
        link: Link,
        policy: Policy,
        now: Millis,
    ) -> Vec<SmallestChanged> {
        let gone = self.live.iter().filter(|(_, live)| live.link == link);
        let gone = gone.map(|(at, _)| at.clone()).collect();
        self.remove(gone, policy, now)
    }

    /// Removes the brokers that were silent for too long; returns their connections, which are to be
    /// closed. Forgets epochs that nobody can be late for any more.
    pub fn expire(&mut self, policy: Policy, now: Millis) -> (Vec<Link>, Vec<SmallestChanged>) {
        let silent = self.live.iter().filter(|(_, live)| now.since(live.seen) > live.timeout.0);
        let (gone, links): (Vec<Address>, BTreeSet<Link>) =
            silent.map(|(at, live)| (at.clone(), live.link)).unzip();
        let announcements = self.remove(gone, policy, now);
        let groups = &self.groups;
        self.masterships.retain(|name, mastership| {
            groups.get(name).is_some_and(|g| g.has_master())
                || now.since(mastership.last) < EPOCH_MEMORY.0
        });
        (links.into_iter().collect(), announcements)
    }

    pub(super) fn remove(
        &mut self,
        gone: Vec<Address>,
        policy: Policy,
        now: Millis,
    ) -> Vec<SmallestChanged> {
        // Each group is looked at once, after all its members that leave have left.
        let mut touched: Vec<(Name, Option<BrokerId>, Name)> = Vec::new();
        for at in gone {
            let Some(live) = self.retire(&at, now) else { continue };
            let Some(group) = self.groups.get_mut(&live.group) else { continue };
            let smallest = group.smallest().map(|(id, _)| id);
            group.members.retain(|_, addr| *addr != at.addr);
            touched.push((live.group, smallest, at.addr));
        }
        if !touched.is_empty() {
            self.touch();
        }
        let mut announcements: Vec<SmallestChanged> = Vec::new();
        for (group, before, left) in touched {
            let Some(announcement) = self.settle(&group, before, left) else { continue };
            announcements.retain(|earlier| earlier.group != announcement.group);
            announcements.push(announcement);
        }
        announcements.retain(|_| policy.announce_smallest);
        announcements
    }

    /// Takes a broker out of the tables of who lives. The epoch of a master is remembered from now on.
    pub(super) fn retire(&mut self, at: &Address, now: Millis) -> Option<Live> {
        self.filter_servers.remove(at);
        let live = self.live.remove(at)?;
        if live.id == MASTER
            && live.epoch.is_some()
            && let Some(mastership) = self.masterships.get_mut(&live.group)
        {
            mastership.last = mastership.last.max(now);
        }
        Some(live)
    }

    /// Draws the consequences for a group that a member has left.
    fn settle(
        &mut self,
        name: &Name,
        before: Option<BrokerId>,
        left: Name,
    ) -> Option<SmallestChanged> {
        let group = self.groups.get(name)?;
        let Some((id, addr)) = group.smallest() else {
            self.drop_group(name);
            return None;
        };
        let acting_master = group.acting_master;
        let announcement = (acting_master && Some(id) != before).then(|| SmallestChanged {
            group: Arc::clone(name),
            id,
            addr: Arc::clone(addr),
            left: Some(left),
            ha: None,
            tell: group.members.values().cloned().collect(),
        });
        if acting_master && !group.has_master() {
            self.change_queues(name, |queues| queues.perm = queues.perm.without(Perm::WRITE));
        }
        announcement
    }

    fn drop_group(&mut self, name: &Name) {
        let topics: Vec<Name> = match self.groups.get(name) {
            Some(group) => group.topics.iter().cloned().collect(),
            None => return,
        };
        for topic in topics {
            self.drop_queues(&topic, name);
        }
        let Some(group) = self.groups.remove(name) else { return };
        if let Some(names) = self.clusters.get_mut(&group.cluster) {
            names.remove(name);
            if names.is_empty() {
                self.clusters.remove(&group.cluster);
            }
        }
    }
}
