//! Pulls that found nothing and wait for the next message of their queue or for the end of their time.
//!
//! The rule that loses no wake-up: park, then look at the queue once more; whoever appends looks here
//! after the message is readable. Either sees the other. A pull leaves the table exactly once: by
//! [`ParkedPulls::arrived`], [`ParkedPulls::expired`], [`ParkedPulls::take_back`] or
//! [`ParkedPulls::close`], and whoever got it answers it.
//!
//! One ordered set of deadlines serves all; there is no task or timer per pull. Bounded by
//! [`PARKED_MAX`]: at the bound a pull is answered at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicUsize, Ordering},
};

use gantry_model::{Millis, QueueId, QueueOffset, Topic};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most pulls that wait at one time.
pub const PARKED_MAX: usize = 200_000;

/// Names a parked pull, to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    deadline: Millis,
    number: u64,
}

#[derive(Debug)]
struct Entry<T> {
    ticket: Ticket,
    wants: QueueOffset,
    pull: T,
}

#[derive(Debug)]
struct Table<T> {
    topics: HashMap<Topic, HashMap<QueueId, Vec<Entry<T>>>, foldhash::fast::RandomState>,
    deadlines: BTreeMap<Ticket, (Topic, QueueId)>,
    next: u64,
    closed: bool,
}

/// Whether pulls of a queue go on waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Some do.
    Some,
    /// None does.
    None,
}

impl Left {
    /// Whether some do.
    #[must_use]
    pub fn still_wait(self) -> bool {
        self == Self::Some
    }
}

/// All parked pulls; `T` is what it takes to answer one.
#[derive(Debug)]
pub struct ParkedPulls<T> {
    table: Mutex<Table<T>>,
    /// Entries in the table, so that an append with nobody waiting takes no lock.
    count: AtomicUsize,
    /// Notified when the earliest deadline has become earlier.
    pub sooner: Notify,
}

impl<T> Default for ParkedPulls<T> {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table {
                topics: HashMap::default(),
                deadlines: BTreeMap::new(),
                next: 0,
                closed: false,
            }),
            count: AtomicUsize::new(0),
            sooner: Notify::new(),
        }
    }
}

impl<T> ParkedPulls<T> {
    /// Parks a pull that wants the message at `wants`. Gives it back when the table is full or
    /// closed.
    pub fn park(
        &self,
        (topic, queue): (&Topic, QueueId),
        wants: QueueOffset,
        deadline: Millis,
        pull: T,
    ) -> Result<Ticket, T> {
        let mut table = self.table.lock();
        if table.closed || PARKED_MAX <= table.deadlines.len() {
            return Err(pull);
        }
        let ticket = Ticket { deadline, number: table.next };
        table.next += 1;
        let first = table.deadlines.first_key_value().is_none_or(|(first, _)| ticket < *first);
        if !table.topics.contains_key(topic) {
            table.topics.insert(topic.clone(), HashMap::new());
        }
        if let Some(queues) = table.topics.get_mut(topic) {
            queues.entry(queue).or_default().push(Entry { ticket, wants, pull });
        }
        table.deadlines.insert(ticket, (topic.clone(), queue));
        // SeqCst pairs with `arrived`: the parker stores the count and then reads the queue's end, the
        // appender publishes the end and then reads the count.
        self.count.store(table.deadlines.len(), Ordering::SeqCst);
        drop(table);
        if first {
            self.sooner.notify_one();
        }
        Ok(ticket)
    }

    /// Takes a parked pull back; `None` if somebody else has it already.
    pub fn take_back(&self, ticket: Ticket) -> Option<T> {
        let mut table = self.table.lock();
        let (topic, queue) = table.deadlines.remove(&ticket)?;
        let pull = table.remove(&topic, queue, ticket);
        self.count.store(table.deadlines.len(), Ordering::SeqCst);
        pull
    }

    /// Takes the pulls of a queue that want a message before `end`. Cheap when nobody waits.
    pub fn arrived(
        &self,
        topic: &Topic,
        queue: QueueId,
        end: QueueOffset,
        woken: &mut Vec<T>,
    ) -> Left {
        if self.count.load(Ordering::SeqCst) == 0 {
            return Left::None;
        }
        let mut table = self.table.lock();
        let Table { topics, deadlines, .. } = &mut *table;
        let Some(queues) = topics.get_mut(topic) else { return Left::None };
        let Some(entries) = queues.get_mut(&queue) else { return Left::None };
        for entry in entries.extract_if(.., |entry| entry.wants < end) {
            deadlines.remove(&entry.ticket);
            woken.push(entry.pull);
        }
        let left = if entries.is_empty() { Left::None } else { Left::Some };
        if left == Left::None {
            queues.remove(&queue);
            if queues.is_empty() {
                topics.remove(topic);
            }
        }
        self.count.store(table.deadlines.len(), Ordering::SeqCst);
        left
    }

