//! A bounded set of open consume-queue files, so that descriptors don't grow with queues.

use std::{collections::HashMap, io, sync::Arc};

use parking_lot::Mutex;

use crate::disk::DiskFile;

/// A file of a queue: the queue's number in this process and the file's number in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileKey {
    pub(crate) queue: u64,
    pub(crate) file: u64,
}

/// Open files, at most as many as given; the one not used for the longest time gives way.
pub(crate) struct OpenFiles {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    clock: u64,
    files: HashMap<FileKey, (Arc<dyn DiskFile>, u64), foldhash::fast::FixedState>,
}

impl OpenFiles {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), open: Mutex::default() }
    }

    /// The file if it is open.
    pub(crate) fn get(&self, key: FileKey) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        open.clock += 1;
        let now = open.clock;
        let (file, used) = open.files.get_mut(&key)?;
        *used = now;
        Some(Arc::clone(file))
    }

    /// The file, opened by `open` if it isn't.
    pub(crate) fn get_or(
        &self,
        key: FileKey,
        open: impl FnOnce() -> io::Result<Arc<dyn DiskFile>>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.get(key) {
            return Ok(file);
        }
        let file = open()?;
        let mut open = self.open.lock();
        if open.files.len() >= self.max {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            oldest.map(|key| open.files.remove(&key));
        }
        let now = open.clock;
        open.files.insert(key, (Arc::clone(&file), now));
        Ok(file)
    }

    /// Closes a queue's files.
    pub(crate) fn forget(&self, queue: u64) {
        self.open.lock().files.retain(|key, _| key.queue != queue);
    }
}
