//! The only module that maps files. A mapping is read-only and shared; the log is written with positioned writes, which
//! the kernel shows in the mapping at once.
#![expect(unsafe_code, reason = "mapping a file can't be done without")]

use std::{
    fs::File,
    io,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};
use parking_lot::Mutex;

/// Most pages that are looked at together.
const PAGES: usize = 256;

/// A file's mapping, made on the first view.
#[derive(Default)]
pub(super) struct Mapping {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: Option<Bytes>,
    owner: Weak<Mmap>,
}

struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapping {
    /// A slice of the file's bytes.
    pub(super) fn slice(&self, file: &File, at: u64, len: usize) -> io::Result<Bytes> {
        let mut kept = self.kept.lock();
        let bytes = match &kept.bytes {
            Some(bytes) => bytes.clone(),
            None => {
                let owner = Arc::new(map(file)?);
                kept.owner = Arc::downgrade(&owner);
                let bytes = Bytes::from_owner(Owner(owner));
                kept.bytes = Some(bytes.clone());
                bytes
            }
        };
        let start = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        match start.checked_add(len) {
            Some(end) if end <= bytes.len() => Ok(bytes.slice(start..end)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// How many bytes from `at` on, of `len` and [`PAGES`] pages at most, are in the page cache.
    pub(super) fn resident(&self, file: &File, at: u64, len: usize) -> usize {
        let page = rustix::param::page_size();
        let before = usize::try_from(at).unwrap_or(usize::MAX) % page;
        let len = len.min(PAGES * page - before);
        let Ok(bytes) = self.slice(file, at - before as u64, before + len) else { return 0 };
        let mut pages = [0; PAGES];
        let count = bytes.len().div_ceil(page);
        let present = in_memory(&bytes, pages.get_mut(..count).unwrap_or_default());
        (present * page).saturating_sub(before).min(len)
    }

    /// Lets go of the mapping; slices of it keep it alive.
    pub(super) fn forget(&self) {
        self.kept.lock().bytes = None;
    }

    /// Whether a slice is still alive. Only meaningful after [`Self::forget`].
    pub(super) fn is_viewed(&self) -> bool {
        self.kept.lock().owner.strong_count() > 0
    }
}

/// How many of the first pages of a piece of a mapping, which begins with a page, are in the page cache. `pages` has a byte for
/// each.
fn in_memory(piece: &Bytes, pages: &mut [u8]) -> usize {
    let page = rustix::param::page_size();
    if pages.len() < piece.len().div_ceil(page) {
        return 0;
    }
    let start = piece.as_ptr().cast_mut().cast();
    // SAFETY: `piece` keeps its pages mapped; mincore doesn't touch them, refuses an address that begins no page, and writes
    // one byte for each begun page of the length, for which there is room.
    let done = unsafe { libc::mincore(start, piece.len(), pages.as_mut_ptr()) };
    if done != 0 {
        return 0;
    }
    pages.iter().take_while(|state| **state & 1 == 1).count()
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: A mapping must not be changed while a slice of it is read, and must not outlive the file's length. The store
    // never shortens a segment; views are handed out only of bytes behind which all writes have ended (at or below the
    // written position), and a segment is overwritten (recycled) only after `is_viewed` has said no. Another process that
    // writes into our files is kept out by the store's lock.
    unsafe { MmapOptions::new().map(file) }
}
