//! A real process that is killed while it appends: the test runs itself as the child.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use gantry_model::{
    Draft, Millis, PhysicalOffset, Properties, QueueId, QueueOffset, SysFlag, Topic,
    record::{Check, Record},
};
use gantry_store::{
    Background, Batch, Limits, Listener, QueueHandle, Settings, Store, Tags,
    disk::{Wait, real::RealDisk},
};

const CHILD: &str = "GANTRY_STORE_KILL_TEST_DIR";

struct Deaf;

impl Listener for Deaf {
    fn arrived(&self, _queue: &QueueHandle, _end: QueueOffset, _position: PhysicalOffset) {}
    fn flushed(&self, _position: PhysicalOffset) {}
    fn failed(&self, what: &str) {
        panic!("{what}");
    }
}

fn open(root: &Path) -> Store {
    let settings =
        Settings { segment_size: 256 << 10, queue_file_units: 100, ..Settings::new(root) };
    Store::open(Arc::new(RealDisk), settings, Arc::new(Deaf), Background::Threads).unwrap().0
}

fn queue(store: &Store) -> QueueHandle {
    store.queue_or_create(&Topic::new("T").unwrap(), QueueId(0)).unwrap()
}

/// Appends until it is killed, and says after each batch up to which offset it has come.
fn append_for_ever(root: &Path) -> ! {
    let store = open(root);
    let queue = queue(&store);
    let mut batch = Batch::default();
    let mut out = stdout();
    loop {
        let from = queue.end().0;
        for n in 0..7 {
            let body = (from + n).to_string().repeat(40);
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
                body: body.as_bytes(),
                properties: Properties::new(b"TAGS\x01a\x02"),
            };
            batch.push(&queue, &draft, Tags::Code(97)).unwrap();
        }
        let appended = store.append(batch, || unreachable!("one thread")).unwrap();
        assert_eq!(appended.stored_len(), 7);
        batch = appended.recycle();
        writeln!(out, "end={}", queue.end()).unwrap();
    }
}

/// Checks all messages; says how many there are.
fn check(root: &Path) -> u64 {
    let store = open(root);
    let queue = queue(&store);
    let mut at = QueueOffset::ZERO;
    while at < queue.end() {
        let limits = Limits { messages: 32, bytes: 1 << 20, visible: store.written() };
        let select = &mut |code: i64| code == 97;
        let pull = store.read(&queue, at, limits, (select, Wait::Disk)).unwrap();
        let bytes = pull.pieces.concat();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let record = Record::parse(rest, Check::Crc).unwrap();
            assert_eq!(record.offset, at);
            assert_eq!(record.body, at.to_string().repeat(40).as_bytes());
            at = at.plus(1);
            rest = rest.get(record.len..).unwrap();
        }
        assert_eq!(pull.next, at, "{:?}", pull.status);
    }
    at.0
}

#[test]
fn a_killed_process_loses_nothing_that_it_has_answered() {
    if let Some(root) = env::var_os(CHILD) {
        append_for_ever(Path::new(&root));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for lines in [1, 400, 37, 900] {
        let name = "a_killed_process_loses_nothing_that_it_has_answered";
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut ends =
            output.lines().filter_map(|line| line.ok()?.strip_prefix("end=")?.parse::<u64>().ok());
        let mut answered = ends.by_ref().nth(lines).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it has said until it died counts as well.
        answered = ends.last().unwrap_or(answered);
        let found = check(dir.path());
        assert!(found >= answered && answered > before, "{found} found of {answered}");
        before = found;
    }
}
