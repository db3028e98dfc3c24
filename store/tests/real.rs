//! The store on real files.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use std::{
    path::Path,
    sync::{Arc, mpsc::Sender},
};

use gantry_model::{
    Draft, Millis, PhysicalOffset, Properties, QueueId, QueueOffset, SysFlag, Topic,
    record::{Check, Record},
};
use gantry_store::{
    Appended, Background, Batch, Boundary, Flush, Limits, Listener, Pull, PullStatus, QueueHandle,
    Recovery, Settings, Store, Tags,
    disk::{Wait, real::RealDisk},
};
use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Seen {
    arrived: Mutex<Vec<(QueueOffset, PhysicalOffset)>>,
    flushed: Mutex<PhysicalOffset>,
    moved: Condvar,
}

impl Listener for Seen {
    fn arrived(&self, _queue: &QueueHandle, end: QueueOffset, position: PhysicalOffset) {
        self.arrived.lock().push((end, position));
    }

    fn flushed(&self, position: PhysicalOffset) {
        *self.flushed.lock() = position;
        self.moved.notify_all();
    }

    fn failed(&self, what: &str) {
        panic!("{what}");
    }
}

fn settings(root: &Path) -> Settings {
    Settings {
        segment_size: 64 << 10,
        queue_file_units: 50,
        // However full the machine's disk is.
        clean_percent: 100,
        clean_forcibly_percent: None,
        full_percent: 100,
        ..Settings::new(root)
    }
}

fn open(settings: Settings) -> (Store, Recovery, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let listener = Arc::clone(&seen);
    let (store, recovery) =
        Store::open(Arc::new(RealDisk), settings, listener, Background::Threads).unwrap();
    (store, recovery, seen)
}

fn draft<'a>(queue: &'a QueueHandle, body: &'a [u8]) -> Draft<'a> {
    Draft {
        topic: queue.topic(),
        queue: queue.id(),
        flag: 0,
        sys_flag: SysFlag::NONE,
        born: Millis(1),
        born_host: ([127, 0, 0, 1], 1).into(),
        store_host: ([127, 0, 0, 1], 10911).into(),
        reconsume_times: 0,
        prepared: PhysicalOffset::ZERO,
        body,
        properties: Properties::new(b""),
    }
}

fn send(
    store: &Store,
    queue: &QueueHandle,
    body: &[u8],
) -> (QueueOffset, PhysicalOffset, PhysicalOffset) {
    let mut batch = Batch::default();
    batch.push(queue, &draft(queue, body), Tags::Code(0)).unwrap();
    let appended = store.append(batch, || unreachable!("nobody else appends")).unwrap();
    assert_eq!(appended.refusal(), None);
    let placed = appended.placed().next().unwrap();
    (placed.offset, placed.position, placed.end)
}

fn pull(store: &Store, queue: &QueueHandle, from: u64, messages: u32) -> Pull {
    let limits = Limits { messages, bytes: 1 << 20, visible: store.written() };
    store.read(queue, QueueOffset(from), limits, (&mut |_: i64| true, Wait::Disk)).unwrap()
}

/// Bodies of all messages of a queue, whose offsets are checked.
fn bodies(store: &Store, queue: &QueueHandle) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let pulled = pull(store, queue, all.len() as u64, 32);
        if pulled.status != PullStatus::Found {
            assert_eq!(pulled.status, PullStatus::OffsetOverflowOne);
            return all;
        }
        for mut piece in pulled.pieces {
            while !piece.is_empty() {
                let record = Record::parse(&piece, Check::Crc).unwrap();
                assert_eq!(record.offset.0, all.len() as u64);
                all.push(String::from_utf8(record.body.to_vec()).unwrap());
                let len = record.len;
                bytes::Buf::advance(&mut piece, len);
            }
        }
        assert_eq!(pulled.next.0, all.len() as u64);
    }
}

