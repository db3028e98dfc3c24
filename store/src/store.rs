//! The store's verbs. What they do is in the modules; this file owns the parts and their state.

use std::{
    any::Any,
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use gantry_model::{Millis, PhysicalOffset, QueueId, QueueOffset, Topic};
use parking_lot::Mutex;

use crate::{
    appender::{Appender, Surroundings},
    background::{self, FlushTime},
    batch::{Appended, Batch, Completion, Flusher, Refusal},
    checkpoint::Checkpoint,
    disk::{Disk, DiskFile, Wait},
    files::FileKey,
    layout::Layout,
    log::Log,
    outcome::{OpenError, Recovery},
    queue::QueueHandle,
    queues::Queues,
    read::{self, Limits, Pull, ReadError, Select},
    recovery,
    search::{self, Boundary},
    settings::{Flush, Settings},
    signal::Signal,
};

/// Told what happens in a store. Called from appending threads and from the store's own; must not block.
pub trait Listener: Send + Sync + 'static {
    /// A watched queue (see [`crate::Queue::watch`]) has got messages up to `end`, the last one ending at `position`.
    fn arrived(&self, queue: &QueueHandle, end: QueueOffset, position: PhysicalOffset);
    /// All records that end at or below this are durable. Called by one thread at a time, with growing
    /// positions.
    fn flushed(&self, position: PhysicalOffset);
    /// A write or flush failed. Nothing is stored any more; the process should end and start anew.
    fn failed(&self, what: &str);
}

/// Whether messages are taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// They are.
    Writable,
    /// They are refused until the disk has room; reading goes on.
    DiskFull,
    /// They are refused for good; reading goes on.
    Failed,
    /// The store was shut down.
    ShutDown,
}

const NO_SEGMENT: u8 = 1;
const TOO_FULL: u8 = 2;
const FAILED: u8 = 4;
const SHUT: u8 = 8;

/// A broker's store. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Everything but the threads.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: Log,
    pub(crate) queues: Queues,
    pub(crate) appender: Appender,
    pub(crate) listener: Arc<dyn Listener>,
    flags: AtomicU8,
    pub(crate) flush_signal: Signal,
    pub(crate) house_signal: Signal,
    pub(crate) house: Mutex<House>,
    pub(crate) flushing: Mutex<FlushTime>,
    /// Store time of the last record, for the checkpoint.
    pub(crate) stored: AtomicU64,
    pub(crate) relieved: AtomicBool,
    _lock: Box<dyn Any + Send + Sync>,
}

/// What the house thread remembers between its rounds.
pub(crate) struct House {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) checkpoint_file: Arc<dyn DiskFile>,
    /// Queue files written since they were last made durable.
    pub(crate) dirty: HashMap<FileKey, Arc<dyn DiskFile>>,
    /// Files that are not among those may be dirty: there were too many to keep open, or a process before this one wrote them
    /// and was killed.
    pub(crate) others_dirty: bool,
}

impl House {
    /// Up to where the checkpoint says that all is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.checkpoint.own.map_or(0, |own| own.durable)
    }

    pub(crate) fn write_checkpoint(&self) -> io::Result<()> {
        let bytes = self.checkpoint.encode();
        self.checkpoint_file.write_at(0, &mut [io::IoSlice::new(&bytes)])
    }
}

/// Who does the work in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Two threads of the store.
    Threads,
    /// The caller, with [`Store::flush_now`] and [`Store::tidy_now`]: for simulations.
    Caller,
}

pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: Log,
    pub(crate) queues: Queues,
    pub(crate) appender: Appender,
    pub(crate) house: House,
    pub(crate) lock: Box<dyn Any + Send + Sync>,
}

impl Store {
    /// Opens the store in `settings.root`, made if missing, and recovers it if it was not shut down properly. The time it
    /// takes does not depend on the length of the log or the number of queues.
    pub fn open(
        disk: Arc<dyn Disk>,
        settings: Settings,
        listener: Arc<dyn Listener>,
        background: Background,
    ) -> Result<(Self, Recovery), OpenError> {
        let (parts, recovery) = recovery::open(disk, settings)?;
        let core = Arc::new(Core {
            settings: parts.settings,
            layout: parts.layout,
            disk: parts.disk,
            log: parts.log,
            queues: parts.queues,
            appender: parts.appender,
            listener,
            flags: AtomicU8::new(0),
            flush_signal: Signal::default(),
            house_signal: Signal::default(),
            stored: AtomicU64::new(parts.house.checkpoint.log_time.0),
            house: Mutex::new(parts.house),
            flushing: Mutex::default(),
            relieved: AtomicBool::new(false),
            _lock: parts.lock,
        });
        let threads = match background {
            Background::Threads => background::start(&core).map_err(OpenError::Thread)?,
            Background::Caller => Vec::new(),
        };
        Ok((Self(Arc::new(Shared { core, threads: Mutex::new(threads) })), recovery))
    }

