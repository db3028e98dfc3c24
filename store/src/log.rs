//! The files of the log: fixed size, allocated before they are used, one name after the other. This module owns which files
//! there are and how far they are written and flushed; the appender alone writes records into them.
//!
//! Why files are allocated ahead and written with positioned writes, never through a mapping (us of CPU for each KiB, 64 KiB at
//! once, ext4, Linux 6.18): fresh mapping 2.2, sparse file 0.31, allocated file 0.19, file used before 0.15, but with its
//! pages no longer cached and 1 KiB at once 6.6, since every page is read first: hence the zeros to the end of the page.
//! 1 KiB and fdatasync, p50: allocated 110 us with 4 ms at p99, written before 92 us with 0.15 ms.
//!
//! Invariant: a file is zero where no record was written; recovery tells a torn record by it. Files that are used again are made so.
//! Invariant: `min <= flushed <= written`; bytes below `written` never change while their file is in the list.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use gantry_model::PhysicalOffset;
use parking_lot::Mutex;

use crate::{
    disk::{Disk, DiskFile, EntryKind, Reserve, Wait},
    layout,
};

/// Most files that wait in `spares/`.
const SPARES_MAX: usize = 2;

/// One file of the log.
pub(crate) struct Segment {
    /// Position of its first byte.
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Whether it was needed since [`Log::close_cold`] last looked.
    needed: AtomicBool,
}

impl Segment {
    /// The open file; opened on demand, which may need the disk.
    pub(crate) fn file(&self, disk: &dyn Disk, wait: Wait) -> io::Result<Arc<dyn DiskFile>> {
        self.needed.store(true, Ordering::Relaxed);
        let mut file = self.file.lock();
        if let Some(open) = &*file {
            return Ok(Arc::clone(open));
        }
        if wait == Wait::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let open = disk.open(&self.path)?;
        *file = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Lets go of file and mapping until the next read.
    pub(crate) fn close(&self) {
        if let Some(file) = self.file.lock().take() {
            file.forget_view();
        }
    }
}

/// How far is looked at once whether old bytes are in memory: little at first, more when one reader wants more.
const LOOK_MIN: usize = 64 << 10;
const LOOK_MAX: usize = 1 << 20;

/// A view of a part of the log that was in memory a moment ago. Only for a reader that copies out of it at once: nothing keeps
/// the kernel from taking the pages away, and then looking at them waits for the disk.
#[derive(Default)]
pub(crate) struct Window {
    at: u64,
    bytes: Bytes,
    look: usize,
}

impl Window {
    fn get(&self, at: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }
}

/// The list of files and the positions in them.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    dir: PathBuf,
    spares: PathBuf,
    pub(crate) segment_size: u64,
    hot_bytes: u64,
    segments: ArcSwap<Vec<Arc<Segment>>>,
    /// Held while the list changes.
    changing: Mutex<()>,
    pub(crate) written: AtomicU64,
    pub(crate) flushed: AtomicU64,
}

/// Where a log's files are and how they are read.
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) spares: &'a Path,
    pub(crate) segment_size: u64,
    pub(crate) hot_bytes: u64,
}

impl Log {
    /// A log of existing files, given by their first positions, in order and without gaps.
    pub(crate) fn new(disk: Arc<dyn Disk>, place: &Place<'_>, bases: &[u64]) -> Self {
        let segments = bases.iter().map(|base| segment(place.dir, *base, None)).collect();
        let first = bases.first().copied().unwrap_or(0);
        Self {
            disk,
            dir: place.dir.to_path_buf(),
            spares: place.spares.to_path_buf(),
            segment_size: place.segment_size,
            hot_bytes: place.hot_bytes,
            segments: ArcSwap::from_pointee(segments),
            changing: Mutex::new(()),
            written: AtomicU64::new(first),
            flushed: AtomicU64::new(first),
        }
    }

    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.segments.load_full()
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// The first position that can be read.
    pub(crate) fn min(&self) -> u64 {
        self.segments.load().first().map_or(0, |first| first.base)
    }

    /// The file that holds a position.
    pub(crate) fn segment_of(&self, position: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.load();
        let first = segments.first()?.base;
        let index = position.checked_sub(first)? / self.segment_size;
        segments.get(usize::try_from(index).ok()?).cloned()
    }

    /// `len` bytes from `at` on, all in one file. Young ones are a view of the mapped file. `NotFound` where no file
    /// is, `UnexpectedEof` behind a file's end.
    pub(crate) fn read(&self, at: u64, len: usize, wait: Wait) -> io::Result<Bytes> {
        let (file, within) = self.locate(at, len, wait)?;
        if self.is_hot(at) {
            return file.view(within, len);
        }
        let mut buffer = BytesMut::zeroed(len);
        file.read_at(within, &mut buffer, wait)?;
        Ok(buffer.freeze())
    }