#[test]
fn messages_outlive_shutdown_and_roll_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let topic = Topic::new("Orders").unwrap();
    let body = |n: usize| format!("{n}:{}", "x".repeat(n * 7 % 900));
    let expected: Vec<String> = (0..300).map(body).collect();
    for round in 0..3 {
        let (store, recovery, _) = open(settings(dir.path()));
        assert!(recovery.clean, "{recovery:?}");
        assert_eq!(recovery.records, 0);
        let queue = store.queue_or_create(&topic, QueueId(2)).unwrap();
        assert_eq!(queue.end().0, round * 100);
        for n in 0..100 {
            let at = round * 100 + n;
            let (offset, ..) = send(&store, &queue, expected[at as usize].as_bytes());
            assert_eq!(offset.0, at);
        }
        assert_eq!(bodies(&store, &queue), expected[..(round as usize + 1) * 100]);
        store.shutdown().unwrap();
    }
    let (store, ..) = open(settings(dir.path()));
    assert!(store.written().0 > 2 * (64 << 10));
    let queue = store.queue(&topic, QueueId(2)).unwrap().unwrap();
    assert_eq!(bodies(&store, &queue), expected);
    assert!(store.queue(&topic, QueueId(3)).unwrap().is_none());
}

#[test]
fn a_store_that_was_not_shut_down_scans_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let topic = Topic::new("Orders").unwrap();
    let (store, ..) = open(settings(dir.path()));
    let queue = store.queue_or_create(&topic, QueueId(0)).unwrap();
    for n in 0..200 {
        send(&store, &queue, n.to_string().as_bytes());
    }
    drop(store);
    let (store, recovery, _) = open(settings(dir.path()));
    assert!(!recovery.clean);
    assert_eq!(recovery.cut, None);
    let queue = store.queue(&topic, QueueId(0)).unwrap().unwrap();
    assert_eq!(bodies(&store, &queue), (0..200).map(|n: i32| n.to_string()).collect::<Vec<_>>());
    assert_eq!(send(&store, &queue, b"next").0, QueueOffset(200));
}

#[test]
fn sync_flush_reports_the_position_and_a_watched_queue_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, seen) = open(Settings { flush: Flush::Sync, ..settings(dir.path()) });
    let queue = store.queue_or_create(&Topic::new("T").unwrap(), QueueId(0)).unwrap();
    queue.watch();
    let (_, _, end) = send(&store, &queue, b"one");
    let (_, _, second) = send(&store, &queue, b"two");
    let mut flushed = seen.flushed.lock();
    seen.moved.wait_while(&mut flushed, |flushed| *flushed < second);
    drop(flushed);
    assert!(store.visible() >= second);
    assert_eq!(*seen.arrived.lock(), [(QueueOffset(1), end)]);
}

#[test]
fn old_messages_of_queues_that_take_turns_come_in_one_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, _) = open(Settings { hot_bytes: 0, ..settings(dir.path()) });
    let topic = Topic::new("T").unwrap();
    let queues = [0, 1, 2].map(|id| store.queue_or_create(&topic, QueueId(id)).unwrap());
    let long = "x".repeat(5000);
    for at in 0..100 {
        for queue in &queues {
            let body = if at == 50 { long.clone() } else { format!("{at} of {queue:?}") };
            send(&store, queue, body.as_bytes());
        }
    }
    for queue in &queues {
        let limits = Limits { messages: 100, bytes: 1 << 20, visible: store.written() };
        let read = |wait| store.read(queue, QueueOffset(0), limits, (&mut |_: i64| true, wait));
        // The system may have dropped what was just written.
        let pulled = read(Wait::Never).or_else(|_| read(Wait::Disk)).unwrap();
        let disk = read(Wait::Disk).unwrap();
        assert_eq!((pulled.count, disk.count), (100, 100));
        assert_eq!(pulled.pieces, disk.pieces);
        assert_eq!(pulled.pieces.len(), 3, "short ones, the long one, short ones");
        let all = bodies(&store, queue);
        assert_eq!(all.first(), Some(&format!("0 of {queue:?}")));
        assert_eq!(all.get(50), Some(&long));
        assert_eq!(all.last(), Some(&format!("99 of {queue:?}")));
    }
}

