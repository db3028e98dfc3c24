//! A disk without room for another file of the log: sends are refused, all else goes on, and it heals.

use std::{
    any::Any,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gantry_broker::{Settings, config::FlushDisk};
use gantry_remoting::wire::Command;
use gantry_store::disk::{DirEntry, Disk, DiskFile, Reserve, Space, real::RealDisk};

use crate::rig::{TIMEOUT, TestBroker, TestClient, pull, send, sent, settings};

/// The machine's disk; while it is full, files that need blocks cannot be made.
#[derive(Default)]
struct SmallDisk {
    full: AtomicBool,
}

impl Disk for SmallDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Arc<dyn DiskFile>> {
        if reserve == Reserve::Blocks && self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.create(path, len, reserve)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_all(path)
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        // Whatever else is on the machine that runs the test.
        Ok(Space { total: 1 << 40, free: 1 << 39 })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        RealDisk.lock(path)
    }

    fn boot_id(&self) -> u128 {
        RealDisk.boot_id()
    }
}

const BODY: usize = 100_000;
const SENDS_MAX: usize = 1000;

fn body(n: usize) -> Vec<u8> {
    format!("{n}-").into_bytes().into_iter().chain(std::iter::repeat_n(b'x', BODY)).collect()
}

/// Everything in the queue, by number.
async fn numbers(client: &TestClient) -> Vec<usize> {
    let mut numbers = Vec::new();
    loop {
        let (code, header, bodies) = pull(client, "orders", 0, numbers.len() as u64).await;
        if code == 19 {
            assert_eq!(header.max_offset.0, numbers.len() as u64);
            return numbers;
        }
        assert_eq!(code, 0);
        numbers.extend(
            bodies.iter().map(|body| body.split_once('-').unwrap().0.parse::<usize>().unwrap()),
        );
    }
}

/// Sends until one is refused.
async fn fill(client: &TestClient, kept: &mut Vec<usize>) -> Command {
    loop {
        let reply = send(client, "orders", 0, "", &body(kept.len())).await;
        if reply.code().0 != 0 {
            return reply;
        }
        kept.push(kept.len());
        assert!(kept.len() < SENDS_MAX, "the disk never ran full");
    }
}

/// Sends until one is taken.
async fn heal(client: &TestClient, kept: &mut Vec<usize>) {
    while send(client, "orders", 0, "", &body(kept.len())).await.code().0 != 0 {
        tokio::task::yield_now().await;
    }
    kept.push(kept.len());
}

async fn check(flush: FlushDisk) {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk::default());
    let settings = || Settings { flush, ..settings(root.path()) };
    let broker = TestBroker::start_on(Arc::clone(&disk) as _, settings());
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, &body(0)).await;
    let mut kept = vec![0];
    disk.full.store(true, Ordering::SeqCst);
    let refused = fill(&client, &mut kept).await;
    assert_eq!(refused.code().0, 14);
    assert!(refused.remark().contains("disk is full"), "{}", refused.remark());
    assert_eq!(numbers(&client).await, kept, "what was acknowledged can be read");
    let fresh = send(&client, "fresh", 0, "", &body(0)).await;
    assert_eq!(fresh.code().0, 14, "a new topic's send does not wait for its refusal");

    disk.full.store(false, Ordering::SeqCst);
    let healing = tokio::time::timeout(TIMEOUT, heal(&client, &mut kept)).await;
    healing.expect("it does not heal by itself");
    assert_eq!(numbers(&client).await, kept);
    broker.stop().await;

    let broker = TestBroker::start_on(disk, settings());
    let client = TestClient::connect(&broker.address).await;
    assert_eq!(numbers(&client).await, kept, "nor is anything lost by a restart");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_sends_serves_pulls_and_heals() {
    check(FlushDisk::Async).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_does_so_with_sync_flush_too() {
    check(FlushDisk::Sync).await;
}
