//! A disk in memory that is as bad as a real one may be: it forgets what was not synced, keeps single sectors of writes that
//! were under way, dies in the middle of a write, fails or runs full on command. Deterministic for a seed.
//!
//! What survives [`ModelDisk::crash`] with [`Crash::Power`]: of each file what was synced, and of later writes any sectors;
//! of names what was synced, and of later changes to names any number of the first. With [`Crash::Kill`]: everything.

use std::{
    any::Any,
    collections::BTreeMap,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use gantry_model::Millis;
use parking_lot::Mutex;

use super::{DirEntry, Disk, DiskFile, EntryKind, Reserve, Space, Wait};

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed; the kernel keeps what was written.
    Kill,
    /// Power fails.
    Power,
}

/// What is to go wrong next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// After so many more changes the disk answers nothing any more; a write that is under way then is torn.
    DieAfter(u32),
    /// The next `sync_data` fails.
    Sync,
    /// Allocating blocks fails until [`ModelDisk::heal`].
    Full,
}

/// The disk. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct ModelDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    random: u64,
    boot: u128,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not durable, in their order. Each happens as a whole.
    name_changes: Vec<NameChange>,
    locked: bool,
    dead: bool,
    faults: Vec<Fault>,
    space: Option<Space>,
}

/// Names and what they stand for afterwards; none for a removed name.
type NameChange = Vec<(PathBuf, Option<usize>)>;

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: NameChange) {
    for (path, inode) in change {
        match inode {
            Some(inode) => names.insert(path, inode),
            None => names.remove(&path),
        };
    }
}

#[derive(Default, Clone)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync.
    writes: Vec<(usize, Vec<u8>)>,
}

struct ModelFile {
    disk: ModelDisk,
    inode: usize,
}

struct Locked(ModelDisk);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.0.lock().locked = false;
    }
}

fn dead() -> io::Error {
    io::Error::other("the model disk is dead")
}

impl State {
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below.max(1)
    }

    /// Counts a change. False: the disk dies with it.
    fn change(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(dead());
        }
        for fault in &mut self.faults {
            match fault {
                Fault::DieAfter(0) => {
                    self.dead = true;
                    return Ok(false);
                }
                Fault::DieAfter(left) => *left -= 1,
                Fault::Sync | Fault::Full => {}
            }
        }
        Ok(true)
    }

    fn change_whole(&mut self) -> io::Result<()> {
        if self.change()? { Ok(()) } else { Err(dead()) }
    }

    fn change_names(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.name_changes.push(change);
    }

    fn inode(&mut self, index: usize) -> io::Result<&mut Inode> {
        if self.dead {
            return Err(dead());
        }
        self.inodes.get_mut(index).ok_or_else(dead)
    }

    fn power_fails(&mut self) {
        let kept = self.random(self.name_changes.len() as u64 + 1);
        let changes = std::mem::take(&mut self.name_changes);
        for change in changes.into_iter().take(usize::try_from(kept).unwrap_or(0)) {
            apply(&mut self.durable_names, change);
        }
        self.names = self.durable_names.clone();
        for index in 0..self.inodes.len() {
            let Some(inode) = self.inodes.get_mut(index) else { continue };
            let (len, writes) = (inode.data.len(), std::mem::take(&mut inode.writes));
            let mut survived = inode.durable.clone();
            survived.resize(len, 0);
            // All, none, or any sectors: each is a disk that exists.
            let mood = self.random(3);
            for (at, bytes) in writes {
                self.keep_sectors(&mut survived, (at, &bytes), mood);
            }
            if let Some(inode) = self.inodes.get_mut(index) {
                inode.data.clone_from(&survived);
                inode.durable = survived;
            }
        }
        self.boot += 1;
    }

    fn keep_sectors(&mut self, file: &mut [u8], (at, bytes): (usize, &[u8]), mood: u64) {
        let mut from = 0;
        while from < bytes.len() {
            let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
            let keep = match mood {
                0 => true,
                1 => false,
                _ => self.random(2) == 0,
            };
            let both = file.get_mut(at + from..at + to).zip(bytes.get(from..to));
            if keep && let Some((file, bytes)) = both {
                file.copy_from_slice(bytes);
            }
            from = to;
        }
    }
}

impl ModelDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { random: seed, boot: 1, ..State::default() })))
    }

    /// Plans a fault.
    pub fn plan(&self, fault: Fault) {
        self.0.lock().faults.push(fault);
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// What [`Disk::space`] answers from now on.
    pub fn claim_space(&self, space: Space) {
        self.0.lock().space = Some(space);
    }

    /// What is left after a crash, as a new disk; whoever still holds this one can do nothing with it any more.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        let mut state = self.0.lock();
        let mut left = State {
            random: state.random(u64::MAX),
            boot: state.boot,
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            name_changes: state.name_changes.clone(),
            space: state.space,
            ..State::default()
        };
        state.dead = true;
        if crash == Crash::Power {
            left.power_fails();
        }
        Self(Arc::new(Mutex::new(left)))
    }

    fn file(&self, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(ModelFile { disk: self.clone(), inode })
    }
}

