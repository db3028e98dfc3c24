//! Queue locks of orderly consumers: which client of a group may consume a queue. In memory only, as
//! in Java: after a restart the clients lock again within their 20 s renewal.
//!
//! A lock lives for 60 s from its last renewal; an expired one goes to whoever asks first. The table
//! is bounded by [`LOCKS_MAX`]; at the bound expired locks are dropped first, then locking fails.

use std::collections::HashMap;

use gantry_model::{Group, Millis};
use gantry_remoting::wire::body::MessageQueue;
use parking_lot::Mutex;

/// How long a lock lives without renewal (`REBALANCE_LOCK_MAX_LIVE_TIME`), in milliseconds.
pub const LEASE: u64 = 60_000;
/// Most locks that are kept.
pub const LOCKS_MAX: usize = 1_000_000;

#[derive(Debug, Clone)]
struct Lock {
    client: String,
    renewed: Millis,
}

impl Lock {
    fn expired(&self, now: Millis) -> bool {
        LEASE < now.since(self.renewed)
    }
}

/// All queue locks.
#[derive(Debug, Default)]
pub struct QueueLocks {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Group, HashMap<MessageQueue, Lock>>,
    count: usize,
}

impl QueueLocks {
    /// Locks or renews what it can and returns the queues that `client` holds afterwards.
    pub fn lock(
        &self,
        group: &Group,
        client: &str,
        queues: Vec<MessageQueue>,
        now: Millis,
    ) -> Vec<MessageQueue> {
        let mut table = self.table.lock();
        if LOCKS_MAX < table.count + queues.len() {
            table.forget_expired(now);
        }
        queues.into_iter().filter(|queue| table.lock_one(group, client, queue, now)).collect()
    }

    /// Gives back what `client` holds of these queues; locks of others stay.
    pub fn unlock(&self, group: &Group, client: &str, queues: &[MessageQueue]) {
        let mut table = self.table.lock();
        let Some(locks) = table.groups.get_mut(group) else { return };
        let before = locks.len();
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| lock.client == client) {
                locks.remove(queue);
            }
        }
        let (released, empty) = (before - locks.len(), locks.is_empty());
        table.count -= released;
        if empty {
            table.groups.remove(group);
        }
    }

    /// Whether any queue of the group is locked, which tells that it consumes in order.
    pub fn any(&self, group: &Group, now: Millis) -> bool {
        self.table
            .lock()
            .groups
            .get(group)
            .is_some_and(|locks| locks.values().any(|lock| !lock.expired(now)))
    }
}

impl Table {
    fn lock_one(&mut self, group: &Group, client: &str, queue: &MessageQueue, now: Millis) -> bool {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.clone(), HashMap::new());
        }
        let Some(locks) = self.groups.get_mut(group) else { return false };
        match locks.get_mut(queue) {
            Some(lock) if lock.client == client => {
                lock.renewed = now;
                true
            }
            Some(lock) if lock.expired(now) => {
                *lock = Lock { client: client.into(), renewed: now };
                true
            }
            Some(_) => false,
            None if self.count < LOCKS_MAX => {
                locks.insert(queue.clone(), Lock { client: client.into(), renewed: now });
                self.count += 1;
                true
            }
            None => false,
        }
    }

    fn forget_expired(&mut self, now: Millis) {
        self.groups.retain(|_, locks| {
            locks.retain(|_, lock| !lock.expired(now));
            !locks.is_empty()
        });
        self.count = self.groups.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use gantry_model::QueueId;

    use super::*;

    fn queue(queue: u32) -> MessageQueue {
        MessageQueue { topic: "t".into(), broker_name: "b".into(), queue_id: QueueId(queue) }
    }

    fn group() -> Group {
        Group::new("g").unwrap()
    }

    #[test]
    fn a_lock_is_kept_from_others_until_it_expires() {
        let locks = QueueLocks::default();
        let group = group();
        assert_eq!(locks.lock(&group, "a", vec![queue(0)], Millis(0)), [queue(0)]);
        assert_eq!(
            locks.lock(&group, "b", vec![queue(0), queue(1)], Millis(LEASE)),
            [queue(1)],
            "the last moment of a lease still counts"
        );
        assert_eq!(locks.lock(&group, "b", vec![queue(0)], Millis(LEASE + 1)), [queue(0)]);
        assert!(locks.lock(&group, "a", vec![queue(0)], Millis(LEASE + 2)).is_empty());
    }

    #[test]
    fn renewal_counts_from_its_own_moment() {
        let locks = QueueLocks::default();
        locks.lock(&group(), "a", vec![queue(0)], Millis(0));
        locks.lock(&group(), "a", vec![queue(0)], Millis(50_000));
        assert!(locks.lock(&group(), "b", vec![queue(0)], Millis(110_000)).is_empty());
        assert!(locks.any(&group(), Millis(110_000)));
        assert!(!locks.any(&group(), Millis(110_001)));
    }

    #[test]
    fn only_the_owner_unlocks() {
        let locks = QueueLocks::default();
        locks.lock(&group(), "a", vec![queue(0)], Millis(0));
        locks.unlock(&group(), "b", &[queue(0)]);
        assert!(locks.lock(&group(), "b", vec![queue(0)], Millis(1)).is_empty());
        locks.unlock(&group(), "a", &[queue(0)]);
        assert!(!locks.any(&group(), Millis(1)));
        assert_eq!(locks.table.lock().count, 0);
        assert_eq!(locks.lock(&group(), "b", vec![queue(0)], Millis(1)), [queue(0)]);
    }
}
