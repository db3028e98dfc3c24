//! The disk of the machine: Linux system calls through rustix.

use std::{
    any::Any,
    fs::{self, File},
    io::{self, IoSlice, IoSliceMut},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use gantry_model::Millis;
use rustix::{
    fs::{FallocateFlags, FlockOperation},
    io::{Errno, ReadWriteFlags},
};

use super::{DirEntry, Disk, DiskFile, EntryKind, Reserve, Space, Wait, map::Mapping};

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile {
    file: File,
    mapping: Mapping,
}

/// Most slices that one system call takes (`IOV_MAX`).
const SLICES_MAX: usize = 1024;

fn open(path: &Path, create: bool) -> io::Result<File> {
    File::options().read(true).write(true).create(create).truncate(false).open(path)
}

/// Allocates blocks; a file system that can't is given the length alone.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(len),
        other => Ok(other?),
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile { file: open(path, false)?, mapping: Mapping::default() }))
    }

    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Arc<dyn DiskFile>> {
        let file = open(path, true)?;
        match reserve {
            Reserve::Blocks => allocate(&file, len)?,
            Reserve::Sparse if file.metadata()?.len() < len => file.set_len(len)?,
            Reserve::Sparse => {}
        }
        Ok(Arc::new(RealFile { file, mapping: Mapping::default() }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = match fs::read_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let dir = metadata.is_dir();
            names.push(DirEntry {
                name,
                len: if dir { 0 } else { metadata.len() },
                modified: Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
                kind: if dir { EntryKind::Dir } else { EntryKind::File },
            });
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        // As Java and df count: what is kept back for others is neither used nor free.
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let total = (used + stat.f_bavail) * stat.f_frsize;
        Ok(Space { total, free: stat.f_bavail * stat.f_frsize })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = open(path, true)?;
        // Two locks: the Java broker takes a POSIX one, and those don't keep two stores of one process apart.
        let taken = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .and_then(|()| rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive));
        match taken {
            Ok(()) => Ok(Box::new(file)),
            Err(Errno::WOULDBLOCK | Errno::ACCESS) => Err(io::ErrorKind::WouldBlock.into()),
            Err(e) => Err(e.into()),
        }
    }

    fn boot_id(&self) -> u128 {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).unwrap_or(0)
    }
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&self, mut at: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let head = parts.get(..SLICES_MAX).unwrap_or(parts);
            let wrote = match head {
                [one] => self.file.write_at(one, at),
                many => rustix::io::pwritev(&self.file, many, at).map_err(io::Error::from),
            };
            match wrote {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += n as u64;
                    IoSlice::advance_slices(&mut parts, n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn read_at(&self, at: u64, buf: &mut [u8], wait: Wait) -> io::Result<()> {
        if wait == Wait::Disk {
            return self.file.read_exact_at(buf, at);
        }
        let (mut at, mut rest) = (at, buf);
        while !rest.is_empty() {
            let parts = &mut [IoSliceMut::new(rest)];
            match rustix::io::preadv2(&self.file, parts, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    at += n as u64;
                    rest = rest.get_mut(n..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                // A file system without NOWAIT: better off the async workers than failing.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn view(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.mapping.slice(&self.file, at, len)
    }

    fn resident(&self, at: u64, len: usize) -> usize {
        self.mapping.resident(&self.file, at, len)
    }

    fn forget_view(&self) {
        self.mapping.forget();
    }

    fn is_viewed(&self) -> bool {
        self.mapping.is_viewed()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn zero_from(&self, at: u64) -> io::Result<()> {
        let len = self.size()?;
        if at >= len {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::ZERO_RANGE, at, len - at) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&self.file, at, len),
            other => Ok(other?),
        }
    }
}

fn write_zeros(file: &File, mut at: u64, end: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    while at < end {
        let n = zeros.len().min(usize::try_from(end - at).unwrap_or(zeros.len()));
        file.write_all_at(zeros.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
    }
    Ok(())
}
