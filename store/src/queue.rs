//! One consume queue: for each message its place in the log, in files of fixed length under
//! `consumequeue/<topic>/<id>/`. Big-endian units of 20 bytes (`ConsumeQueue` of Apache RocketMQ):
//!
//! ```text
//! 0 position u64   8 record size u32   12 tags code i64
//! ```
//!
//! The unit of queue offset n is at byte 20 n, counted over all files; a file's name is the byte where it begins. Units
//! before a queue's first one in its first file are (0, 0x7FFFFFFF, 0).
//!
//! Units are made by the appender and stay in memory until the store's house thread writes many at once; a unit is in
//! memory, in the file, or both, never in neither. A queue costs no task, timer, mapping or open file.

use std::{
    collections::BTreeSet,
    fmt, io,
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use gantry_model::{QueueId, QueueOffset, Topic};
use parking_lot::Mutex;

use crate::{
    disk::{Disk, DiskFile, Reserve, Wait},
    files::{FileKey, OpenFiles},
    layout::{self, Layout},
};

/// Bytes of a unit.
pub(crate) const UNIT: u64 = 20;
const BLANK_SIZE: u32 = 0x7FFF_FFFF;

/// A unit as a file holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) position: u64,
    pub(crate) size: u32,
    pub(crate) tags: i64,
}

pub(crate) type RawUnit = [u8; 20];

impl Unit {
    pub(crate) const BLANK: Self = Self { position: 0, size: BLANK_SIZE, tags: 0 };

    pub(crate) fn encode(self) -> RawUnit {
        let mut raw = [0; 20];
        let fields = self.position.to_be_bytes().into_iter().chain(self.size.to_be_bytes());
        for (slot, byte) in raw.iter_mut().zip(fields.chain(self.tags.to_be_bytes())) {
            *slot = byte;
        }
        raw
    }

    pub(crate) fn decode(raw: &RawUnit) -> Self {
        let (position, rest) = raw.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let (size, rest) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let tags = rest.first_chunk().unwrap_or(&[0; 8]);
        Self {
            position: u64::from_be_bytes(*position),
            size: u32::from_be_bytes(*size),
            tags: i64::from_be_bytes(*tags),
        }
    }

    /// Whether it stands for a message.
    pub(crate) const fn is_message(self) -> bool {
        self.size > 0 && self.size < BLANK_SIZE
    }
}

/// One consume queue. Made by [`crate::Store::queue`] and its kin; hold on to the handle instead of asking again.
pub struct Queue {
    topic: Topic,
    id: QueueId,
    number: u64,
    /// The next offset to be given out; changed under the appender's lock only.
    next: AtomicU64,
    /// The next offset as readers see it.
    end: AtomicU64,
    watched: AtomicBool,
    gone: AtomicBool,
    tail: Mutex<Tail>,
    min: Mutex<Min>,
}

/// Units that are in memory.
#[derive(Default)]
struct Tail {
    /// Offset of the first unit in memory; those before it are in files.
    first: u64,
    units: Vec<RawUnit>,
    /// On the list of queues to be written.
    listed: bool,
}

/// The first offset whose message is in the log, and the log's start for which that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Min {
    pub(crate) offset: u64,
    pub(crate) log_min: u64,
}

/// A shared reference to a queue; cheap to clone.
#[derive(Clone)]
pub struct QueueHandle(Arc<Queue>);

impl Deref for QueueHandle {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0
    }
}

impl fmt::Debug for QueueHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.id)
    }
}

/// Where a queue begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) end: u64,
}

impl QueueHandle {
    pub(crate) fn new(topic: &Topic, id: QueueId, number: u64, extent: Extent) -> Self {
        Self(Arc::new(Queue {
            topic: topic.clone(),
            id,
            number,
            next: AtomicU64::new(extent.end),
            end: AtomicU64::new(extent.end),
            watched: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            tail: Mutex::new(Tail { first: extent.end, units: Vec::new(), listed: false }),
            min: Mutex::new(Min { offset: extent.first, log_min: 0 }),
        }))
    }

