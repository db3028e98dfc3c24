//! Disks that fail, run full or are damaged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gantry_model::{
    Draft, Millis, PhysicalOffset, Properties, QueueId, QueueOffset, SysFlag, Topic,
};
use gantry_store::{
    Background, Batch, Condition, Flush, Flusher, Limits, Listener, OpenError, PullStatus,
    QueueHandle, Refusal, Settings, Store, Tags,
    disk::{
        Disk, Space, Wait,
        model::{Crash, Fault, ModelDisk},
    },
};
use parking_lot::Mutex;

#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl Listener for Failures {
    fn arrived(&self, _queue: &QueueHandle, _end: QueueOffset, _position: PhysicalOffset) {}
    fn flushed(&self, _position: PhysicalOffset) {}
    fn failed(&self, what: &str) {
        self.0.lock().push(what.to_owned());
    }
}

fn settings() -> Settings {
    Settings {
        segment_size: 16 << 10,
        queue_file_units: 16,
        record_max: 4096,
        ..Settings::new("/store")
    }
}

fn try_open_with(
    disk: &ModelDisk,
    settings: Settings,
) -> Result<(Store, Arc<Failures>), OpenError> {
    let failures = Arc::new(Failures::default());
    let listener: Arc<dyn Listener> = Arc::<Failures>::clone(&failures);
    let (store, _) = Store::open(Arc::new(disk.clone()), settings, listener, Background::Caller)?;
    Ok((store, failures))
}

fn try_open(disk: &ModelDisk) -> Result<(Store, Arc<Failures>), OpenError> {
    try_open_with(disk, settings())
}

fn open(disk: &ModelDisk) -> (Store, Arc<Failures>) {
    try_open(disk).unwrap()
}

fn queue(store: &Store) -> QueueHandle {
    store.queue_or_create(&Topic::new("T").unwrap(), QueueId(0)).unwrap()
}

/// Bytes of the record that [`send`] makes.
const RECORD: u64 = 91 + 1000 + 1;

/// Sends one message.
fn send(store: &Store) -> Result<PhysicalOffset, Refusal> {
    send_flushed_by(store, Flusher::Thread)
}

fn send_flushed_by(store: &Store, flusher: Flusher) -> Result<PhysicalOffset, Refusal> {
    let queue = queue(store);
    let draft = Draft {
        topic: queue.topic(),
        queue: queue.id(),
        flag: 0,
        sys_flag: SysFlag::NONE,
        born: Millis(1),
        born_host: ([127, 0, 0, 1], 1).into(),
        store_host: ([127, 0, 0, 1], 2).into(),
        reconsume_times: 0,
        prepared: PhysicalOffset::ZERO,
        body: &[7; 1000],
        properties: Properties::new(b""),
    };
    let mut batch = Batch::default();
    batch.flusher = flusher;
    batch.push(&queue, &draft, Tags::Code(0)).unwrap();
    let appended = store.append(batch, || unreachable!("one thread")).unwrap();
    appended.refusal().map_or_else(|| Ok(appended.placed().next().unwrap().position), Err)
}

/// How many messages can be read from the start, and the status behind them.
fn readable(store: &Store, from: u64) -> (u32, PullStatus) {
    let limits = Limits { messages: 1000, bytes: 1 << 20, visible: store.written() };
    let select = &mut |_: i64| true;
    let pull = store.read(&queue(store), QueueOffset(from), limits, (select, Wait::Disk)).unwrap();
    (pull.count, pull.status)
}

#[test]
fn a_failed_flush_ends_the_store_for_good() {
    let disk = ModelDisk::new(1);
    let (store, failures) = open(&disk);
    send(&store).unwrap();
    disk.plan(Fault::Sync);
    store.flush_now();
    assert_eq!(failures.0.lock().len(), 1);
    assert_eq!(store.condition(), Condition::Failed);
    // The disk is well again; the pages that it lost are not.
    store.flush_now();
    store.tidy_now();
    assert_eq!(store.flushed(), PhysicalOffset::ZERO);
    assert_eq!(send(&store), Err(Refusal::Failed));
    assert_eq!(readable(&store, 0).0, 1);
    assert!(store.shutdown().is_err());
    assert_eq!(failures.0.lock().len(), 1);
}

#[test]
fn who_appends_alone_flushes_where_flushes_are_known_to_be_quick() {
    let disk = ModelDisk::new(1);
    let sync = Settings { flush: Flush::Sync, ..settings() };
    let (store, failures) = try_open_with(&disk, sync).unwrap();
    send_flushed_by(&store, Flusher::Caller).unwrap();
    assert_eq!(store.flushed(), PhysicalOffset::ZERO, "nothing is known of the disk yet");
    let mut waited = 0;
    while store.flushed() < store.written() && waited < 100 {
        store.flush_now();
        send_flushed_by(&store, Flusher::Caller).unwrap();
        waited += 1;
    }
    assert_eq!(store.flushed(), store.written());
    send(&store).unwrap();
    assert!(store.flushed() < store.written(), "the store's thread would do it");
    let durable = store.flushed();
    disk.plan(Fault::Sync);
    send_flushed_by(&store, Flusher::Caller).unwrap();
    assert_eq!(store.flushed(), durable, "what a failed flush was for never counts as durable");
    assert_eq!(store.condition(), Condition::Failed);
    assert_eq!(failures.0.lock().len(), 1);
}

