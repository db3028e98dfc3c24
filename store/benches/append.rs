//! What a message costs the store: CPU of the whole process (both threads of the store included) for each message, encoding
//! included, and the same for reading it back as a tail reader does. `cargo bench -p gantry-store [directory]`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gantry_model::{
    Draft, Millis, PhysicalOffset, Properties, QueueId, QueueOffset, SysFlag, Topic,
};
use gantry_store::{
    Background, Batch, Flush, Limits, Listener, QueueHandle, Settings, Store, Tags,
    disk::{Wait, real::RealDisk},
};
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};

#[derive(Default)]
struct Flushed(Mutex<PhysicalOffset>, Condvar);

impl Listener for Flushed {
    fn arrived(&self, _queue: &QueueHandle, _end: QueueOffset, _position: PhysicalOffset) {}

    fn flushed(&self, position: PhysicalOffset) {
        *self.0.lock() = position;
        self.1.notify_all();
    }

    fn failed(&self, what: &str) {
        panic!("{what}");
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

struct Rig {
    store: Store,
    flushed: Arc<Flushed>,
    queues: Vec<QueueHandle>,
    _dir: tempfile::TempDir,
}

fn rig(flush: Flush, queues: u32) -> Rig {
    let dir = match std::env::args().nth(1).filter(|arg| !arg.starts_with('-')) {
        Some(root) => tempfile::tempdir_in(root).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let flushed = Arc::new(Flushed::default());
    let listener: Arc<dyn Listener> = Arc::<Flushed>::clone(&flushed);
    let settings = Settings { flush, full_percent: 100, ..Settings::new(dir.path()) };
    let (store, _) =
        Store::open(Arc::new(RealDisk), settings, listener, Background::Threads).unwrap();
    let topic = Topic::new("BenchmarkTest").unwrap();
    let queues =
        (0..queues).map(|id| store.queue_or_create(&topic, QueueId(id)).unwrap()).collect();
    Rig { store, flushed, queues, _dir: dir }
}

impl Rig {
    fn append(
        &self,
        mut batch: Batch,
        from: usize,
        count: usize,
        body: &[u8],
    ) -> (Batch, PhysicalOffset) {
        for queue in self.queues.iter().cycle().skip(from % self.queues.len()).take(count) {
            let draft = Draft {
                topic: queue.topic(),
                queue: queue.id(),
                flag: 0,
                sys_flag: SysFlag::NONE,
                born: Millis(1_700_000_000_000),
                born_host: ([127, 0, 0, 1], 40000).into(),
                store_host: ([127, 0, 0, 1], 10911).into(),
                reconsume_times: 0,
                prepared: PhysicalOffset::ZERO,
                body,
                properties: Properties::new(
                    b"UNIQ_KEY\x017F0000010000000000000000000000000\x02CLUSTER\x01c\x02",
                ),
            };
            batch.push(queue, &draft, Tags::Code(0)).unwrap();
        }
        let appended = self.store.append(batch, || unreachable!("one thread")).unwrap();
        assert_eq!(appended.refusal(), None);
        let end = appended.end().unwrap();
        (appended.recycle(), end)
    }
}

fn appends(body: usize, group: usize, queues: u32) {
    let rig = rig(Flush::Async, queues);
    let body = vec![b'x'; body];
    let total = if body.len() > 512 { 300_000 } else { 600_000 } / if group == 1 { 2 } else { 1 };
    let mut batch = Batch::default();
    for n in 0..2000 {
        batch = rig.append(batch, n, group, &body).0;
    }
    let (cpu_before, before) = (cpu(), Instant::now());
    let mut longest = Duration::ZERO;
    for n in 0..total / group {
        let one = Instant::now();
        batch = rig.append(batch, n * group, group, &body).0;
        longest = longest.max(one.elapsed());
    }
    let (cpu, time) = (cpu() - cpu_before, before.elapsed());
    let per = |t: Duration| t.as_secs_f64() * 1e6 / total as f64;
    println!(
        "append {:5} B, batches of {group:2}, {queues:5} queues: {:.3} us CPU, {:.3} us a message, longest {longest:?}",
        body.len(),
        per(cpu),
        per(time),
    );
    if group == 64 {
        reads(&rig, body.len());
    }
    rig.store.shutdown().unwrap();
}

fn reads(rig: &Rig, body: usize) {
    let queue = rig.queues.first().unwrap();
    let limits = Limits { messages: 32, bytes: 256 << 10, visible: rig.store.written() };
    let mut at = QueueOffset(queue.end().0.saturating_sub(2000));
    let (start, before) = (at, cpu());
    while at < queue.end() {
        let select = &mut |_: i64| true;
        at = rig.store.read(queue, at, limits, (select, Wait::Disk)).unwrap().next;
    }
    let per = (cpu() - before).as_secs_f64() * 1e6 / at.since(start) as f64;
    println!("read   {body:5} B, 32 a pull, young: {per:.3} us CPU a message");
}

fn sync(group: usize) {
    let rig = rig(Flush::Sync, 4);
    let body = vec![b'x'; 1024];
    let mut batch = Batch::default();
    let mut times = Vec::new();
    for n in 0..3000 {
        let before = Instant::now();
        let (left, end) = rig.append(batch, n, group, &body);
        batch = left;
        let mut flushed = rig.flushed.0.lock();
        rig.flushed.1.wait_while(&mut flushed, |flushed| *flushed < end);
        drop(flushed);
        times.push(before.elapsed());
    }
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
    println!(
        "sync   1024 B, {group:2} in flight: p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(500),
        at(990),
        at(999)
    );
    rig.store.shutdown().unwrap();
}

fn main() {
    for body in [1024, 128] {
        for group in [1, 8, 64] {
            appends(body, group, 4);
        }
    }
    appends(128, 64, 10_000);
    sync(1);
    sync(32);
}