    /// The queue if it exists. The first time it is asked for this reads a few blocks of the disk.
    pub fn queue(&self, topic: &Topic, id: QueueId) -> Result<Option<QueueHandle>, ReadError> {
        let core = &self.0.core;
        let found = core.queues.find(&core.log, topic, id);
        found.map_err(|e| ReadError::io(format!("queue {topic}/{id}"), e))
    }

    /// The queue, made if missing. As [`Self::queue`].
    pub fn queue_or_create(&self, topic: &Topic, id: QueueId) -> Result<QueueHandle, ReadError> {
        let core = &self.0.core;
        let found = core.queues.find_or_create(&core.log, topic, id);
        found.map_err(|e| ReadError::io(format!("queue {topic}/{id}"), e))
    }

    /// Stores a batch. The outcome is given back at once, unless another thread is appending: then that thread stores it too
    /// and calls what `later` makes. The outcome says where the messages are; whether they are durable says
    /// [`Self::flushed`].
    pub fn append(&self, batch: Batch, later: impl FnOnce() -> Completion) -> Option<Appended> {
        let core = &*self.0.core;
        core.appender.append(core, batch, later)
    }

    /// Messages of a queue from an offset on. With [`Wait::Never`] this may give [`ReadError::Blocks`].
    pub fn read(
        &self,
        queue: &QueueHandle,
        from: QueueOffset,
        limits: Limits,
        (select, wait): (&mut dyn Select, Wait),
    ) -> Result<Pull, ReadError> {
        let core = &self.0.core;
        read::pull((&core.queues, &core.log), queue, from, limits, (select, wait))
    }

    /// The queue's first offset whose message is still in the log (`GET_MIN_OFFSET`).
    pub fn min_offset(&self, queue: &QueueHandle, wait: Wait) -> Result<QueueOffset, ReadError> {
        let core = &self.0.core;
        let min = core.queues.min(&core.log, queue, wait);
        min.map(QueueOffset).map_err(|e| ReadError::io(format!("queue {queue:?}"), e))
    }

    /// The offset for a time (`SEARCH_OFFSET_BY_TIMESTAMP`). Reads the disk: call it where waiting is allowed.
    pub fn offset_by_time(
        &self,
        queue: &QueueHandle,
        time: Millis,
        boundary: Boundary,
    ) -> Result<QueueOffset, ReadError> {
        search::offset_by_time((&self.0.core.queues, &self.0.core.log), queue, time, boundary)
    }

    /// The store time of a queue's message; none if there is no such message. Reads the disk.
    pub fn stored_time(
        &self,
        queue: &QueueHandle,
        offset: QueueOffset,
    ) -> Result<Option<Millis>, ReadError> {
        search::stored_time((&self.0.core.queues, &self.0.core.log), queue, offset)
    }

    /// The record that begins at a position, CRC checked.
    pub fn message_at(&self, position: PhysicalOffset, wait: Wait) -> Result<Bytes, ReadError> {
        read::message_at(&self.0.core.log, position, wait)
    }

    /// The store time of a queue's first message (`GET_EARLIEST_MSG_STORETIME`). Reads the disk.
    pub fn earliest_time(&self, queue: &QueueHandle) -> Result<Option<Millis>, ReadError> {
        let min = self.min_offset(queue, Wait::Disk)?;
        self.stored_time(queue, min)
    }

    /// The end of the log.
    #[must_use]
    pub fn written(&self) -> PhysicalOffset {
        PhysicalOffset(self.0.core.log.written())
    }

    /// How far the log is durable.
    #[must_use]
    pub fn flushed(&self) -> PhysicalOffset {
        PhysicalOffset(self.0.core.log.flushed())
    }

    /// The first position of the log.
    #[must_use]
    pub fn min_position(&self) -> PhysicalOffset {
        PhysicalOffset(self.0.core.log.min())
    }

    /// How far consumers may see: what would survive what the flush setting promises to survive.
    #[must_use]
    pub fn visible(&self) -> PhysicalOffset {
        match self.0.core.settings.flush {
            Flush::Async => self.written(),
            Flush::Sync => self.flushed(),
        }
    }