    /// Copies what [`Self::read`] gives behind `into`, with a system call for many short pieces near each other instead of
    /// one for each, if they are in memory.
    pub(crate) fn copy(
        &self,
        at: u64,
        len: usize,
        (wait, window): (Wait, &mut Window),
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        if let Some(bytes) = window.get(at, len) {
            into.extend_from_slice(bytes);
            return Ok(());
        }
        let (file, within) = self.locate(at, len, wait)?;
        let present = if self.is_hot(at) {
            let rest = self.written().saturating_sub(at).min(self.segment_size - within);
            usize::try_from(rest).unwrap_or(len)
        } else if wait == Wait::Never {
            window.look = (2 * window.look).clamp(LOOK_MIN, LOOK_MAX);
            let rest = usize::try_from(self.segment_size - within).unwrap_or(usize::MAX);
            file.resident(within, window.look.max(len).min(rest))
        } else {
            0
        };
        if present >= len {
            window.at = at;
            window.bytes = file.view(within, present)?;
            into.extend_from_slice(window.get(at, len).unwrap_or_default());
            return Ok(());
        }
        let start = into.len();
        into.resize(start + len, 0);
        file.read_at(within, into.get_mut(start..).unwrap_or_default(), wait)
    }

    /// The file that holds these bytes, and where in it.
    fn locate(&self, at: u64, len: usize, wait: Wait) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let segment = self.segment_of(at).ok_or(io::ErrorKind::NotFound)?;
        let within = at - segment.base;
        if within + len as u64 > self.segment_size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((segment.file(&*self.disk, wait)?, within))
    }

    fn is_hot(&self, at: u64) -> bool {
        at + self.hot_bytes >= self.written()
    }

    /// The file that begins at `base`: from the list, where it was put ahead of need, or made now.
    pub(crate) fn segment_at(&self, base: u64) -> io::Result<Arc<Segment>> {
        match self.segment_of(base) {
            Some(ready) => Ok(ready),
            None => self.prepare(base),
        }
    }

    /// Adds the file that begins at `base`, allocated or used again, durable under its name. `StorageFull` if there is
    /// no room.
    pub(crate) fn prepare(&self, base: u64) -> io::Result<Arc<Segment>> {
        let _changing = self.changing.lock();
        if let Some(ready) = self.segment_of(base) {
            return Ok(ready);
        }
        self.disk.create_dir(&self.spares)?;
        self.disk.create_dir(&self.dir)?;
        let (spare, file) = self.spare(base)?;
        file.sync_data()?;
        let path = layout::file(&self.dir, base);
        self.disk.rename(&spare, &path)?;
        self.disk.sync_dir(&self.dir)?;
        self.disk.sync_dir(&self.spares)?;
        let added = segment(&self.dir, base, Some(file));
        let mut segments = Vec::clone(&self.segments.load());
        segments.push(Arc::clone(&added));
        self.segments.store(Arc::new(segments));
        Ok(added)
    }

    fn spare(&self, base: u64) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
        for entry in self.disk.list(&self.spares)? {
            if entry.kind == EntryKind::File && entry.len == self.segment_size {
                let path = self.spares.join(&entry.name);
                let file = self.disk.create(&path, self.segment_size, Reserve::Blocks)?;
                // Old bytes could be taken for the end of a record that a crash has torn, or by a Java broker, which
                // trusts magic code and CRC, for records.
                file.zero_from(0)?;
                return Ok((path, file));
            }
        }
        let path = layout::file(&self.spares, base);
        match self.disk.create(&path, self.segment_size, Reserve::Blocks) {
            Ok(file) => Ok((path, file)),
            Err(e) => {
                // What a failed allocation has taken so far must not stay taken.
                match self.disk.remove(&path) {
                    Ok(()) => {}
                    Err(remove) if remove.kind() == io::ErrorKind::NotFound => {}
                    Err(remove) => {
                        tracing::warn!(file = %path.display(), %remove, "a half-made log file stays")
                    }
                }
                Err(e)
            }
        }
    }

    /// Takes the oldest file out of the list and keeps or removes it. The caller has decided that it may go.
    pub(crate) fn drop_first(&self) -> io::Result<Option<PhysicalOffset>> {
        let _changing = self.changing.lock();
        let mut segments = Vec::clone(&self.segments.load());
        if segments.len() < 2 {
            return Ok(None);
        }
        let gone = segments.remove(0);
        self.segments.store(Arc::new(segments));
        let file = gone.file(&*self.disk, Wait::Disk)?;
        gone.close();
        let spares = self.disk.list(&self.spares)?.len();
        // `gone` is in no list any more, but a reader may hold the list it was in: only a file that nobody can still
        // open a view of is used again.
        let unused =
            Arc::strong_count(&gone) == 1 && Arc::strong_count(&file) == 1 && !file.is_viewed();
        if unused && spares < SPARES_MAX && file.size()? == self.segment_size {
            self.disk.create_dir(&self.spares)?;
            self.disk.rename(&gone.path, &layout::file(&self.spares, gone.base))?;
        } else {
            self.disk.remove(&gone.path)?;
        }
        self.disk.sync_dir(&self.dir)?;
        Ok(Some(PhysicalOffset(gone.base)))
    }

    /// Closes files that are no longer among the youngest and were not read since this was last called; they are opened again when they are read.
    pub(crate) fn close_cold(&self) {
        let written = self.written();
        for segment in self.segments.load().iter() {
            let end = segment.base + self.segment_size;
            let cold = end + self.hot_bytes < written && end <= self.flushed();
            if cold && !segment.needed.swap(false, Ordering::Relaxed) {
                segment.close();
            }
        }
    }
}

fn segment(dir: &Path, base: u64, file: Option<Arc<dyn DiskFile>>) -> Arc<Segment> {
    let (path, needed) = (layout::file(dir, base), AtomicBool::new(false));
    Arc::new(Segment { base, path, file: Mutex::new(file), needed })
}
