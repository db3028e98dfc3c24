//! Which clients produce for which group. In memory only; needed for lists, and later for transactions'
//! check-backs. Membership ends as that of consumers does.

use std::collections::{HashMap, HashSet};

use gantry_model::{Group, Millis};
use parking_lot::Mutex;

use crate::consumers::{Client, ConnectionId, GROUPS_PER_CONNECTION_MAX};

#[derive(Debug)]
struct Table<C> {
    groups: HashMap<Group, HashMap<ConnectionId, (Client<C>, Millis)>>,
    of_connection: HashMap<ConnectionId, HashSet<Group>>,
}

/// A group and its members, with when each was last heard of.
pub type ProducerGroup<C> = (Group, Vec<(Client<C>, Millis)>);

/// All producers.
#[derive(Debug)]
pub struct Producers<C> {
    table: Mutex<Table<C>>,
}

impl<C> Default for Producers<C> {
    fn default() -> Self {
        Self { table: Mutex::new(Table { groups: HashMap::new(), of_connection: HashMap::new() }) }
    }
}

impl<C: Clone> Producers<C> {
    /// Takes what a heartbeat says of a group.
    pub fn register(&self, client: &Client<C>, group: &Group, now: Millis) {
        let mut table = self.table.lock();
        let groups = table.of_connection.entry(client.connection).or_default();
        if !groups.contains(group) && GROUPS_PER_CONNECTION_MAX <= groups.len() {
            return;
        }
        groups.insert(group.clone());
        let members = table.groups.entry(group.clone()).or_default();
        match members.get_mut(&client.connection) {
            Some((_, seen)) => *seen = now,
            None => {
                members.insert(client.connection, (client.clone(), now));
            }
        }
    }

    /// Ends the membership of a connection in a group.
    pub fn unregister(&self, connection: ConnectionId, group: &Group) {
        let mut table = self.table.lock();
        table.forget(connection, group);
        table.leave(connection, group);
    }

    /// Ends all memberships of a connection.
    pub fn closed(&self, connection: ConnectionId) {
        let mut table = self.table.lock();
        for group in table.of_connection.remove(&connection).unwrap_or_default() {
            table.leave(connection, &group);
        }
    }

    /// Ends the memberships of clients that were silent for longer than `after` milliseconds.
    pub fn expire(&self, now: Millis, after: u64) {
        let mut table = self.table.lock();
        let mut silent = Vec::new();
        for (group, members) in &table.groups {
            let late = members.iter().filter(|(_, (_, seen))| after < now.since(*seen));
            silent.extend(late.map(|(connection, _)| (*connection, group.clone())));
        }
        for (connection, group) in silent {
            table.forget(connection, &group);
            table.leave(connection, &group);
        }
    }

    /// A group's members.
    pub fn members(&self, group: &str) -> Vec<Client<C>> {
        let table = self.table.lock();
        let members = table.groups.get(group).into_iter().flat_map(HashMap::values);
        members.map(|(client, _)| client.clone()).collect()
    }

    /// All groups with their members and when those were last seen.
    pub fn all(&self) -> Vec<ProducerGroup<C>> {
        let table = self.table.lock();
        let groups = table.groups.iter();
        groups
            .map(|(group, members)| (group.clone(), members.values().cloned().collect()))
            .collect()
    }
}

impl<C> Table<C> {
    /// The connection no longer produces for the group.
    fn forget(&mut self, connection: ConnectionId, group: &Group) {
        let Some(groups) = self.of_connection.get_mut(&connection) else { return };
        groups.remove(group);
        if groups.is_empty() {
            self.of_connection.remove(&connection);
        }
    }

    fn leave(&mut self, connection: ConnectionId, group: &Group) {
        if let Some(members) = self.groups.get_mut(group) {
            members.remove(&connection);
            if members.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_remoting::wire::Language;

    fn client(connection: ConnectionId) -> Client<()> {
        Client {
            connection,
            id: format!("c{connection}"),
            language: Language::Go,
            version: 317,
            address: "10.0.0.1:4000".parse().unwrap(),
            channel: (),
        }
    }

    fn ids(producers: &Producers<()>) -> Vec<String> {
        let mut ids: Vec<_> = producers.members("g").into_iter().map(|client| client.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn members_leave_with_their_connection_by_word_and_by_silence() {
        let producers = Producers::default();
        let group = Group::new("g").unwrap();
        for connection in 1..=4 {
            producers.register(&client(connection), &group, Millis(connection * 10));
        }
        producers.register(&client(1), &group, Millis(100));
        producers.closed(2);
        producers.unregister(3, &group);
        assert_eq!(ids(&producers), ["c1", "c4"]);
        producers.expire(Millis(141), 100);
        assert_eq!(ids(&producers), ["c1"]);
        producers.expire(Millis(201), 100);
        assert!(producers.all().is_empty());
        assert!(producers.table.lock().of_connection.is_empty());
    }
}
