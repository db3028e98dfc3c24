//! Opening a directory: of ours or of a Java broker, closed properly or not.
//!
//! The log is scanned from where the checkpoint says that all before it has its queue units on the disk: the last second or so.
//! Every record is checked (CRC, and that it says its own position: files are used again and hold old records) and its unit
//! is made anew. The log ends at the first thing that is no record.
//!
//! If records follow behind that place, the place is either what a power loss left of writes that were never flushed, or damage.
//! The first is cut off, and what was cut is kept in `aside/`. Damage is never repaired by deleting: the store refuses to open and
//! says which file is damaged where.

use std::{
    collections::HashSet,
    io::{self, IoSlice},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use gantry_model::{
    Millis, PhysicalOffset, Topic,
    record::{Check, MAGIC_V1, Record},
};

use crate::{
    appender::Appender,
    checkpoint::{Checkpoint, Own},
    disk::{Disk, EntryKind, Reserve, Wait, is_full},
    files::OpenFiles,
    layout::{self, Layout},
    log::{Log, Place, Segment},
    outcome::{Cut, OpenError, Recovery},
    queue::{QueueFiles, QueueHandle, Unit},
    queues::Queues,
    scan::{End, Scan},
    settings::Settings,
    store::{House, Parts},
};

/// Bytes behind the end of the log that are searched for records that would be lost.
const SEARCH_BYTES: u64 = 16 << 20;
/// Units in memory while queues are made anew.
const UNITS_MAX: usize = 200_000;
/// What Java subtracts from the checkpoint's times.
const TIME_SLACK: u64 = 3000;

fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> OpenError + '_ {
    |source| OpenError::Io { path: path.to_path_buf(), source }
}

/// Recovers the directory of `settings`.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    settings: Settings,
) -> Result<(Parts, Recovery), OpenError> {
    let layout = Layout::new(&settings);
    for dir in [&layout.root, &layout.log, &layout.queues] {
        disk.create_dir(dir).map_err(at(dir))?;
    }
    let lock = match disk.lock(&layout.lock) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            return Err(OpenError::InUse(layout.lock));
        }
        other => other.map_err(at(&layout.lock))?,
    };
    // A process before this one may have been killed before the names that it gave were durable.
    disk.sync_dir(&layout.log).map_err(at(&layout.log))?;
    let mut opening = Opening::new(disk, settings, layout)?;
    let end = opening.recover()?;
    opening.finish(end, lock)
}

struct Opening {
    disk: Arc<dyn Disk>,
    settings: Settings,
    layout: Layout,
    log: Log,
    queues: Queues,
    checkpoint: Checkpoint,
    report: Recovery,
    units: Restored,
    /// Store time of the last record.
    stored: Millis,
}

impl Opening {
    fn new(disk: Arc<dyn Disk>, settings: Settings, layout: Layout) -> Result<Self, OpenError> {
        let bases = log_files(&*disk, &settings, &layout)?;
        let place = Place {
            dir: &layout.log,
            spares: &layout.spares,
            segment_size: settings.segment_size,
            hot_bytes: settings.hot_bytes,
        };
        let log = Log::new(Arc::clone(&disk), &place, &bases);
        let files = QueueFiles {
            disk: Arc::clone(&disk),
            layout: layout.clone(),
            open: OpenFiles::new(settings.open_files),
            file_units: settings.queue_file_units,
            made: parking_lot::Mutex::default(),
        };
        let names = disk.list(&layout.root).map_err(at(&layout.root))?;
        let is_there =
            |path: &std::path::Path| names.iter().any(|entry| path.ends_with(&entry.name));
        let report = Recovery { clean: !is_there(&layout.abort), ..Recovery::default() };
        let mut bytes = vec![0; 4096];
        if is_there(&layout.checkpoint) {
            let file = disk.open(&layout.checkpoint).map_err(at(&layout.checkpoint))?;
            let len = file.size().map_err(at(&layout.checkpoint))?;
            bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            file.read_at(0, &mut bytes, Wait::Disk).map_err(at(&layout.checkpoint))?;
        }
        Ok(Self {
            disk,
            settings,
            layout,
            log,
            queues: Queues::new(files),
            checkpoint: Checkpoint::decode(&bytes),
            report,
            units: Restored::default(),
            stored: Millis::ZERO,
        })
    }

