//! How far each consumer group has come in each queue: consumerOffset.json in memory.
//!
//! The last writer wins, also with a lower offset, as in Java. While a reset waits for its consumer's
//! next pull, commits of that queue are dropped: they speak of messages before the reset. What was only
//! pulled is kept beside what was committed for the statistics and is not written to the file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use gantry_model::{Group, Millis, QueueId, QueueOffset, Topic};
use gantry_remoting::wire::body::{ConsumerOffsetTable, DataVersion};
use parking_lot::Mutex;

use crate::fastjson;

/// Commits after which the file's version changes, as `consumerOffsetUpdateVersionStep`.
const VERSION_STEP: u64 = 500;
/// Most queues of all groups together that are remembered.
pub const POSITIONS_MAX: usize = 10_000_000;

/// A group's place in one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The next message to be consumed, if the group ever committed.
    pub committed: Option<QueueOffset>,
    /// The offset of the latest pull.
    pub pulled: Option<QueueOffset>,
    reset: Option<QueueOffset>,
}

type Queues = BTreeMap<QueueId, Position>;
type Topics = HashMap<Topic, Queues>;

/// Whose place it is, and where: a group in a queue of a topic.
pub type Of<'a> = (&'a Group, &'a Topic, QueueId);

/// The offsets of all groups.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: Mutex<HashMap<Group, Topics, foldhash::fast::RandomState>>,
    count: AtomicUsize,
    /// Resets that wait, so that pulls need not look for them.
    resets: AtomicUsize,
    commits: AtomicU64,
    version: Mutex<DataVersion>,
}

