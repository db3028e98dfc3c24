//! Random work on the model disk, ended by crashes in the middle of anything. After each: what was promised is there, once, at
//! its offset; nothing torn is served; the log that is left is a prefix of what was written; work goes on.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use gantry_model::{
    Draft, Millis, PhysicalOffset, Properties, QueueId, QueueOffset, SysFlag, Topic,
    record::{Check, Record},
};
use gantry_store::{
    Background, Batch, Limits, Listener, PullStatus, QueueHandle, Refusal, Settings, Store, Tags,
    disk::{
        Space, Wait,
        model::{Crash, Fault, ModelDisk},
    },
};

struct Deaf;

impl Listener for Deaf {
    fn arrived(&self, _queue: &QueueHandle, _end: QueueOffset, _position: PhysicalOffset) {}
    fn flushed(&self, _position: PhysicalOffset) {}
    fn failed(&self, _what: &str) {}
}

const QUEUES: usize = 3;

/// A message that was handed to the store.
#[derive(Clone, Debug)]
struct Sent {
    queue: usize,
    body: Vec<u8>,
    /// Behind it in the log; none if the store did not say that it has it.
    end: Option<PhysicalOffset>,
}

/// Position, queue, offset, body.
type Read = (u64, usize, u64, Vec<u8>);

struct World {
    random: u64,
    disk: ModelDisk,
    store: Option<Store>,
    /// All messages in the order of the log. Unanswered ones are at the end.
    sent: Vec<Sent>,
    /// The next offset of each queue at the start of `sent`.
    flushed: PhysicalOffset,
    fresh: u64,
}

fn settings() -> Settings {
    Settings {
        segment_size: 16 << 10,
        queue_file_units: 16,
        record_max: 4096,
        hot_bytes: 8 << 10,
        open_files: 2,
        clean_forcibly_percent: Some(85),
        full_percent: 95,
        clock: || Millis(1_000_000),
        ..Settings::new("/store")
    }
}