    /// Scans, makes units, cuts. Says where the log ends.
    fn recover(&mut self) -> Result<u64, OpenError> {
        let first = self.log.min();
        let mut start = self.start()?;
        loop {
            self.log.written.store(start, Ordering::Release);
            match self.scan(start)? {
                Scanned::End(end, cause) => {
                    self.report.scanned_from = PhysicalOffset(start);
                    self.report.end = PhysicalOffset(end);
                    self.cut_at(start, end, cause)?;
                    return Ok(end);
                }
                Scanned::Gap => {
                    tracing::warn!(
                        "consume queues end before the checkpoint: making them anew from the whole log"
                    );
                    self.report.rebuilt = true;
                    start = first;
                }
            }
        }
    }

    fn own(&self) -> Option<Own> {
        self.checkpoint.own
    }

    fn same_boot(&self) -> bool {
        self.own().is_some_and(|own| own.boot_id == self.disk.boot_id() && own.boot_id != 0)
    }

    /// Where the scan begins: everything before has its units in the queue files.
    fn start(&self) -> Result<u64, OpenError> {
        let segments = self.log.segments();
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Ok(0) };
        let log_end = last.base + self.log.segment_size;
        if self.disk.list(&self.layout.queues).map_err(at(&self.layout.queues))?.is_empty() {
            return Ok(first.base);
        }
        let known = match self.own() {
            Some(own) if self.same_boot() => Some(own.written),
            Some(own) => Some(own.durable),
            None => None,
        };
        if let Some(known) = known.filter(|known| (first.base..=log_end).contains(known)) {
            return Ok(known);
        }
        // A directory of Java's, by its rules: the youngest file that begins before the checkpoint's times.
        let times = self.checkpoint.log_time.min(self.checkpoint.queue_time);
        let limit = Millis(times.0.saturating_sub(TIME_SLACK));
        for segment in segments.iter().rev() {
            let head = self.first_record_time(segment.base)?;
            if head.is_some_and(|stored| self.report.clean || stored <= limit) {
                return Ok(segment.base);
            }
        }
        Ok(first.base)
    }

    /// The store time of the record at a file's start; none if there is no record.
    fn first_record_time(&self, base: u64) -> Result<Option<Millis>, OpenError> {
        let mut scan = Scan::new(&self.log, base);
        match scan.next() {
            Ok(Ok((_, record))) => Ok(Some(record.stored)),
            Ok(Err(_)) => Ok(None),
            Err(e) => Err(at(&layout::file(&self.layout.log, base))(e)),
        }
    }

    /// Makes the units of all records from `start` on.
    fn scan(&mut self, start: u64) -> Result<Scanned, OpenError> {
        self.report.records = 0;
        let whole = start == self.log.min();
        let mut seen = HashSet::new();
        let log = &self.log;
        let mut scan = Scan::new(log, start);
        loop {
            let (position, record) = match scan.next().map_err(at(&self.layout.log))? {
                Ok(found) => found,
                Err(End { position, cause }) => return Ok(Scanned::End(position, cause)),
            };
            self.report.records += 1;
            self.stored = record.stored;
            log.written.store(position + record.len as u64, Ordering::Release);
            if !record.sys_flag.is_queued() {
                continue;
            }
            let Ok(topic) = Topic::new(record.topic) else { continue };
            let queue = self
                .queues
                .find_or_create(log, &topic, record.queue)
                .map_err(at(&self.layout.queues))?;
            let first_seen = seen.insert((topic, record.queue));
            let Some(lost) = fit(&queue, record.offset.0, first_seen, whole) else {
                return Ok(Scanned::Gap);
            };
            let files = (&self.queues.files, log);
            for _ in 0..lost {
                self.units.restore(files, &queue, Unit::BLANK).map_err(at(&self.layout.queues))?;
            }
            if queue.end() != record.offset {
                continue;
            }
            let size = u32::try_from(record.len).unwrap_or(u32::MAX);
            let unit = Unit { position, size, tags: (self.settings.tags_of)(&record) };
            self.units.restore(files, &queue, unit).map_err(at(&self.layout.queues))?;
        }
    }

    /// Makes sure that nothing behind `end` is ever taken for part of the log, or refuses.
    fn cut_at(&mut self, start: u64, end: u64, cause: String) -> Result<(), OpenError> {
        let Some(segment) = self.log.segment_of(end) else { return Ok(()) };
        let file = segment.file(&*self.disk, Wait::Disk).map_err(at(&segment.path))?;
        let within = end - segment.base;
        let mut head =
            vec![0; usize::try_from((self.log.segment_size - within).min(4096)).unwrap_or(0)];
        file.read_at(within, &mut head, Wait::Disk).map_err(at(&segment.path))?;
        let blank = head.iter().all(|byte| *byte == 0);
        let later = self.later_segments(segment.base)?;
        if !self.report.clean {
            // They were made ahead of need. A power loss may leave pieces of records in them.
            let segments = self.log.segments();
            let unused =
                |other: &&Arc<Segment>| other.base > segment.base && !later.contains(&other.base);
            segments.iter().filter(unused).try_for_each(|unused| self.empty(unused))?;
        }
        // While the machine ran on, what was written is there: behind zeros nothing can follow.
        let searched = if blank && self.same_boot() { None } else { self.search(end)? };
        if searched.is_some() || !later.is_empty() {
            let known_good =
                self.own().map_or(0, |own| own.clean_end.unwrap_or(own.durable).max(own.durable));
            if self.report.clean || self.same_boot() || end < known_good.max(start) {
                return Err(OpenError::Damaged {
                    file: segment.path.clone(),
                    offset: within,
                    cause,
                });
            }
        } else if self.report.clean
            && self.own().and_then(|own| own.clean_end).is_some_and(|clean| end < clean)
        {
            return Err(OpenError::Damaged { file: segment.path.clone(), offset: within, cause });
        }
        let mut aside = Vec::new();
        if searched.is_some() {
            aside.push(self.copy_aside(end)?);
        }
        for base in later {
            aside.push(self.move_aside(base)?);
        }
        if !blank || searched.is_some() {
            file.zero_from(within).and_then(|()| file.sync_data()).map_err(at(&segment.path))?;
            let cut = Cut { file: segment.path.clone(), offset: within, cause, aside };
            tracing::warn!(file = %cut.file.display(), offset = cut.offset, cause = cut.cause, aside = ?cut.aside, "the log was cut");
            self.report.cut = Some(cut);
        }
        Ok(())
    }

    /// Files behind that of `base` that begin with a record.
    fn later_segments(&self, base: u64) -> Result<Vec<u64>, OpenError> {
        let mut found = Vec::new();
        for segment in self.log.segments().iter().filter(|segment| segment.base > base) {
            if self.first_record_time(segment.base)?.is_some() {
                found.push(segment.base);
            }
        }
        Ok(found)
    }

    /// The first record behind `end`, in the same file and not too far.
    fn search(&self, end: u64) -> Result<Option<u64>, OpenError> {
        let Some(segment) = self.log.segment_of(end) else { return Ok(None) };
        let len = SEARCH_BYTES.min(segment.base + self.log.segment_size - end);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let file = segment.file(&*self.disk, Wait::Disk).map_err(at(&segment.path))?;
        file.read_at(end - segment.base, &mut bytes, Wait::Disk).map_err(at(&segment.path))?;
        // Both magic codes begin alike; a record begins 4 bytes before.
        let [first, second, third, _] = MAGIC_V1.to_be_bytes();
        for index in memchr::memmem::find_iter(&bytes, &[first, second, third]) {
            let Some(from) = index.checked_sub(4).filter(|from| *from > 0) else { continue };
            let position = end + from as u64;
            let record = Record::parse(bytes.get(from..).unwrap_or_default(), Check::Crc);
            if record.is_ok_and(|record| record.position.0 == position) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Copies what is behind `end` in its file.
    fn copy_aside(&self, end: u64) -> Result<PathBuf, OpenError> {
        let dir = &self.layout.aside;
        self.disk.create_dir(dir).map_err(at(dir))?;
        let path = dir.join(format!("{end:020}.tail"));
        let Some(segment) = self.log.segment_of(end) else { return Ok(path) };
        let from = segment.file(&*self.disk, Wait::Disk).map_err(at(&segment.path))?;
        let len = segment.base + self.log.segment_size - end;
        let to = self.disk.create(&path, len, Reserve::Sparse).map_err(at(&path))?;
        let mut buffer = vec![0; 1 << 20];
        let mut done = 0;
        while done < len {
            let n = usize::try_from(len - done).unwrap_or(usize::MAX).min(buffer.len());
            let part = buffer.get_mut(..n).unwrap_or_default();
            from.read_at(end - segment.base + done, part, Wait::Disk).map_err(at(&segment.path))?;
            // What is zero stays sparse.
            if part.iter().any(|byte| *byte != 0) {
                to.write_at(done, &mut [IoSlice::new(part)]).map_err(at(&path))?;
            }
            done += n as u64;
        }
        to.sync_data().and_then(|()| self.disk.sync_dir(dir)).map_err(at(&path))?;
        Ok(path)
    }

    fn empty(&self, segment: &Segment) -> Result<(), OpenError> {
        let file = segment.file(&*self.disk, Wait::Disk);
        let emptied = file.and_then(|file| file.zero_from(0).and_then(|()| file.sync_data()));
        emptied.map_err(at(&segment.path))
    }

    /// Moves a log file away. Copied, so that the log keeps an empty file of that name.
    fn move_aside(&self, base: u64) -> Result<PathBuf, OpenError> {
        let path = self.copy_aside(base)?;
        if let Some(segment) = self.log.segment_of(base) {
            self.empty(&segment)?;
        }
        Ok(path)
    }

    /// Puts the parts together and marks the directory as open.
    fn finish(
        mut self,
        end: u64,
        lock: Box<dyn std::any::Any + Send + Sync>,
    ) -> Result<(Parts, Recovery), OpenError> {
        let start = self.report.scanned_from.0;
        let no_room = |e: io::Error| {
            if is_full(&e) {
                return OpenError::DiskFull {
                    dir: self.layout.log.clone(),
                    bytes: self.log.segment_size,
                };
            }
            at(&self.layout.log)(e)
        };
        // At the very end of the last file the next one is due.
        let segment = self.log.segment_at(end).map_err(no_room)?;
        let file = segment.file(&*self.disk, Wait::Disk).map_err(at(&segment.path))?;
        let durable = self.own().map_or(start, |own| own.durable.min(start));
        let clean = self.report.clean && self.own().is_some_and(|own| own.clean_end == Some(end));
        self.log.written.store(end, Ordering::Release);
        self.log
            .flushed
            .store(if clean { end } else { durable.clamp(self.log.min(), end) }, Ordering::Release);

        let own = Own { boot_id: self.disk.boot_id(), written: start, durable, clean_end: None };
        self.checkpoint.own = Some(own);
        let path = &self.layout.checkpoint;
        let checkpoint_file = self.disk.create(path, 4096, Reserve::Blocks).map_err(at(path))?;
        if self.stored == Millis::ZERO {
            self.stored = self.checkpoint.log_time;
        }
        let house = House {
            checkpoint: self.checkpoint,
            checkpoint_file,
            dirty: std::collections::HashMap::new(),
            others_dirty: !clean || durable < start,
        };
        house
            .write_checkpoint()
            .and_then(|()| house.checkpoint_file.sync_data())
            .map_err(at(path))?;

        let abort = &self.layout.abort;
        let pid = std::process::id().to_string();
        let mark = self.disk.create(abort, pid.len() as u64, Reserve::Sparse).map_err(at(abort))?;
        mark.write_at(0, &mut [IoSlice::new(pid.as_bytes())]).map_err(at(abort))?;
        self.disk.sync_dir(&self.layout.root).map_err(at(&self.layout.root))?;

        let appender = Appender::new(segment, file, end, &self.settings);
        appender.resume(self.stored, self.units.listed, self.units.count);
        let parts = Parts {
            settings: self.settings,
            layout: self.layout,
            disk: self.disk,
            log: self.log,
            queues: self.queues,
            appender,
            house,
            lock,
        };
        Ok((parts, self.report))
    }
}

/// Units that were made anew and are only in memory.
#[derive(Default)]
struct Restored {
    listed: Vec<QueueHandle>,
    count: usize,
}

impl Restored {
    /// Adds a unit; writes them all when there are many.
    fn restore(
        &mut self,
        (files, log): (&QueueFiles, &Log),
        queue: &QueueHandle,
        unit: Unit,
    ) -> io::Result<()> {
        self.count += 1;
        if queue.restore(unit) {
            self.listed.push(queue.clone());
        }
        if self.count >= UNITS_MAX {
            self.count = 0;
            // Units must not be durable before their records are.
            let segments = log.segments();
            segments
                .iter()
                .try_for_each(|segment| segment.file(&*log.disk, Wait::Disk)?.sync_data())?;
            self.listed
                .drain(..)
                .try_for_each(|queue| files.write_tail(&queue, u64::MAX).map(|_| ()))?;
        }
        Ok(())
    }
}

enum Scanned {
    /// The log ends here, for this reason.
    End(u64, String),
    /// A queue lacks units of records before the scanned ones.
    Gap,
}

/// Makes the queue ready for the unit of `offset`: says how many units of lost messages go before it. None if units before it
/// are missing that other records would give.
fn fit(queue: &QueueHandle, offset: u64, first_seen: bool, whole: bool) -> Option<u64> {
    let end = queue.end().0;
    if first_seen && offset <= end {
        queue.rewind(offset);
    } else if offset > end && !whole {
        return None;
    } else if offset > end && first_seen {
        // The log does not begin with this queue's first message.
        queue.begin_at(offset);
    } else {
        return Some(offset.saturating_sub(end));
    }
    Some(0)
}

/// The first positions of the log's files. An empty last file, which a dying broker may leave, is removed.
fn log_files(disk: &dyn Disk, settings: &Settings, layout: &Layout) -> Result<Vec<u64>, OpenError> {
    let mut bases: Vec<u64> = Vec::new();
    let entries = disk.list(&layout.log).map_err(at(&layout.log))?;
    let files: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .filter_map(|entry| Some((layout::base_of(&entry.name)?, entry.len)))
        .collect();
    for (index, (base, len)) in files.iter().copied().enumerate() {
        let file = layout::file(&layout.log, base);
        if len == 0 && index + 1 == files.len() {
            disk.remove(&file).map_err(at(&file))?;
            continue;
        }
        if len != settings.segment_size {
            return Err(OpenError::Length { file, len, expected: settings.segment_size });
        }
        if let Some(expected) = bases.last().map(|last| last + settings.segment_size)
            && base != expected
        {
            return Err(OpenError::Missing(layout::file(&layout.log, expected)));
        }
        bases.push(base);
    }
    Ok(bases)
}
