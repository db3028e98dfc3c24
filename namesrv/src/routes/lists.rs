//! What admin tools ask for: clusters, members, lists of topics.

use std::{collections::BTreeMap, sync::Arc};

use gantry_model::BrokerId;

use super::{Name, RouteGroup, Routes, Topic};

const UNIT: u32 = 1;
const UNIT_SUBSCRIBED: u32 = 2;

/// Which topics to list, by the unit flags of their first queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitTopics {
    /// Topics of a unit.
    Own,
    /// Topics that units subscribe to.
    Subscribed,
    /// Topics that units subscribe to but that are of none.
    OnlySubscribed,
}

impl Routes {
    /// All groups.
    #[must_use]
    pub fn all_groups(&self) -> Vec<RouteGroup> {
        self.groups.keys().filter_map(|name| self.group(name)).collect()
    }

    /// The groups of each cluster.
    #[must_use]
    pub fn all_clusters(&self) -> BTreeMap<Name, Vec<Name>> {
        let clusters = self.clusters.iter();
        clusters
            .map(|(name, groups)| (Arc::clone(name), groups.iter().cloned().collect()))
            .collect()
    }

    /// The members of a group; empty when it is unknown.
    #[must_use]
    pub fn members(&self, group: &str) -> BTreeMap<BrokerId, Name> {
        self.groups.get(group).map(|g| g.members.clone()).unwrap_or_default()
    }

    /// All topics, in order.
    #[must_use]
    pub fn all_topics(&self) -> Vec<Name> {
        self.topics_where(|_| true)
    }

    /// The topics of a cluster, in order; none when it is unknown.
    #[must_use]
    pub fn topics_of_cluster(&self, cluster: &str) -> Vec<Name> {
        let groups = self.clusters.get(cluster).into_iter().flatten();
        let groups = groups.filter_map(|name| self.groups.get(name));
        let mut topics: Vec<Name> = groups.flat_map(|g| g.topics.iter().cloned()).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Topics by their unit flags, in order.
    #[must_use]
    pub fn unit_topics(&self, which: UnitTopics) -> Vec<Name> {
        self.topics_where(|topic| {
            let flags = topic.queues.values().next().map_or(0, |queues| queues.sys_flag);
            match which {
                UnitTopics::Own => flags & UNIT != 0,
                UnitTopics::Subscribed => flags & UNIT_SUBSCRIBED != 0,
                UnitTopics::OnlySubscribed => flags & (UNIT | UNIT_SUBSCRIBED) == UNIT_SUBSCRIBED,
            }
        })
    }

    /// The topics that every broker has: one named after each cluster and each group. With the address
    /// of some broker, which tools ask for the rest.
    #[must_use]
    pub fn system_topics(&self) -> (Vec<Name>, Option<Name>) {
        let names = self.clusters.iter().flat_map(|(cluster, groups)| {
            std::iter::once(Arc::clone(cluster)).chain(groups.iter().cloned())
        });
        let broker = self.groups.values().find_map(|g| g.smallest()).map(|(_, addr)| addr.clone());
        (names.collect(), broker)
    }

    fn topics_where(&self, wanted: impl Fn(&Topic) -> bool) -> Vec<Name> {
        let topics = self.topics.iter().filter(|(_, topic)| wanted(topic));
        let mut names: Vec<Name> = topics.map(|(name, _)| Arc::clone(name)).collect();
        names.sort_unstable();
        names
    }
}