impl Offsets {
    /// Notes that the group wants `offset` next. Ignored while a reset waits, or at the bound.
    pub fn commit(&self, of: Of<'_>, offset: QueueOffset, now: Millis) {
        self.change(of, |position| {
            if position.reset.is_none() {
                position.committed = Some(offset);
            }
        });
        if (self.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(VERSION_STEP) {
            let mut version = self.version.lock();
            *version = version.next(now);
        }
    }

    /// Notes that the group pulled at `offset`.
    pub fn pulled(&self, of: Of<'_>, offset: QueueOffset) {
        self.change(of, |position| position.pulled = Some(offset));
    }

    /// Moves the group to `offset`: its next pull is told so, and commits before that are dropped.
    pub fn reset(&self, of: Of<'_>, offset: QueueOffset) {
        self.change(of, |position| {
            position.committed = Some(offset);
            if position.reset.replace(offset).is_none() {
                self.resets.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// The offset of a reset that waits for this pull; it is told once.
    pub fn take_reset(&self, (group, topic, queue): Of<'_>) -> Option<QueueOffset> {
        if self.resets.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut groups = self.groups.lock();
        let position = groups.get_mut(group)?.get_mut(topic)?.get_mut(&queue)?;
        let offset = position.reset.take()?;
        self.resets.fetch_sub(1, Ordering::Relaxed);
        Some(offset)
    }

    fn change(&self, (group, topic, queue): Of<'_>, to: impl FnOnce(&mut Position)) {
        let mut groups = self.groups.lock();
        if let Some(position) =
            groups.get_mut(group).and_then(|topics| topics.get_mut(topic)?.get_mut(&queue))
        {
            to(position);
            return;
        }
        if POSITIONS_MAX <= self.count.load(Ordering::Relaxed) {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let topics = groups.entry(group.clone()).or_default();
        to(topics.entry(topic.clone()).or_default().entry(queue).or_default());
    }

    /// The group's place in a queue.
    pub fn position(&self, group: &str, topic: &str, queue: QueueId) -> Position {
        let groups = self.groups.lock();
        groups
            .get(group)
            .and_then(|topics| topics.get(topic)?.get(&queue))
            .copied()
            .unwrap_or_default()
    }

    /// The group's places in all queues of a topic that it has a place in.
    pub fn of_topic(&self, group: &str, topic: &str) -> Vec<(QueueId, Position)> {
        let groups = self.groups.lock();
        let queues = groups.get(group).and_then(|topics| topics.get(topic));
        queues.into_iter().flatten().map(|(queue, position)| (*queue, *position)).collect()
    }

    /// The topics that the group has committed offsets of.
    pub fn topics_of(&self, group: &str) -> Vec<Topic> {
        let groups = self.groups.lock();
        groups
            .get(group)
            .into_iter()
            .flatten()
            .filter(|(_, queues)| is_committed(queues))
            .map(|(topic, _)| topic.clone())
            .collect()
    }

    /// The groups that have committed offsets of the topic.
    pub fn groups_of(&self, topic: &str) -> Vec<Group> {
        let groups = self.groups.lock();
        groups
            .iter()
            .filter(|(_, topics)| topics.get(topic).is_some_and(is_committed))
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// Forgets a group.
    pub fn forget_group(&self, group: &str) {
        let gone = self.groups.lock().remove(group);
        self.forgotten(gone.into_iter().flatten().map(|(_, queues)| queues));
    }

    /// Forgets a topic in all groups.
    pub fn forget_topic(&self, topic: &str) {
        let gone: Vec<_> =
            self.groups.lock().values_mut().filter_map(|topics| topics.remove(topic)).collect();
        self.forgotten(gone.into_iter());
    }

    fn forgotten(&self, gone: impl Iterator<Item = Queues>) {
        for queues in gone {
            self.count.fetch_sub(queues.len(), Ordering::Relaxed);
            let resets = queues.values().filter(|position| position.reset.is_some()).count();
            self.resets.fetch_sub(resets, Ordering::Relaxed);
        }
    }

    /// The text of consumerOffset.json, as fastjson writes it.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut file = ConsumerOffsetTable {
            data_version: *self.version.lock(),
            ..ConsumerOffsetTable::default()
        };
        for (group, topics) in self.groups.lock().iter() {
            for (topic, queues) in topics {
                let offsets = queues
                    .iter()
                    .filter_map(|(queue, position)| Some((*queue, position.committed?.into())));
                file.offset_table.insert(format!("{topic}@{group}"), offsets.collect());
            }
        }
        file.offset_table.retain(|_, offsets: &mut BTreeMap<_, _>| !offsets.is_empty());
        fastjson::pretty(&file)
    }

    /// Reads the text of consumerOffset.json. Entries whose names are not valid are dropped.
    pub fn from_json(text: &[u8]) -> Result<Self, fastjson::ReadError> {
        let file: ConsumerOffsetTable = fastjson::read(text)?;
        let offsets = Self { version: Mutex::new(file.data_version), ..Self::default() };
        for (key, queues) in file.offset_table {
            let Some((topic, group)) = key.split_once('@') else { continue };
            let (Ok(topic), Ok(group)) = (Topic::new(topic), Group::new(group)) else { continue };
            // Java writes -1 where a consumer committed nothing yet.
            let known = queues.into_iter().filter_map(|(queue, at)| Some((queue, at.get()?)));
            for (queue, offset) in known {
                offsets
                    .change((&group, &topic, queue), |position| position.committed = Some(offset));
            }
        }
        Ok(offsets)
    }
}

fn is_committed(queues: &Queues) -> bool {
    queues.values().any(|position| position.committed.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Group, Topic) {
        (Group::new("g").unwrap(), Topic::new("t").unwrap())
    }

    #[test]
    fn the_last_commit_wins_even_if_it_goes_back() {
        let (group, topic) = names();
        let offsets = Offsets::default();
        assert_eq!(offsets.position("g", "t", QueueId(0)).committed, None);
        for offset in [9, 4] {
            offsets.commit((&group, &topic, QueueId(0)), QueueOffset(offset), Millis(1));
        }
        assert_eq!(offsets.position("g", "t", QueueId(0)).committed, Some(QueueOffset(4)));
    }

    #[test]
    fn a_reset_is_told_once_and_drops_commits_until_then() {
        let (group, topic) = names();
        let offsets = Offsets::default();
        offsets.commit((&group, &topic, QueueId(1)), QueueOffset(50), Millis(1));
        offsets.reset((&group, &topic, QueueId(1)), QueueOffset(7));
        offsets.commit((&group, &topic, QueueId(1)), QueueOffset(51), Millis(1));
        assert_eq!(offsets.position("g", "t", QueueId(1)).committed, Some(QueueOffset(7)));
        assert_eq!(offsets.take_reset((&group, &topic, QueueId(0))), None);
        assert_eq!(offsets.take_reset((&group, &topic, QueueId(1))), Some(QueueOffset(7)));
        assert_eq!(offsets.take_reset((&group, &topic, QueueId(1))), None);
        offsets.commit((&group, &topic, QueueId(1)), QueueOffset(8), Millis(1));
        assert_eq!(offsets.position("g", "t", QueueId(1)).committed, Some(QueueOffset(8)));
    }

    #[test]
    fn the_file_is_as_java_writes_and_reads_it() {
        let (group, topic) = names();
        let offsets = Offsets::default();
        offsets.commit((&group, &topic, QueueId(0)), QueueOffset(3), Millis(1));
        offsets.commit((&group, &topic, QueueId(10)), QueueOffset(4), Millis(1));
        offsets.pulled((&group, &topic, QueueId(2)), QueueOffset(4));
        let text = String::from_utf8(offsets.to_json().unwrap()).unwrap();
        let (_, table) = text.split_once("\"offsetTable\":").unwrap();
        assert_eq!(table, "{\n\t\t\"t@g\":{\n\t\t\t0:3,\n\t\t\t10:4\n\t\t}\n\t}\n}");
        let again = Offsets::from_json(text.as_bytes()).unwrap();
        assert_eq!(again.position("g", "t", QueueId(10)).committed, Some(QueueOffset(4)));
        let java = br#"{"dataVersion":{"counter":2,"stateVersion":0,"timestamp":1},"groupTopicMap":{"g":["t"]},
            "offsetTable":{"%RETRY%g@g":{0:5},"bad name@g":{0:1},"t@g":{0:-1,"1":6}}}"#;
        let read = Offsets::from_json(java).unwrap();
        assert_eq!(read.position("g", "%RETRY%g", QueueId(0)).committed, Some(QueueOffset(5)));
        assert_eq!(read.of_topic("g", "t").len(), 1);
        assert_eq!(read.position("g", "t", QueueId(1)).committed, Some(QueueOffset(6)));
    }

    #[test]
    fn what_is_forgotten_is_gone_from_both_sides() {
        let (group, topic) = names();
        let offsets = Offsets::default();
        offsets.reset((&group, &topic, QueueId(0)), QueueOffset(3));
        assert_eq!(offsets.groups_of("t"), [group]);
        assert_eq!(offsets.topics_of("g"), [topic]);
        offsets.forget_topic("t");
        assert!(offsets.groups_of("t").is_empty() && offsets.topics_of("g").is_empty());
        assert_eq!(offsets.count.load(Ordering::Relaxed), 0);
        assert_eq!(offsets.resets.load(Ordering::Relaxed), 0);
    }
}