    /// Whether both are the same queue.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Queue {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Its id in the topic.
    #[must_use]
    pub const fn id(&self) -> QueueId {
        self.id
    }

    /// The offset that the next message gets (`GET_MAX_OFFSET`).
    #[must_use]
    pub fn end(&self) -> QueueOffset {
        QueueOffset(self.end.load(Ordering::SeqCst))
    }

    /// Asks for one call of [`crate::Listener::arrived`] when the end moves next. Look at [`Self::end`] once more after
    /// this: what came just before is not reported.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    /// Whether the topic was deleted: get a new handle.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn retire(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The next offset. Called by the holder of the appender's lock only.
    pub(crate) fn assign(&self) -> QueueOffset {
        let next = self.next.load(Ordering::Relaxed);
        self.next.store(next + 1, Ordering::Relaxed);
        QueueOffset(next)
    }

    /// Adds the unit of the next offset, whose record is written. True if the queue must be listed for writing.
    pub(crate) fn push(&self, unit: Unit) -> bool {
        let mut tail = self.tail.lock();
        tail.units.push(unit.encode());
        let end = tail.first + tail.units.len() as u64;
        let unlisted = !std::mem::replace(&mut tail.listed, true);
        drop(tail);
        self.end.store(end, Ordering::SeqCst);
        unlisted
    }

    /// Whether somebody has asked to be told of this queue's next message; asks no more.
    pub(crate) fn take_watch(&self) -> bool {
        self.watched.load(Ordering::SeqCst) && self.watched.swap(false, Ordering::SeqCst)
    }

    /// Recovery: adds the next offset's unit. True if the queue must be listed for writing.
    pub(crate) fn restore(&self, unit: Unit) -> bool {
        self.assign();
        self.push(unit)
    }

    /// Recovery: the record at `offset` is the next one; what the queue holds from there on is void.
    pub(crate) fn rewind(&self, offset: u64) {
        let mut tail = self.tail.lock();
        if offset >= tail.first {
            let keep = usize::try_from(offset - tail.first).unwrap_or(usize::MAX);
            tail.units.truncate(keep);
        } else {
            tail.units.clear();
            tail.first = offset;
        }
        self.next.store(offset, Ordering::Relaxed);
        self.end.store(offset, Ordering::SeqCst);
        let mut min = self.min.lock();
        min.offset = min.offset.min(offset);
    }

    /// Recovery: an empty queue begins at `offset`.
    pub(crate) fn begin_at(&self, offset: u64) {
        self.rewind(0);
        let mut tail = self.tail.lock();
        tail.first = offset;
        self.next.store(offset, Ordering::Relaxed);
        self.end.store(offset, Ordering::SeqCst);
        self.min.lock().offset = offset;
    }

    pub(crate) fn min(&self) -> Min {
        *self.min.lock()
    }

    pub(crate) fn learn_min(&self, min: Min) {
        *self.min.lock() = min;
    }
}

/// Reads and writes the files of queues.
pub(crate) struct QueueFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) open: OpenFiles,
    pub(crate) file_units: u64,
    /// Directories whose names are not yet durable.
    pub(crate) made: Mutex<BTreeSet<PathBuf>>,
}

impl QueueFiles {
    /// Fills `out` with the units from `from` on, as many as there are, and says how many.
    pub(crate) fn units(
        &self,
        queue: &Queue,
        from: u64,
        out: &mut [RawUnit],
        wait: Wait,
    ) -> io::Result<usize> {
        let in_files = {
            let tail = queue.tail.lock();
            if let Some(skip) = from.checked_sub(tail.first) {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                let units = tail.units.get(skip..).unwrap_or_default();
                let n = units.len().min(out.len());
                let both = out.get_mut(..n).zip(units.get(..n));
                both.into_iter().for_each(|(out, units)| out.copy_from_slice(units));
                return Ok(n);
            }
            tail.first - from
        };
        let in_file = (self.file_units - from % self.file_units).min(in_files);
        let n = usize::try_from(in_file).unwrap_or(usize::MAX).min(out.len());
        let raw = out.get_mut(..n).unwrap_or_default().as_flattened_mut();
        self.file(queue, from, wait)?.read_at(from % self.file_units * UNIT, raw, wait)?;
        Ok(n)
    }