fn topic(queue: usize) -> Topic {
    Topic::new(if queue == 2 { "Other" } else { "Orders" }).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: seed,
            disk: ModelDisk::new(seed),
            store: None,
            sent: Vec::new(),
            flushed: PhysicalOffset::ZERO,
            fresh: 0,
        };
        world.open();
        world
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % n
    }

    fn open(&mut self) {
        let disk = Arc::new(self.disk.clone());
        let (store, _) = Store::open(disk, settings(), Arc::new(Deaf), Background::Caller).unwrap();
        self.store = Some(store);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn append(&mut self) {
        let count = 1 + self.below(4);
        let mut batch = Batch::default();
        let mut sent = Vec::new();
        for _ in 0..count {
            let queue = self.below(QUEUES as u64) as usize;
            let longest = if self.below(4) == 0 { 3000 } else { 100 };
            let len = 8 + self.below(longest) as usize;
            self.fresh += 1;
            let mut body = self.fresh.to_be_bytes().to_vec();
            body.resize(len, self.fresh as u8);
            let topic = topic(queue);
            let Ok(handle) = self.store().queue_or_create(&topic, QueueId(queue as u32)) else {
                return;
            };
            let draft = Draft {
                topic: &topic,
                queue: handle.id(),
                flag: 0,
                sys_flag: SysFlag::NONE,
                born: Millis(1),
                born_host: ([127, 0, 0, 1], 1).into(),
                store_host: ([127, 0, 0, 1], 2).into(),
                reconsume_times: 0,
                prepared: PhysicalOffset::ZERO,
                body: &body,
                properties: Properties::new(b"TAGS\x01a\x02"),
            };
            batch.push(&handle, &draft, Tags::Code(97)).unwrap();
            sent.push(Sent { queue, body, end: None });
        }
        let appended = self.store().append(batch, || unreachable!("one thread")).unwrap();
        for (sent, placed) in sent.iter_mut().zip(appended.placed()) {
            sent.end = Some(placed.end);
        }
        if appended.refusal() == Some(Refusal::Failed) {
            // Any head of it may be there.
            self.sent.extend(sent);
        } else {
            self.sent.extend(sent.into_iter().take(appended.stored_len()));
        }
    }

    /// All messages that the store has, in the order of the log: position, queue, offset, body.
    fn read_all(&self) -> Vec<Read> {
        let mut all: Vec<Read> = (0..QUEUES).flat_map(|queue| self.read_queue(queue)).collect();
        all.sort();
        all
    }

    fn read_queue(&self, queue: usize) -> Vec<Read> {
        let store = self.store();
        let mut all = Vec::new();
        let Some(handle) = store.queue(&topic(queue), QueueId(queue as u32)).unwrap() else {
            return all;
        };
        let mut at = store.min_offset(&handle, Wait::Disk).unwrap();
        while at < handle.end() {
            let limits = Limits { messages: 5, bytes: 2000, visible: store.written() };
            let select = &mut |code: i64| code == 97;
            let pull = store.read(&handle, at, limits, (select, Wait::Disk)).unwrap();
            assert_eq!(pull.status, PullStatus::Found, "{handle:?} at {at}");
            let bytes = pull.pieces.concat();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let record = Record::parse(rest, Check::Crc).unwrap();
                assert_eq!((record.offset, record.queue), (at, handle.id()));
                assert_eq!(record.topic, handle.topic().as_str());
                all.push((record.position.0, queue, record.offset.0, record.body.to_vec()));
                at = at.plus(1);
                rest = &rest[record.len..];
            }
            assert_eq!(pull.next, at);
        }
        all
    }

    /// Checks what the store has against what it was given, of which the first `sure` must be there unless they were
    /// let go, and forgets what it has lost.
    fn check(&mut self, sure: usize) {
        let all = self.read_all();
        let min = self.store().min_position();
        let gone =
            self.sent.iter().take_while(|sent| sent.end.is_some_and(|end| end <= min)).count();
        let had = &self.sent[gone..];
        assert!(all.len() <= had.len(), "{} messages where {} were sent", all.len(), had.len());
        assert!(
            all.len() + gone >= sure,
            "{} + {gone} messages left of {sure} sure ones",
            all.len()
        );
        for ((_, queue, _, body), sent) in all.iter().zip(had) {
            assert!(
                (*queue, body) == (sent.queue, &sent.body),
                "another message in the place of {:?}",
                &sent.body[..8]
            );
        }
        // Offsets go on without a gap from wherever each queue begins.
        for queue in 0..QUEUES {
            let offsets: Vec<u64> = all.iter().filter(|m| m.1 == queue).map(|m| m.2).collect();
            assert!(offsets.windows(2).all(|pair| pair[1] == pair[0] + 1), "{offsets:?}");
        }
        let kept = gone + all.len();
        for (sent, (position, ..)) in self.sent[gone..].iter_mut().zip(&all) {
            sent.end.get_or_insert(PhysicalOffset(position + 1));
        }
        self.sent.truncate(kept);
    }

    fn crash(&mut self, crash: Crash) {
        let sure = |flushed: PhysicalOffset| {
            self.sent.iter().take_while(|sent| sent.end.is_some_and(|end| end <= flushed)).count()
        };
        let sure = match crash {
            Crash::Power => sure(self.flushed),
            Crash::Kill => sure(PhysicalOffset(u64::MAX)),
        };
        self.disk = self.disk.crash(crash);
        self.store = None;
        self.open();
        self.check(sure);
        self.flushed = self.store().flushed();
    }

    fn step(&mut self) {
        match self.below(32) {
            0..16 => self.append(),
            16..20 => self.store().flush_now(),
            20..23 => self.store().tidy_now(),
            23 => {
                let used = if self.below(2) == 0 { 90 } else { 10 };
                self.disk.claim_space(Space { total: 100, free: 100 - used });
            }
            24 => {
                self.store().shutdown().unwrap();
                self.store = None;
                self.open();
                self.check(self.sent.len());
            }
            25 => self.crash(Crash::Kill),
            26 | 27 => self.crash(Crash::Power),
            28 | 29 => {
                // Dies somewhere in the next steps, in the middle of what is done then.
                let after = self.below(12) as u32;
                self.disk.plan(Fault::DieAfter(after));
                for _ in 0..4 {
                    match self.below(4) {
                        0 => self.store().flush_now(),
                        1 => self.store().tidy_now(),
                        _ => self.append(),
                    }
                    self.flushed = self.store().flushed().max(self.flushed);
                }
                let crash = if self.below(2) == 0 { Crash::Kill } else { Crash::Power };
                self.crash(crash);
            }
            _ => {
                let _all = self.read_all();
            }
        }
        self.flushed = self.store().flushed().max(self.flushed);
    }
}

fn run(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let told = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..40 {
                world.step();
            }
            world.crash(Crash::Kill);
        });
        assert!(told.is_ok(), "seed {seed}");
    }
}

#[test]
fn nothing_promised_is_lost_first_half() {
    run(0..600);
}

#[test]
fn nothing_promised_is_lost_second_half() {
    run(1000..1600);
}