impl Disk for ModelDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.0.lock();
        if state.dead {
            return Err(dead());
        }
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(inode))
    }

    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Arc<dyn DiskFile>> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::StorageFull)?;
        let mut state = self.0.lock();
        state.change_whole()?;
        let known = state.names.get(path).copied();
        let have =
            known.and_then(|inode| state.inodes.get(inode)).map_or(0, |inode| inode.data.len());
        let full = state.faults.contains(&Fault::Full) && reserve == Reserve::Blocks;
        if full && have < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = known.unwrap_or(state.inodes.len());
        if known.is_none() {
            state.inodes.push(Inode::default());
            state.change_names(vec![(path.to_path_buf(), Some(inode))]);
        }
        let file = state.inode(inode)?;
        let len = len.max(file.data.len());
        file.data.resize(len, 0);
        drop(state);
        Ok(self.file(inode))
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        // Directories are where files are.
        if self.0.lock().dead { Err(dead()) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change_whole()?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(vec![(to.to_path_buf(), Some(inode)), (from.to_path_buf(), None)]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change_whole()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(vec![(path.to_path_buf(), None)]);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change_whole()?;
        let inside: Vec<_> =
            state.names.keys().filter(|name| name.starts_with(path)).cloned().collect();
        if inside.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(inside.into_iter().map(|name| (name, None)).collect());
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.0.lock();
        if state.dead {
            return Err(dead());
        }
        let mut found: BTreeMap<String, DirEntry> = BTreeMap::new();
        for (name, inode) in &state.names {
            let Ok(below) = name.strip_prefix(path) else { continue };
            let mut parts = below.iter().filter_map(|part| part.to_str());
            let Some(first) = parts.next() else { continue };
            let dir = parts.next().is_some();
            let len = state.inodes.get(*inode).map_or(0, |inode| inode.data.len() as u64);
            let entry = DirEntry {
                name: first.to_owned(),
                len: if dir { 0 } else { len },
                modified: Millis::ZERO,
                kind: if dir { EntryKind::Dir } else { EntryKind::File },
            };
            found.insert(first.to_owned(), entry);
        }
        Ok(found.into_values().collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change_whole()?;
        let changes = std::mem::take(&mut state.name_changes);
        let here = |name: &Path| name.parent() == Some(path) || path.starts_with(name);
        let touches = |change: &NameChange| change.iter().any(|(name, _)| here(name));
        // Journals keep order: what was changed before, anywhere, is durable with it.
        let durable = changes.iter().rposition(touches).map_or(0, |last| last + 1);
        for (index, change) in changes.into_iter().enumerate() {
            if index < durable {
                apply(&mut state.durable_names, change);
            } else {
                state.name_changes.push(change);
            }
        }
        Ok(())
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change_whole()?;
        let inside: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| name.starts_with(path))
            .map(|(_, inode)| *inode)
            .collect();
        for inode in inside {
            let inode = state.inode(inode)?;
            inode.durable.clone_from(&inode.data);
            inode.writes.clear();
        }
        state.name_changes.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        Ok(self.0.lock().space.unwrap_or(Space { total: 100, free: 50 }))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        drop(self.create(path, 0, Reserve::Sparse)?);
        let mut state = self.0.lock();
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(state);
        Ok(Box::new(Locked(self.clone())))
    }

    fn boot_id(&self) -> u128 {
        self.0.lock().boot
    }
}

impl DiskFile for ModelFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inode(self.inode)?.data.len() as u64)
    }

    fn write_at(&self, at: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let at = usize::try_from(at).map_err(|_| io::ErrorKind::StorageFull)?;
        let mut bytes = Vec::new();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let mut state = self.disk.0.lock();
        let whole = state.change()?;
        if !whole {
            let kept = state.random(bytes.len() as u64 + 1);
            bytes.truncate(usize::try_from(kept).unwrap_or(0));
        }
        let file = state.inodes.get_mut(self.inode).ok_or_else(dead)?;
        let end = at + bytes.len();
        if file.data.len() < end {
            file.data.resize(end, 0);
        }
        if let Some(slot) = file.data.get_mut(at..end) {
            slot.copy_from_slice(&bytes);
        }
        file.writes.push((at, bytes));
        if whole { Ok(()) } else { Err(dead()) }
    }

    fn read_at(&self, at: u64, buf: &mut [u8], _wait: Wait) -> io::Result<()> {
        let at = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let mut state = self.disk.0.lock();
        let bytes = state.inode(self.inode)?.data.get(at..at + buf.len());
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn view(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        self.read_at(at, &mut bytes, Wait::Disk)?;
        Ok(bytes.into())
    }

    fn resident(&self, at: u64, len: usize) -> usize {
        let rest = self.size().unwrap_or(0).saturating_sub(at);
        usize::try_from(rest).unwrap_or(usize::MAX).min(len)
    }

    fn forget_view(&self) {}

    fn is_viewed(&self) -> bool {
        false
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.change_whole()?;
        if let Some(index) = state.faults.iter().position(|fault| *fault == Fault::Sync) {
            state.faults.remove(index);
            return Err(io::Error::other("the model disk can't sync"));
        }
        let inode = state.inode(self.inode)?;
        inode.durable.clone_from(&inode.data);
        inode.writes.clear();
        Ok(())
    }

    fn zero_from(&self, at: u64) -> io::Result<()> {
        let len = self.size()?.saturating_sub(at);
        let zeros = vec![0; usize::try_from(len).unwrap_or(0)];
        self.write_at(at, &mut [IoSlice::new(&zeros)])
    }
}
