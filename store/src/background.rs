//! What is done beside the appends. Two threads: one makes the log durable (group commit: everything written while a flush
//! ran goes with the next; a caller who is alone does it itself, see [`crate::Flusher::Caller`]), one keeps house: writes queue units, checkpoint, prepares log files, lets old ones go.
//!
//! A failed flush or write of ours ends the store for good. A disk without room does not.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gantry_model::Millis;

use crate::{
    checkpoint::Own,
    disk::{Wait, is_full},
    queue::QueueHandle,
    retention,
    settings::Flush,
    store::{Core, House, TooFull},
};

/// Time between two rounds of the house while there is work.
const HOUSE_PAUSE: Duration = Duration::from_millis(500);
/// Time between two looks at the disk's usage.
const SPACE_INTERVAL: Duration = Duration::from_secs(10);
/// Most time and most bytes between two durable checkpoints: what is scanned after a power loss.
const DURABLE_INTERVAL: Duration = Duration::from_secs(10);
const DURABLE_BYTES: u64 = 512 << 20;
/// Queue files from which one sync of the file system is cheaper than one for each.
const SYNC_ALL_FILES: usize = 64;

pub(crate) fn start(core: &Arc<Core>) -> io::Result<Vec<JoinHandle<()>>> {
    let for_flush = Arc::clone(core);
    let for_house = Arc::clone(core);
    Ok(vec![
        thread::Builder::new().name("store-flush".into()).spawn(move || flush_loop(&for_flush))?,
        thread::Builder::new().name("store-house".into()).spawn(move || house_loop(&for_house))?,
    ])
}

fn flush_loop(core: &Core) {
    let interval = Duration::from_millis(core.settings.flush_interval.0);
    while !core.is_shut() {
        core.flush_signal.wait(None);
        if core.settings.flush == Flush::Async && !core.relieved.load(Ordering::SeqCst) {
            core.flush_signal.pause(interval);
        }
        core.flush_signal.lower();
        if core.relieved.swap(false, Ordering::SeqCst) {
            core.appender.drain(core);
        }
        flush(core);
    }
}

/// How long flushes have taken lately, in nanoseconds: each counts an eighth.
pub(crate) struct FlushTime(u64);

impl Default for FlushTime {
    /// Nothing is known: the store's thread finds out.
    fn default() -> Self {
        Self(2 * QUICK)
    }
}

/// A flush of so many nanoseconds may be waited for on a thread that serves connections: no longer than serving one large
/// batch takes.
const QUICK: u64 = 500_000;

impl FlushTime {
    fn count(&mut self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0 = self.0 - self.0 / 8 + took / 8;
    }
}

/// Makes durable what is written now, unless another thread is at it or the disk has been slow. Whether it did.
pub(crate) fn flush_here(core: &Core) -> bool {
    let Some(mut time) = core.flushing.try_lock().filter(|time| time.0 < QUICK) else {
        return false;
    };
    flush_locked(core, &mut time);
    true
}

/// Makes durable what is written now.
pub(crate) fn flush(core: &Core) {
    flush_locked(core, &mut core.flushing.lock());
}

fn flush_locked(core: &Core, time: &mut FlushTime) {
    let (from, to) = (core.log.flushed(), core.log.written());
    if from >= to || core.has_failed() {
        return;
    }
    let begun = Instant::now();
    let mut at = from;
    while at < to {
        let Some(segment) = core.log.segment_of(at) else {
            core.fail(&format!("the log has no file for position {at}"));
            return;
        };
        let synced = segment.file(&*core.disk, Wait::Disk).and_then(|file| file.sync_data());
        if let Err(e) = synced {
            core.fail(&format!("flushing {}: {e}", segment.path.display()));
            return;
        }
        at = segment.base + core.log.segment_size;
    }
    time.count(begun.elapsed());
    core.log.flushed.store(to, Ordering::Release);
    core.listener.flushed(gantry_model::PhysicalOffset(to));
}

fn house_loop(core: &Core) {
    let mut last = Rounds { durable: Instant::now(), space: None };
    while !core.is_shut() {
        core.house_signal.wait(Some(SPACE_INTERVAL));
        core.house_signal.pause(HOUSE_PAUSE);
        core.house_signal.lower();
        let durable = core.house.lock().durable();
        let due = core.log.written().saturating_sub(durable) > DURABLE_BYTES
            || last.durable.elapsed() > DURABLE_INTERVAL;
        if due {
            last.durable = Instant::now();
        }
        tidy(core, if due { Depth::Durable } else { Depth::Written });
        if last.space.is_none_or(|at| at.elapsed() > SPACE_INTERVAL) {
            last.space = Some(Instant::now());
            make_room(core);
        }
    }
}

struct Rounds {
    durable: Instant,
    space: Option<Instant>,
}

/// How far a round of the house goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Queue units get into their files: enough for the end of the process.
    Written,
    /// They get onto the disk: enough for the end of power.
    Durable,
}

/// One round.
pub(crate) fn tidy(core: &Core, depth: Depth) {
    let mut house = core.house.lock();
    if core.has_failed() {
        return;
    }
    core.log.close_cold();
    prepare_next(core);
    if let Err(e) = settle(core, &mut house, depth) {
        failed(core, "writing queue files or checkpoint", &e);
    }
}

/// Missing room refuses messages until there is some, anything else ends the store.
fn failed(core: &Core, what: &str, e: &io::Error) {
    if is_full(e) {
        tracing::error!(what, "no room on the disk: messages are refused until there is");
        core.usage(TooFull::Yes);
        core.house_signal.raise();
    } else {
        core.fail(&format!("{what}: {e}"));
    }
}