    /// Takes the pulls whose time is over.
    pub fn expired(&self, now: Millis) -> Vec<T> {
        let mut table = self.table.lock();
        let mut pulls = Vec::new();
        while let Some(first) = table.deadlines.first_entry() {
            let ticket = *first.key();
            if now < ticket.deadline {
                break;
            }
            let (topic, queue) = first.remove();
            pulls.extend(table.remove(&topic, queue, ticket));
        }
        self.count.store(table.deadlines.len(), Ordering::SeqCst);
        pulls
    }

    /// Takes all pulls, at shutdown, and accepts no more.
    pub fn close(&self) -> Vec<T> {
        self.table.lock().closed = true;
        self.expired(Millis(u64::MAX))
    }

    /// When the next pull's time is over.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.table.lock().deadlines.first_key_value().map(|(ticket, _)| ticket.deadline)
    }

    /// How many pulls wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether no pull waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Table<T> {
    /// Removes the entry of a ticket that is no longer among the deadlines.
    fn remove(&mut self, topic: &Topic, queue: QueueId, ticket: Ticket) -> Option<T> {
        let queues = self.topics.get_mut(topic)?;
        let entries = queues.get_mut(&queue)?;
        let at = entries.iter().position(|entry| entry.ticket == ticket)?;
        let entry = entries.swap_remove(at);
        if entries.is_empty() {
            queues.remove(&queue);
            if queues.is_empty() {
                self.topics.remove(topic);
            }
        }
        Some(entry.pull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn arrived(parked: &ParkedPulls<char>, name: &str, queue: u32, end: u64) -> Vec<char> {
        let mut woken = Vec::new();
        parked.arrived(&topic(name), QueueId(queue), QueueOffset(end), &mut woken);
        woken
    }

    fn park(
        parked: &ParkedPulls<char>,
        queue: u32,
        wants: u64,
        deadline: u64,
        pull: char,
    ) -> Ticket {
        parked
            .park((&topic("t"), QueueId(queue)), QueueOffset(wants), Millis(deadline), pull)
            .unwrap()
    }

    #[test]
    fn only_pulls_that_the_new_message_serves_are_woken() {
        let parked = ParkedPulls::default();
        park(&parked, 0, 5, 100, 'a');
        park(&parked, 0, 6, 100, 'b');
        park(&parked, 1, 5, 100, 'c');
        assert_eq!(arrived(&parked, "t", 0, 6), ['a']);
        assert_eq!(arrived(&parked, "t", 0, 6), []);
        assert_eq!(arrived(&parked, "u", 1, 6), []);
        assert_eq!(arrived(&parked, "t", 0, 7), ['b']);
        assert_eq!(parked.len(), 1);
    }

    #[test]
    fn pulls_expire_in_order_and_once() {
        let parked = ParkedPulls::default();
        park(&parked, 0, 5, 30, 'c');
        park(&parked, 0, 5, 10, 'a');
        park(&parked, 1, 5, 20, 'b');
        assert_eq!(parked.next_deadline(), Some(Millis(10)));
        assert_eq!(parked.expired(Millis(9)), []);
        assert_eq!(parked.expired(Millis(20)), ['a', 'b']);
        assert_eq!(parked.next_deadline(), Some(Millis(30)));
        assert_eq!(arrived(&parked, "t", 0, 9), ['c']);
        assert!(parked.is_empty());
        assert_eq!(parked.next_deadline(), None);
        assert!(parked.table.lock().topics.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_closed_table_takes_no_more() {
        let parked = ParkedPulls::default();
        park(&parked, 0, 5, 30, 'a');
        assert_eq!(parked.close(), ['a']);
        let at = (&topic("t"), QueueId(0));
        assert_eq!(parked.park(at, QueueOffset(5), Millis(30), 'b'), Err('b'));
    }

    #[test]
    fn a_pull_is_taken_back_or_woken_but_never_both() {
        let parked = ParkedPulls::default();
        let first = park(&parked, 0, 5, 30, 'a');
        let second = park(&parked, 0, 5, 30, 'b');
        assert_eq!(parked.take_back(first), Some('a'));
        assert_eq!(parked.take_back(first), None);
        assert_eq!(arrived(&parked, "t", 0, 6), ['b']);
        assert_eq!(parked.take_back(second), None);
    }
}