#[test]
fn a_disk_without_room_refuses_writes_and_heals() {
    let disk = ModelDisk::new(1);
    let (store, failures) = open(&disk);
    disk.plan(Fault::Full);
    let sent = (0..100).take_while(|_| send(&store).is_ok()).count();
    assert_eq!(sent, 14, "what fits in the first file");
    assert_eq!(send(&store), Err(Refusal::DiskFull));
    assert_eq!(store.condition(), Condition::DiskFull);
    store.tidy_now();
    assert_eq!(send(&store), Err(Refusal::DiskFull));
    assert_eq!(readable(&store, 0), (14, PullStatus::Found));
    disk.heal();
    store.tidy_now();
    assert_eq!(store.condition(), Condition::Writable);
    assert_eq!(send(&store), Ok(PhysicalOffset(16 << 10)));
    assert_eq!(readable(&store, 0), (15, PullStatus::Found));
    assert!(failures.0.lock().is_empty());
}

#[test]
fn a_nearly_full_disk_refuses_writes_until_it_is_emptier() {
    let disk = ModelDisk::new(1);
    let (store, _) = open(&disk);
    disk.claim_space(Space { total: 100, free: 9 });
    store.tidy_now();
    assert_eq!(send(&store), Err(Refusal::DiskFull));
    disk.claim_space(Space { total: 100, free: 11 });
    store.tidy_now();
    send(&store).unwrap();
}

#[test]
fn the_oldest_files_go_and_queues_begin_later() {
    let disk = ModelDisk::new(1);
    let (store, _) = open(&disk);
    for _ in 0..40 {
        send(&store).unwrap();
    }
    disk.claim_space(Space { total: 100, free: 12 });
    store.tidy_now();
    assert_eq!(store.min_position(), PhysicalOffset(2 * (16 << 10)));
    assert_eq!(store.min_offset(&queue(&store), Wait::Disk).unwrap(), QueueOffset(28));
    assert_eq!(readable(&store, 5), (0, PullStatus::OffsetTooSmall));
    assert_eq!(readable(&store, 28), (12, PullStatus::Found));
    // The first queue file held 16 units.
    let names = disk.list(Path::new("/store/consumequeue/T/0")).unwrap();
    assert_eq!(names.len(), 2);
    store.shutdown().unwrap();
    drop(store);
    let (store, _) = open(&disk);
    assert_eq!(readable(&store, 28), (12, PullStatus::Found));
}

fn damage(disk: &ModelDisk, file: &str, at: u64) {
    let file = disk.open(Path::new(file)).unwrap();
    file.write_at(at, &mut [std::io::IoSlice::new(&[0xEE; 4])]).unwrap();
}

#[test]
fn damage_in_the_middle_refuses_to_open_and_deletes_nothing() {
    let disk = ModelDisk::new(1);
    let (store, _) = open(&disk);
    for _ in 0..40 {
        send(&store).unwrap();
    }
    let disk = disk.crash(Crash::Kill);
    drop(store);
    let first = "/store/commitlog/00000000000000000000";
    damage(&disk, first, 5 * RECORD + 200);
    let files = disk.list(Path::new("/store/commitlog")).unwrap();
    let Err(OpenError::Damaged { file, offset, cause }) = try_open(&disk).map(|_| ()) else {
        unreachable!("it must refuse")
    };
    assert_eq!((file, offset), (PathBuf::from(first), 5 * RECORD));
    assert!(cause.contains("CRC"), "{cause}");
    assert_eq!(disk.list(Path::new("/store/commitlog")).unwrap(), files);
}

#[test]
fn a_record_damaged_while_the_store_runs_is_skipped() {
    let disk = ModelDisk::new(1);
    let (store, _) = open(&disk);
    for _ in 0..5 {
        send(&store).unwrap();
    }
    damage(&disk, "/store/commitlog/00000000000000000000", 2 * RECORD);
    assert_eq!(readable(&store, 0), (2, PullStatus::Found));
    assert_eq!(readable(&store, 2), (0, PullStatus::MessageWasRemoving));
    assert_eq!(readable(&store, 3), (2, PullStatus::Found));
}

#[test]
fn missing_queues_are_made_anew_from_the_whole_log() {
    let disk = ModelDisk::new(1);
    let (store, _) = open(&disk);
    for _ in 0..40 {
        send(&store).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    disk.remove_dir(Path::new("/store/consumequeue")).unwrap();
    let (store, _) = open(&disk);
    assert_eq!(readable(&store, 0), (40, PullStatus::Found));
    send(&store).unwrap();
    assert_eq!(readable(&store, 0), (41, PullStatus::Found));
}

#[test]
fn a_missing_or_short_log_file_is_named() {
    let disk = ModelDisk::new(1);
    let (store, _) = open(&disk);
    for _ in 0..40 {
        send(&store).unwrap();
    }
    store.shutdown().unwrap();
    drop(store);
    let second = Path::new("/store/commitlog/00000000000000016384");
    disk.rename(second, Path::new("/elsewhere")).unwrap();
    let refused = try_open(&disk).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Missing(file) if file == second));
}

#[test]
fn two_stores_can_t_have_one_directory() {
    let disk = ModelDisk::new(1);
    let (_store, _) = open(&disk);
    assert!(matches!(try_open(&disk), Err(OpenError::InUse(_))));
}