    /// Whether messages are taken now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.0.core.condition()
    }

    /// Removes a topic's queues. Handles of them are [`crate::Queue::is_gone`] from then on. Reads and writes the disk.
    pub fn remove_topic(&self, topic: &Topic) -> io::Result<()> {
        let _house = self.0.core.house.lock();
        self.0.core.queues.remove_topic(topic)
    }

    /// Makes all that is written durable. The store's thread does this by itself.
    pub fn flush_now(&self) {
        background::flush(&self.0.core);
    }

    /// One round of what the store's other thread does: queue files, checkpoint, next log file, retention.
    pub fn tidy_now(&self) {
        background::tidy(&self.0.core, background::Depth::Durable);
        background::make_room(&self.0.core);
    }

    /// Ends the threads, makes all durable and marks the directory as properly closed. Refuses messages from then on; may
    /// be called again.
    pub fn shutdown(&self) -> io::Result<()> {
        let core = &self.0.core;
        let first = core.raise(SHUT) & SHUT == 0;
        core.flush_signal.urge();
        core.house_signal.urge();
        for thread in self.0.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
        if first { background::close(core) } else { Ok(()) }
    }
}

impl Drop for Shared {
    /// Ends the threads; the directory stays marked as not properly closed.
    fn drop(&mut self) {
        self.core.raise(SHUT);
        self.core.flush_signal.urge();
        self.core.house_signal.urge();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
    }
}

impl Core {
    fn raise(&self, flag: u8) -> u8 {
        self.flags.fetch_or(flag, Ordering::SeqCst)
    }

    fn lower(&self, flag: u8) {
        self.flags.fetch_and(!flag, Ordering::SeqCst);
    }

    pub(crate) fn condition(&self) -> Condition {
        let flags = self.flags.load(Ordering::SeqCst);
        if flags & FAILED != 0 {
            Condition::Failed
        } else if flags & SHUT != 0 {
            Condition::ShutDown
        } else if flags & (NO_SEGMENT | TOO_FULL) != 0 {
            Condition::DiskFull
        } else {
            Condition::Writable
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & FAILED != 0
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & SHUT != 0
    }

    pub(crate) fn lacks_segment(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & NO_SEGMENT != 0
    }

    pub(crate) fn segment_made(&self) {
        self.lower(NO_SEGMENT);
    }

    pub(crate) fn usage(&self, too_full: TooFull) {
        match too_full {
            TooFull::Yes => self.raise(TOO_FULL),
            TooFull::No => self.flags.fetch_and(!TOO_FULL, Ordering::SeqCst),
        };
    }

    /// The disk has lied or refused: nothing is written any more.
    pub(crate) fn fail(&self, what: &str) {
        if self.raise(FAILED) & FAILED == 0 {
            tracing::error!(what, "the store has failed and takes no messages any more");
            self.listener.failed(what);
        }
    }
}

/// Whether the disk is fuller than the setting allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooFull {
    Yes,
    No,
}

impl Surroundings for Core {
    fn log(&self) -> &Log {
        &self.log
    }

    fn now(&self) -> Millis {
        (self.settings.clock)()
    }

    fn admits(&self) -> Result<(), Refusal> {
        match self.flags.load(Ordering::Relaxed) {
            // The next file may be there by now; rolling finds out.
            0 | NO_SEGMENT => Ok(()),
            flags if flags & FAILED != 0 => Err(Refusal::Failed),
            flags if flags & SHUT != 0 => Err(Refusal::ShutDown),
            _ => Err(Refusal::DiskFull),
        }
    }

    fn disk_full(&self) {
        if self.raise(NO_SEGMENT) & NO_SEGMENT == 0 {
            tracing::error!("no room for another log file: messages are refused until there is");
        }
        self.house_signal.raise();
    }

    fn write_failed(&self, what: &io::Error) {
        self.fail(&format!("writing the log: {what}"));
    }

    fn appended(&self, batch: &Appended, flusher: Flusher) {
        self.stored.fetch_max(batch.stored.0, Ordering::Relaxed);
        self.house_signal.raise();
        for placed in batch.placed() {
            if placed.queue.take_watch() {
                self.listener.arrived(placed.queue, placed.offset.plus(1), placed.end);
            }
        }
        let here = self.settings.flush == Flush::Sync && flusher == Flusher::Caller;
        if !(here && background::flush_here(self)) {
            self.flush_signal.raise();
        }
    }

    fn relieve(&self) {
        self.relieved.store(true, Ordering::SeqCst);
        self.flush_signal.urge();
    }
}
