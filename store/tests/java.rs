//! A directory that Apache RocketMQ 5.5.0 has written: opened, read, gone on with, and its queues made anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use gantry_model::{
    Draft, PhysicalOffset, Properties, QueueId, QueueOffset, SysFlag, Topic,
    record::{Check, Record},
};
use gantry_store::{
    Background, Batch, Limits, Listener, QueueHandle, Recovery, Settings, Store, Tags,
    disk::{Wait, real::RealDisk},
};

struct Deaf;

impl Listener for Deaf {
    fn arrived(&self, _queue: &QueueHandle, _end: QueueOffset, _position: PhysicalOffset) {}
    fn flushed(&self, _position: PhysicalOffset) {}
    fn failed(&self, what: &str) {
        panic!("{what}");
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/java-5.5.0")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A directory's files by their paths below it.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn collect(root: &Path, dir: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, into);
            } else {
                into.insert(
                    path.strip_prefix(root).unwrap().to_path_buf(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(dir, dir, &mut all);
    all
}

fn open(root: &Path) -> (Store, Recovery) {
    let settings =
        Settings { segment_size: 16 << 10, queue_file_units: 100, ..Settings::new(root) };
    Store::open(Arc::new(RealDisk), settings, Arc::new(Deaf), Background::Threads).unwrap()
}

/// Reads a queue whole; says how many messages it has.
fn read(store: &Store, queue: &QueueHandle) -> u64 {
    let mut at = QueueOffset::ZERO;
    while at < queue.end() {
        let limits = Limits { messages: 32, bytes: 1 << 20, visible: store.written() };
        let pull = store.read(queue, at, limits, (&mut |_: i64| true, Wait::Disk)).unwrap();
        let bytes = pull.pieces.concat();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let record = Record::parse(rest, Check::Crc).unwrap();
            assert_eq!((record.offset, record.topic), (at, queue.topic().as_str()));
            at = at.plus(1);
            rest = rest.get(record.len..).unwrap();
        }
        assert_eq!(pull.next, at);
    }
    at.0
}

fn send(store: &Store, queue: &QueueHandle) -> QueueOffset {
    let draft = Draft {
        topic: queue.topic(),
        queue: queue.id(),
        flag: 0,
        sys_flag: SysFlag::NONE,
        born: gantry_model::Millis(1),
        born_host: ([127, 0, 0, 1], 1).into(),
        store_host: ([127, 0, 0, 1], 2).into(),
        reconsume_times: 0,
        prepared: PhysicalOffset::ZERO,
        body: b"one more",
        properties: Properties::new(b""),
    };
    let mut batch = Batch::default();
    batch.push(queue, &draft, Tags::Code(0)).unwrap();
    let appended = store.append(batch, || unreachable!("one thread")).unwrap();
    appended.placed().next().unwrap().offset
}

/// Messages of topic `golden` that a client was told are stored, by queue.
fn acknowledged() -> BTreeMap<u64, u64> {
    let events = fs::read_to_string(golden().with_file_name("store.events.jsonl")).unwrap();
    let mut ends = BTreeMap::new();
    for line in events.lines().filter(|line| line.contains("\"key\":\"tagged-")) {
        let number = |name: &str| -> Option<u64> {
            let rest = line.split_once(&format!("\"{name}\":"))?.1;
            rest.split([',', '}']).next()?.parse().ok()
        };
        if let (Some(queue), Some(offset)) = (number("queueId"), number("queueOffset")) {
            let end = ends.entry(queue).or_insert(0);
            *end = offset.saturating_add(1).max(*end);
        }
    }
    ends
}

#[test]
fn what_java_stored_is_read_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(), dir.path());
    let (store, recovery) = open(dir.path());
    assert!(recovery.clean && !recovery.rebuilt && recovery.cut.is_none(), "{recovery:?}");
    let topic = Topic::new("golden").unwrap();
    let ends = acknowledged();
    assert_eq!(ends.len(), 2);
    for (id, end) in ends {
        let queue = store.queue(&topic, QueueId(u32::try_from(id).unwrap())).unwrap().unwrap();
        let count = read(&store, &queue);
        assert!(count >= end, "{count} of {end}");
        assert_eq!(send(&store, &queue), QueueOffset(count));
        assert_eq!(read(&store, &queue), count + 1);
    }
    store.shutdown().unwrap();
    drop(store);
    let (_, recovery) = open(dir.path());
    assert!(recovery.clean && recovery.records == 0, "{recovery:?}");
}

#[test]
fn queues_made_anew_are_java_s_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(), dir.path());
    fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let (store, recovery) = open(dir.path());
    assert!(recovery.records > 50, "{recovery:?}");
    store.shutdown().unwrap();
    let ours = contents(&dir.path().join("consumequeue"));
    let theirs = contents(&golden().join("consumequeue"));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (path, bytes) in &theirs {
        assert!(ours.get(path) == Some(bytes), "{} differs", path.display());
    }
    // The log is as it was.
    let log = |root: &Path| contents(&root.join("commitlog"));
    for (name, bytes) in log(&golden()) {
        assert!(log(dir.path()).get(&name) == Some(&bytes), "{} differs", name.display());
    }
}

#[test]
fn a_directory_of_java_s_that_was_not_closed_is_scanned() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(), dir.path());
    fs::write(dir.path().join("abort"), "1").unwrap();
    let (store, recovery) = open(dir.path());
    assert!(!recovery.clean && recovery.cut.is_none(), "{recovery:?}");
    store.shutdown().unwrap();
    let theirs = contents(&golden().join("consumequeue"));
    assert!(contents(&dir.path().join("consumequeue")) == theirs);
}
