//! What the store needs of a disk: two small traits, so that the same store runs on real files and on the model disk,
//! which forgets what was not synced, tears writes and fails on command.
//!
//! Paths are absolute. Nothing is durable before `sync_data` (contents) and `sync_dir` (names) have returned. A file's
//! length never shrinks while it is open.

use std::{
    any::Any,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use gantry_model::Millis;

mod map;
pub mod model;
pub mod real;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Last part of the path; names that are not UTF-8 are not listed.
    pub name: String,
    /// Bytes of a file, 0 for a directory.
    pub len: u64,
    /// Last change of the contents.
    pub modified: Millis,
    /// What it is.
    pub kind: EntryKind,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// An ordinary file.
    File,
    /// A directory.
    Dir,
}

/// How full a disk is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the file system that are used or free.
    pub total: u64,
    /// Bytes that this process may still use.
    pub free: u64,
}

/// Where the bytes of a new or longer file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// Blocks are allocated now; a full disk fails here, not at a later write.
    Blocks,
    /// Only the length is set.
    Sparse,
}

/// How far a read may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Only what needs no disk access; `WouldBlock` otherwise.
    Never,
    /// Until the disk answers.
    Disk,
}

/// A directory tree.
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file, made if missing, and makes it at least `len` bytes long; new bytes are zero. A full disk gives
    /// `StorageFull`.
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory and its parents.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file or directory another name; an existing file of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted; none if the directory is missing.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything below `path` durable; for when single files would be too many.
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// How full the disk of `path` is.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Locks a file, made if missing, until the answer is dropped or the process ends. `WouldBlock` if another has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// Identifies the run of the machine: as long as it stays the same, what was written is there, synced or not.
    fn boot_id(&self) -> u128;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Bytes of the file.
    fn size(&self) -> io::Result<u64>;
    /// Writes all parts one behind the other from `at` on. After an error any prefix of any part may be written.
    fn write_at(&self, at: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Fills `buf` from `at` on. `UnexpectedEof` behind the end, `WouldBlock` if `wait` forbids what it takes.
    fn read_at(&self, at: u64, buf: &mut [u8], wait: Wait) -> io::Result<()>;
    /// The bytes from `at` on without copying where the disk can. The caller must not ask for bytes that may still be
    /// written, nor have the file overwritten while [`Self::is_viewed`].
    fn view(&self, at: u64, len: usize) -> io::Result<Bytes>;
    /// How many bytes from `at` on, of `len` at most, are in memory now: looking at a view of them does not wait for the
    /// disk, unless the kernel takes them away this very moment. 0 where that can't be told.
    fn resident(&self, at: u64, len: usize) -> usize;
    /// Forgets what [`Self::view`] keeps for the next one; views that were given out stay.
    fn forget_view(&self);
    /// Whether a view that was given out is still alive.
    fn is_viewed(&self) -> bool;
    /// Makes the contents durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes all bytes from `at` to the end of the file zero.
    fn zero_from(&self, at: u64) -> io::Result<()>;
}

/// A path below `root`.
pub(crate) fn join(root: &Path, parts: &[&str]) -> PathBuf {
    let mut path = root.to_path_buf();
    path.extend(parts);
    path
}

/// Whether an error means that there is no room: the one failure that heals.
pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