#[test]
fn pulls_report_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(settings(dir.path()));
    let queue = store.queue_or_create(&Topic::new("T").unwrap(), QueueId(0)).unwrap();
    assert_eq!(pull(&store, &queue, 0, 9).status, PullStatus::NoMessageInQueue);
    let (_, first, _) = send(&store, &queue, b"a");
    send(&store, &queue, b"b");
    send(&store, &queue, b"c");
    let two = pull(&store, &queue, 0, 2);
    assert_eq!((two.status, two.next.0, two.count, two.pieces.len()), (PullStatus::Found, 2, 2, 1));
    assert_eq!(pull(&store, &queue, 3, 9).status, PullStatus::OffsetOverflowOne);
    assert_eq!(pull(&store, &queue, 4, 9).status, PullStatus::OffsetOverflowBadly);
    let limits = Limits { messages: 9, bytes: 1, visible: store.written() };
    let select = &mut |_: i64| false;
    let none = store.read(&queue, QueueOffset(1), limits, (select, Wait::Never)).unwrap();
    assert_eq!((none.status, none.next.0), (PullStatus::NoMatchedMessage, 3));
    let hidden = Limits { visible: first, ..limits };
    let select = &mut |_: i64| true;
    let none = store.read(&queue, QueueOffset(0), hidden, (select, Wait::Never)).unwrap();
    assert_eq!((none.status, none.next.0), (PullStatus::OffsetOverflowOne, 0));
    assert_eq!(pull(&store, &queue, 0, 1).count, 1);
    let bytes = store.message_at(first, Wait::Never).unwrap();
    assert_eq!(Record::parse(&bytes, Check::Crc).unwrap().body, b"a");
    assert!(store.message_at(first.plus(1), Wait::Never).is_err());
}

#[test]
fn times_lead_to_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let clock = || Millis(NOW.load(std::sync::atomic::Ordering::SeqCst));
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let (store, ..) = open(Settings { clock, ..settings(dir.path()) });
    let queue = store.queue_or_create(&Topic::new("T").unwrap(), QueueId(0)).unwrap();
    for time in [100, 100, 200, 300, 300] {
        NOW.store(time, std::sync::atomic::Ordering::SeqCst);
        send(&store, &queue, b"x");
    }
    let find = |time, boundary| store.offset_by_time(&queue, Millis(time), boundary).unwrap().0;
    for (time, lower, upper) in
        [(50, 0, 0), (100, 0, 1), (150, 2, 1), (200, 2, 2), (300, 3, 4), (301, 5, 4)]
    {
        assert_eq!(find(time, Boundary::Lower), lower, "lower {time}");
        assert_eq!(find(time, Boundary::Upper), upper, "upper {time}");
    }
    assert_eq!(store.earliest_time(&queue).unwrap(), Some(Millis(100)));
}

#[test]
fn every_batch_of_many_threads_is_answered_once_and_queues_have_no_gap() {
    const THREADS: u64 = 4;
    const BATCHES: u64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(settings(dir.path()));
    let queue = store.queue_or_create(&Topic::new("T").unwrap(), QueueId(0)).unwrap();
    let (answers, answered) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, queue, answers) = (&store, &queue, answers.clone());
            let append =
                move |n| append_with_answer(store, queue, format!("{thread}:{n}"), &answers);
            scope.spawn(move || (0..BATCHES).for_each(append));
        }
    });
    drop(answers);
    // A batch may be left to the store's own thread, which answers a little later.
    let mut all: Vec<_> = answered.iter().take((THREADS * BATCHES) as usize).collect();
    all.sort();
    let offsets: Vec<_> = all.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (0..THREADS * BATCHES).collect::<Vec<_>>());
    assert_eq!(bodies(&store, &queue), all.into_iter().map(|(_, body)| body).collect::<Vec<_>>());
}

fn append_with_answer(
    store: &Store,
    queue: &QueueHandle,
    body: String,
    answers: &Sender<(u64, String)>,
) {
    let mut batch = Batch::default();
    batch.push(queue, &draft(queue, body.as_bytes()), Tags::Code(0)).unwrap();
    let answers = answers.clone();
    let tell = move |appended: Appended| {
        let offset = appended.placed().next().unwrap().offset;
        answers.send((offset.0, body)).unwrap();
    };
    let tell_later = tell.clone();
    if let Some(appended) = store.append(batch, || Box::new(tell_later)) {
        tell(appended);
    }
}

#[test]
fn thousands_of_queues_keep_few_files_open() {
    let dir = tempfile::tempdir().unwrap();
    let settings = || Settings { segment_size: 4 << 20, ..settings(dir.path()) };
    let (store, ..) = open(settings());
    let topic = Topic::new("T").unwrap();
    for id in 0..3_000 {
        let queue = store.queue_or_create(&topic, QueueId(id)).unwrap();
        send(&store, &queue, b"x");
    }
    store.shutdown().unwrap();
    let open_files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open_files < 400, "{open_files} open files");
    drop(store);
    let (store, recovery, _) = open(settings());
    assert_eq!(recovery.records, 0);
    for id in [0, 77, 2_999] {
        let queue = store.queue(&topic, QueueId(id)).unwrap().unwrap();
        assert_eq!(bodies(&store, &queue), ["x"]);
    }
}
