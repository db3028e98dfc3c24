//! The route of a topic: what producers and consumers ask for.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use gantry_model::{BrokerId, Perm};

use super::{Address, MASTER, Mapping, Name, Policy, Queues, Routes};

/// What topics begin with that carry a group's member list between brokers; they show the group as it is.
const MEMBER_GROUP_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// Where a topic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its queues in each group that has some.
    pub queues: Vec<(Name, Queues)>,
    /// Those of the groups that are known.
    pub groups: Vec<RouteGroup>,
    /// Filter servers by the address of their broker.
    pub filter_servers: BTreeMap<Name, Vec<Name>>,
    /// The parts of a static topic by group.
    pub mappings: BTreeMap<Name, Mapping>,
}

/// A group as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteGroup {
    /// Its cluster.
    pub cluster: Name,
    /// Its name.
    pub name: Name,
    /// Its availability zone.
    pub zone: Option<Name>,
    /// Whether a slave may stand in for the master.
    pub acting_master: bool,
    /// Addresses by id; 0 is the master, or who stands in for it.
    pub members: BTreeMap<BrokerId, Name>,
}

impl Routes {
    /// The route of a topic; `None` when it is unknown.
    #[must_use]
    pub fn route(&self, topic: &str, policy: Policy) -> Option<Route> {
        let entry = self.topics.get(topic)?;
        let queues: Vec<_> = entry.queues.iter().map(|(n, q)| (Arc::clone(n), *q)).collect();
        let mut groups: Vec<_> = entry.queues.keys().filter_map(|n| self.group(n)).collect();
        if groups.is_empty() {
            return None;
        }
        let filter_servers = self.filter_servers_of(&groups);
        if policy.acting_master && !topic.starts_with(MEMBER_GROUP_PREFIX) {
            for group in &mut groups {
                stand_in(group, entry.queues.get(&group.name));
            }
        }
        Some(Route { queues, groups, filter_servers, mappings: entry.mappings.clone() })
    }

    pub(super) fn group(&self, name: &Name) -> Option<RouteGroup> {
        self.groups.get(name).map(|group| RouteGroup {
            cluster: Arc::clone(&group.cluster),
            name: Arc::clone(name),
            zone: group.zone.clone(),
            acting_master: group.acting_master,
            members: group.members.clone(),
        })
    }

    fn filter_servers_of(&self, groups: &[RouteGroup]) -> BTreeMap<Name, Vec<Name>> {
        if self.filter_servers.is_empty() {
            return BTreeMap::new();
        }
        let members = groups.iter().flat_map(|g| g.members.values().map(|addr| (&g.cluster, addr)));
        members
            .filter_map(|(cluster, addr)| {
                let at = Address { cluster: Arc::clone(cluster), addr: Arc::clone(addr) };
                Some((Arc::clone(addr), self.filter_servers.get(&at)?.clone()))
            })
            .collect()
    }
}

/// Shows the member with the smallest id as the master of a group that has none and takes no writes.
fn stand_in(group: &mut RouteGroup, queues: Option<&Queues>) {
    let writable = queues.is_none_or(|q| q.perm.allows(Perm::WRITE));
    if !group.acting_master || group.members.contains_key(&MASTER) || writable {
        return;
    }
    if let Some((_, addr)) = group.members.pop_first() {
        group.members.insert(MASTER, addr);
    }
}

/// Keeps of a route what a client in `zone` shall use: groups of its zone, and those without a master,
/// whose slaves everybody may read.
#[must_use]
pub fn in_zone(mut route: Route, zone: &str) -> Route {
    let is_near = |group: &RouteGroup| {
        !group.members.contains_key(&MASTER)
            || group.zone.as_deref().is_some_and(|z| z.eq_ignore_ascii_case(zone))
    };
    let (near, far): (Vec<_>, Vec<_>) = route.groups.into_iter().partition(is_near);
    let far_names: HashSet<&Name> = far.iter().map(|g| &g.name).collect();
    route.queues.retain(|(name, _)| !far_names.contains(name));
    for addr in far.iter().flat_map(|g| g.members.values()) {
        route.filter_servers.remove(addr);
    }
    route.groups = near;
    route
}