    /// The unit of one offset.
    pub(crate) fn unit(&self, queue: &Queue, offset: u64, wait: Wait) -> io::Result<Option<Unit>> {
        let mut raw = [[0; 20]];
        let n = self.units(queue, offset, &mut raw, wait)?;
        Ok(raw.first().filter(|_| n == 1).map(Unit::decode))
    }

    /// The existing file with the unit of `offset`.
    fn file(&self, queue: &Queue, offset: u64, wait: Wait) -> io::Result<Arc<dyn DiskFile>> {
        let file = offset / self.file_units;
        let key = FileKey { queue: queue.number, file };
        match (self.open.get(key), wait) {
            (Some(open), _) => Ok(open),
            (None, Wait::Never) => Err(io::ErrorKind::WouldBlock.into()),
            (None, Wait::Disk) => self.open.get_or(key, || {
                let dir = self.layout.queue(&queue.topic, queue.id);
                self.disk.open(&layout::file(&dir, file * self.file_units * UNIT))
            }),
        }
    }

    /// Writes the units that a queue has in memory, of records before `below`, and lets go of them. The files are not yet
    /// durable.
    pub(crate) fn write_tail(&self, queue: &Queue, below: u64) -> io::Result<WrittenTail> {
        let (first, units, listed) = {
            let mut tail = queue.tail.lock();
            let ready = tail.units.partition_point(|raw| Unit::decode(raw).position < below);
            tail.listed = ready < tail.units.len();
            (tail.first, tail.units.get(..ready).unwrap_or_default().to_vec(), tail.listed)
        };
        let mut files = Vec::with_capacity(1);
        let (mut from, mut rest) = (first, units.as_slice());
        while !rest.is_empty() && !queue.is_gone() {
            let room =
                usize::try_from(self.file_units - from % self.file_units).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            let key = FileKey { queue: queue.number, file: from / self.file_units };
            let file = self.open.get_or(key, || self.make_file(queue, from))?;
            let bytes = now.as_flattened();
            file.write_at(from % self.file_units * UNIT, &mut [io::IoSlice::new(bytes)])?;
            files.push((key, file));
            from += now.len() as u64;
            rest = later;
        }
        let mut tail = queue.tail.lock();
        if tail.first == first {
            tail.units.drain(..units.len());
            tail.first += units.len() as u64;
            // A queue that was busy once must not keep the memory for ever.
            if tail.units.is_empty() {
                tail.units = Vec::new();
            }
        }
        Ok(WrittenTail { units: units.len(), files, listed })
    }

    /// The file for the unit at `from`, made if missing. A queue's first file is filled up to its first unit.
    fn make_file(&self, queue: &Queue, from: u64) -> io::Result<Arc<dyn DiskFile>> {
        let dir = self.layout.queue(&queue.topic, queue.id);
        let start = from - from % self.file_units;
        let path = layout::file(&dir, start * UNIT);
        match self.disk.open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        self.disk.create_dir(&dir)?;
        let mut made = self.made.lock();
        made.extend([self.layout.topic(&queue.topic), self.layout.queues.clone(), dir]);
        drop(made);
        let file = self.disk.create(&path, self.file_units * UNIT, Reserve::Sparse)?;
        if from > start {
            let blanks = usize::try_from(from - start).unwrap_or(usize::MAX);
            let raw = vec![Unit::BLANK.encode(); blanks];
            file.write_at(0, &mut [io::IoSlice::new(raw.as_flattened())])?;
        }
        Ok(file)
    }

    /// Directories in which files were made since this was last asked.
    pub(crate) fn take_made(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.made.lock())
    }
}

/// What was written of a queue.
pub(crate) struct WrittenTail {
    pub(crate) units: usize,
    /// There are younger units: the queue must be listed again.
    pub(crate) listed: bool,
    pub(crate) files: Vec<(FileKey, Arc<dyn DiskFile>)>,
}