/// Makes the next log file once half of this one is used, or as soon as there is room after there was none.
fn prepare_next(core: &Core) {
    let at = core.log.written();
    let Some(segment) = core.log.segment_of(at) else { return };
    let next = segment.base + core.log.segment_size;
    let half_used = at - segment.base >= core.log.segment_size / 2;
    if core.log.segment_of(next).is_some() || !(half_used || core.lacks_segment()) {
        return;
    }
    match core.log.prepare(next) {
        Ok(_) => core.segment_made(),
        Err(e) if is_full(&e) => {
            tracing::warn!("no room for the next log file yet");
            core.house_signal.raise();
        }
        Err(e) => core.fail(&format!("making the next log file: {e}")),
    }
}

/// Writes the units that are only in memory and says in the checkpoint that they are written.
fn settle(core: &Core, house: &mut House, depth: Depth) -> io::Result<()> {
    let stored = Millis(core.stored.load(Ordering::SeqCst));
    let (end, listed) = core.appender.take_listed();
    flush(core);
    if core.has_failed() {
        return Ok(());
    }
    write_units(core, house, &listed)?;
    let mut own = house.checkpoint.own.unwrap_or_default();
    let moved = own.written != end;
    own.written = end;
    own.boot_id = core.disk.boot_id();
    own.clean_end = None;
    if depth == Depth::Durable && (own.durable != end || moved) {
        sync_queues(core, house)?;
        own.durable = end;
        house.checkpoint.log_time = stored;
        house.checkpoint.queue_time = stored;
        house.checkpoint.confirmed = end;
    } else if !moved {
        return Ok(());
    }
    house.checkpoint.own = Some(own);
    house.write_checkpoint()?;
    if depth == Depth::Durable { house.checkpoint_file.sync_data() } else { Ok(()) }
}

/// Writes the queues' units. What could not be written is listed again.
fn write_units(core: &Core, house: &mut House, listed: &[QueueHandle]) -> io::Result<()> {
    // Records behind this may have come since, and a unit must never be on the disk before its record: after a power loss
    // it would refer to whatever is there then.
    let durable = core.log.flushed();
    for (index, queue) in listed.iter().enumerate() {
        match core.queues.files.write_tail(queue, durable) {
            Ok(written) => {
                core.appender.written_units(written.units);
                core.appender.list(written.listed.then(|| queue.clone()));
                house.dirty.extend(written.files);
                house.keep_few_open();
            }
            Err(e) => {
                let rest = listed.get(index..).unwrap_or_default();
                core.appender.list(rest.iter().cloned());
                return Err(e);
            }
        }
    }
    Ok(())
}

impl House {
    /// Lets go of dirty files that would be made durable with one sync of the file system anyway.
    fn keep_few_open(&mut self) {
        if self.dirty.len() > SYNC_ALL_FILES {
            self.dirty.clear();
            self.others_dirty = true;
        }
    }
}

fn sync_queues(core: &Core, house: &mut House) -> io::Result<()> {
    let made = core.queues.files.take_made();
    if house.others_dirty || house.dirty.len() + made.len() > SYNC_ALL_FILES {
        core.disk.sync_all(&core.layout.queues)?;
    } else {
        for file in house.dirty.values() {
            file.sync_data()?;
        }
        for dir in &made {
            match core.disk.sync_dir(dir) {
                // The topic was removed since.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    house.dirty.clear();
    house.others_dirty = false;
    Ok(())
}

/// Looks how full the disk is and lets old files go.
pub(crate) fn make_room(core: &Core) {
    let done = core.disk.space(&core.layout.log).and_then(|space| {
        let entries = core.disk.list(&core.layout.log)?;
        let segments = core.log.segments();
        let ages = retention::ages(&entries, &segments, (core.settings.clock)());
        let may_go = retention::may_go(&core.settings, &ages, space, (core.settings.clock)());
        for _ in 0..may_go {
            // Never what is not durable, nor what is still being written.
            let first_end = core.log.min() + core.log.segment_size;
            if first_end > core.log.flushed() {
                break;
            }
            if let Some(gone) = core.log.drop_first()? {
                tracing::info!(position = gone.0, "an old log file has gone");
            }
        }
        if may_go > 0 {
            retention::drop_queue_files(&core.queues, &core.log)?;
        }
        core.disk.space(&core.layout.log)
    });
    match done {
        Ok(space) => {
            let too_full = retention::percent_used(space) > u64::from(core.settings.full_percent);
            core.usage(if too_full { TooFull::Yes } else { TooFull::No });
        }
        Err(e) => tracing::warn!(%e, "looking for old log files"),
    }
}

/// The last round: all is durable and the directory is marked as properly closed.
pub(crate) fn close(core: &Core) -> io::Result<()> {
    flush(core);
    let mut house = core.house.lock();
    if core.has_failed() {
        return Err(io::Error::other("the store has failed before"));
    }
    settle(core, &mut house, Depth::Written)?;
    // Few queue files are made durable. Many would hold up the shutdown: after a power loss their units are made anew, from
    // where they were last durable.
    if house.dirty.len() <= SYNC_ALL_FILES && !house.others_dirty {
        settle(core, &mut house, Depth::Durable)?;
    }
    if core.has_failed() {
        return Err(io::Error::other("the store has failed while it was shut down"));
    }
    let mut own: Own = house.checkpoint.own.unwrap_or_default();
    own.clean_end = Some(core.log.written());
    house.checkpoint.own = Some(own);
    house.write_checkpoint()?;
    house.checkpoint_file.sync_data()?;
    match core.disk.remove(&core.layout.abort) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    core.disk.sync_dir(&core.layout.root)
}
