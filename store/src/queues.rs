//! The queues that were touched since the start. A queue that exists on disk is looked at when it is first asked for, so
//! opening a store does not depend on how many there are.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use gantry_model::{
    QueueId, Topic,
    record::{Check, Record},
};
use parking_lot::RwLock;

use crate::{
    disk::Wait,
    layout,
    log::Log,
    queue::{Extent, QueueFiles, QueueHandle, UNIT, Unit},
};

type Topics = HashMap<Topic, BTreeMap<QueueId, QueueHandle>, foldhash::fast::RandomState>;

/// All touched queues, and the files of all.
pub(crate) struct Queues {
    pub(crate) files: QueueFiles,
    topics: RwLock<Topics>,
    last_number: AtomicU64,
}

impl Queues {
    pub(crate) fn new(files: QueueFiles) -> Self {
        Self { files, topics: RwLock::default(), last_number: AtomicU64::new(0) }
    }

    fn touched(&self, topic: &str, id: QueueId) -> Option<QueueHandle> {
        self.topics.read().get(topic)?.get(&id).cloned()
    }

    /// The queue if it exists. The first time, this reads its directory and the end of its last file.
    pub(crate) fn find(
        &self,
        log: &Log,
        topic: &Topic,
        id: QueueId,
    ) -> io::Result<Option<QueueHandle>> {
        if let Some(queue) = self.touched(topic, id) {
            return Ok(Some(queue));
        }
        match self.load(log, topic, id)? {
            Some(extent) => Ok(Some(self.insert(topic, id, extent))),
            None => Ok(None),
        }
    }

    /// The queue, made if missing; its files come with its first units.
    pub(crate) fn find_or_create(
        &self,
        log: &Log,
        topic: &Topic,
        id: QueueId,
    ) -> io::Result<QueueHandle> {
        match self.find(log, topic, id)? {
            Some(queue) => Ok(queue),
            None => Ok(self.insert(topic, id, Extent { first: 0, end: 0 })),
        }
    }

    fn insert(&self, topic: &Topic, id: QueueId, extent: Extent) -> QueueHandle {
        let mut topics = self.topics.write();
        let ids = topics.entry(topic.clone()).or_default();
        ids.entry(id)
            .or_insert_with(|| {
                let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
                QueueHandle::new(topic, id, number, extent)
            })
            .clone()
    }

    /// Queues touched since the start.
    pub(crate) fn all_touched(&self) -> Vec<QueueHandle> {
        self.topics.read().values().flat_map(|ids| ids.values().cloned()).collect()
    }

    /// Forgets a topic's queues and removes their files. The records stay in the log.
    pub(crate) fn remove_topic(&self, topic: &Topic) -> io::Result<()> {
        let gone = self.topics.write().remove(topic);
        for queue in gone.into_iter().flat_map(BTreeMap::into_values) {
            queue.retire();
            self.files.open.forget(queue.number());
        }
        match self.files.disk.remove_dir(&self.files.layout.topic(topic)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Where a queue on disk begins and ends; none if it has no files.
    fn load(&self, log: &Log, topic: &Topic, id: QueueId) -> io::Result<Option<Extent>> {
        let files = &self.files;
        let dir = files.layout.queue(topic, id);
        let names = files.disk.list(&dir)?;
        let starts: Vec<u64> = names
            .iter()
            .filter_map(|entry| layout::base_of(&entry.name))
            .map(|at| at / UNIT)
            .collect();
        let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return Ok(None) };
        // A handle that nobody else sees, to read the files through.
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let whole = Extent { first: *first, end: last + files.file_units };
        let queue = QueueHandle::new(topic, id, number, whole);
        let unit = |offset| -> io::Result<Unit> {
            Ok(files.unit(&queue, offset, Wait::Disk)?.unwrap_or(Unit {
                position: 0,
                size: 0,
                tags: 0,
            }))
        };
        let written = log.written();
        let mut end = *first;
        for start in starts.iter().rev() {
            end = partition(*start, start + files.file_units, |offset| {
                let unit = unit(offset)?;
                Ok(unit.size > 0 && unit.position < written)
            })?;
            // A file may have been made and no unit written.
            if end > *start {
                break;
            }
        }
        // Units may be left of records that recovery has cut off; their places may hold other records by now.
        while end > *first {
            let last = unit(end - 1)?;
            if !last.is_message() || last.position < log.min() || holds(log, last, &queue, end - 1)
            {
                break;
            }
            end -= 1;
        }
        let first = partition(*first, end, |offset| {
            let unit = unit(offset)?;
            Ok(!unit.is_message() || unit.position < log.min())
        })?;
        files.open.forget(number);
        Ok(Some(Extent { first, end }))
    }

    /// The first offset whose record is still in the log; the end if there is none.
    pub(crate) fn min(&self, log: &Log, queue: &QueueHandle, wait: Wait) -> io::Result<u64> {
        let (known, log_min) = (queue.min(), log.min());
        if known.log_min >= log_min {
            return Ok(known.offset);
        }
        let end = queue.end().0;
        let offset = partition(known.offset, end, |offset| {
            let unit = self.files.unit(queue, offset, wait)?;
            Ok(unit.is_some_and(|unit| !unit.is_message() || unit.position < log_min))
        })?;
        queue.learn_min(crate::queue::Min { offset, log_min });
        Ok(offset)
    }
}

/// Whether the log has this queue's record of `offset` at the unit's place.
fn holds(log: &Log, unit: Unit, queue: &QueueHandle, offset: u64) -> bool {
    let Ok(bytes) = log.read(unit.position, unit.size as usize, Wait::Disk) else { return false };
    Record::parse(&bytes, Check::Trust).is_ok_and(|record| {
        record.position.0 == unit.position
            && record.offset.0 == offset
            && record.queue == queue.id()
            && record.topic == queue.topic().as_str()
    })
}

/// The first of `low..high` for which `before` does not hold; it holds for a head of the range only.
pub(crate) fn partition(
    mut low: u64,
    mut high: u64,
    mut before: impl FnMut(u64) -> io::Result<bool>,
) -> io::Result<u64> {
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
