//! The broker: what all requests share, and who owns what.
//!
//! One owner for each piece of state; this struct only brings them together. It is made by `start` and
//! lives in one `Arc`; background tasks and the store's listener hold it weakly or end before it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use gantry_chassis::Tasks;
use gantry_model::{Group, Millis, PhysicalOffset, QueueId, Topic, properties};
use gantry_remoting::{net::Peer, wire::body::SubscriptionGroupConfig};
use gantry_store::{QueueHandle, ReadError, Store, disk::Wait};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::{
    config::{FlushDisk, Settings},
    consumers::Consumers,
    flushes::Flushes,
    groups::Groups,
    handle::pull::{self, PlannedPull},
    held::Held,
    locks::QueueLocks,
    metadata::{Files, Which, Writer},
    metrics::Metrics,
    offsets::Offsets,
    parked::ParkedPulls,
    producers::Producers,
    refusal::Refusal,
    registration::Announced,
    schedule::{DelayLevels, DelayOffsets},
    system,
    topics::Topics,
    unique::UniqueIds,
};

/// Reads that may wait for the disk at one time.
pub const COLD_READS_MAX: usize = 64;

/// The broker.
pub struct Broker {
    /// The settings as they were at start.
    pub fixed: Settings,
    /// The settings, with changes at run time.
    pub settings: ArcSwap<Settings>,
    /// Whether answers wait for the disk.
    pub flush: FlushDisk,
    /// The address that clients use, as text.
    pub ip: String,
    /// The address that clients use; part of message ids and records.
    pub host: SocketAddr,
    /// When this process began to serve.
    pub booted: Millis,
    /// Topics.
    pub topics: Topics,
    /// What the NameServers know of the topics.
    pub announced: Announced,
    /// Groups.
    pub groups: Groups,
    /// Offsets of groups.
    pub offsets: Offsets,
    /// Clients that consume.
    pub consumers: Consumers<Peer>,
    /// Clients that produce.
    pub producers: Producers<Peer>,
    /// Queue locks.
    pub locks: QueueLocks,
    /// Pulls that wait.
    pub parked: ParkedPulls<Arc<PlannedPull>>,
    /// Answers that wait for the disk.
    pub flushes: Flushes,
    /// Answers that wait for topics.json.
    pub held: Held,
    /// Queues whose waiting pulls are to be woken when the log is on the disk up to a position.
    unseen: Mutex<Vec<(PhysicalOffset, QueueHandle)>>,
    /// The messages.
    pub store: Store,
    /// What Prometheus sees.
    pub metrics: Metrics,
    /// The delay levels.
    pub delays: DelayLevels,
    /// How far delayed messages were delivered.
    pub delay_offsets: DelayOffsets,
    /// Writes the files under `config/`.
    pub writer: Writer,
    /// Notified when a delayed message was stored.
    pub delayed: Notify,
    /// Ids for messages without.
    pub unique: UniqueIds,
    /// What the broker puts behind each message's properties.
    pub own_properties: Vec<u8>,
    /// Tasks of requests that need more than their connection's.
    pub tasks: Tasks,
    cold: Arc<Semaphore>,
    random: AtomicU32,
    recent_bytes: u64,
}

/// What `start` has made before there is a broker.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) host: SocketAddr,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) offsets: Offsets,
    pub(crate) delays: DelayLevels,
    pub(crate) delay_offsets: DelayOffsets,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) tasks: Tasks,
    pub(crate) files: Files,
}

impl Broker {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { settings, host, topics, groups, offsets, .. } = parts;
        let recent_bytes = memory() / 100 * u64::from(settings.hot_percent);
        let mut own_properties = Vec::new();
        let trace = if settings.trace_on { "true" } else { "false" };
        properties::append(&mut own_properties, properties::name::MSG_REGION, &settings.region);
        properties::append(&mut own_properties, properties::name::TRACE_ON, trace);
        properties::append(&mut own_properties, properties::name::CLUSTER, &settings.cluster);
        Self {
            settings: ArcSwap::from_pointee(settings.clone()),
            flush: settings.flush,
            fixed: settings,
            ip: host.ip().to_string(),
            host,
            booted: now(),
            announced: Announced::default(),
            topics,
            groups,
            offsets,
            consumers: Consumers::default(),
            producers: Producers::default(),
            locks: QueueLocks::default(),
            parked: ParkedPulls::default(),
            flushes: Flushes::default(),
            held: Held::default(),
            unseen: Mutex::default(),
            store: parts.store,
            metrics: parts.metrics,
            delays: parts.delays,
            delay_offsets: parts.delay_offsets,
            writer: Writer::new(parts.files),
            delayed: Notify::new(),
            unique: UniqueIds::new(host),
            own_properties,
            tasks: parts.tasks,
            cold: Arc::new(Semaphore::new(COLD_READS_MAX)),
            random: AtomicU32::new(0),
            recent_bytes,
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Millis {
        now()
    }

    /// Sleeps until the wall clock shows `moment`.
    pub async fn sleep_until(&self, moment: Millis) {
        tokio::time::sleep(Duration::from_millis(moment.since(self.now()))).await;
    }

    /// The broker's address as clients write it.
    #[must_use]
    pub fn address(&self) -> String {
        self.host.to_string()
    }

    /// The address that slaves are told.
    #[must_use]
    pub fn ha_address(&self) -> String {
        let ip = self.fixed.ha_ip.trim();
        let ip = if ip.is_empty() { self.ip.as_str() } else { ip };
        format!("{ip}:{}", self.fixed.ha_port)
    }

    /// Whether a position of the log counts as recent: within `accessMessageInMemoryMaxRatio` of the
    /// machine's memory from its end.
    #[must_use]
    pub fn is_recent(&self, position: PhysicalOffset) -> bool {
        self.store.written().since(position) <= self.recent_bytes
    }

    /// One of `n` queues for a client that leaves the choice to the broker: in turn, so that no queue
    /// is left out.
    #[must_use]
    pub fn pick(&self, n: u32) -> u32 {
        self.random.fetch_add(1, Ordering::Relaxed) % n.max(1)
    }

    /// The longest record in bytes.
    #[must_use]
    pub fn record_max(&self) -> u32 {
        record_max(&self.fixed)
    }

    /// A group's settings; the group is made if that is allowed.
    pub fn find_group(&self, group: &Group) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(known) = self.groups.get(group) {
            return Some(known);
        }
        let auto = self.settings.load().auto_create_group.into();
        self.groups.find(group, auto, self.now())
    }

    /// Whether the topic is one that every broker has, or is named like this broker or its cluster.
    #[must_use]
    pub fn is_own_topic(&self, topic: &str) -> bool {
        let (cluster, name) = (&self.fixed.cluster, &self.fixed.name);
        let reply = || topic.strip_suffix("_REPLY_TOPIC") == Some(cluster);
        system::is_system_topic(topic) || topic == cluster || topic == name || reply()
    }

    /// Writes topics and groups to the disk. Waits for it.
    pub fn save(self: &Arc<Self>) -> Result<(), Refusal> {
        self.writer.write(self, Which::Tables).map_err(|error| {
            tracing::error!(%error, "the files under config/ cannot be written");
            Refusal::system(format_args!("done, but not saved: {error}"))
        })
    }

    /// A queue of the store, made if missing.
    pub fn queue(&self, topic: &Topic, queue: QueueId) -> Result<QueueHandle, Refusal> {
        self.store.queue_or_create(topic, queue).map_err(|error| unreadable(&error))
    }

    /// A queue of the store, if anything was ever stored in it.
    pub fn existing_queue(
        &self,
        topic: &Topic,
        queue: QueueId,
    ) -> Result<Option<QueueHandle>, Refusal> {
        self.store.queue(topic, queue).map_err(|error| unreadable(&error))
    }

    /// Goes on with a pull where waiting for the disk is allowed.
    pub fn read_cold(self: &Arc<Self>, plan: Arc<PlannedPull>) {
        let broker = Arc::clone(self);
        self.blocking("cold read", move || pull::serve(&broker, plan, Wait::Disk));
    }

    /// Does work that waits for the disk, off the threads that serve connections.
    pub fn blocking(self: &Arc<Self>, what: &'static str, work: impl FnOnce() + Send + 'static) {
        let cold = Arc::clone(&self.cold);
        self.tasks.tracker().spawn(async move {
            // The semaphore is never closed.
            let _permit = cold.acquire_owned().await;
            if let Err(error) = tokio::task::spawn_blocking(work).await {
                tracing::error!(what, %error, "work on the disk did not end");
            }
        });
    }

    /// A queue has got messages up to `position` in the log: wakes the pulls that wait for them, now or
    /// when they may be seen.
    pub fn arrived(self: &Arc<Self>, queue: &QueueHandle, position: PhysicalOffset) {
        match self.flush {
            FlushDisk::Async => self.wake(queue),
            FlushDisk::Sync => self.wake_when_flushed(queue, position),
        }
    }

    /// Wakes a queue's pulls when the log is on the disk up to `position`.
    pub fn wake_when_flushed(self: &Arc<Self>, queue: &QueueHandle, position: PhysicalOffset) {
        self.unseen.lock().push((position, queue.clone()));
        // The flush may have passed just before.
        self.show(self.store.flushed());
    }

    /// The log is on the disk up to `flushed`.
    pub fn flushed(self: &Arc<Self>, flushed: PhysicalOffset) {
        self.flushes.release(self, flushed);
        self.show(flushed);
    }

    fn show(self: &Arc<Self>, flushed: PhysicalOffset) {
        let shown: Vec<_> =
            self.unseen.lock().extract_if(.., |(position, _)| *position <= flushed).collect();
        for (_, queue) in shown {
            self.wake(&queue);
        }
    }

    fn wake(self: &Arc<Self>, queue: &QueueHandle) {
        if queue.topic().as_str() == system::SCHEDULE_TOPIC {
            self.delayed.notify_one();
        }
        pull::wake(self, queue);
    }
}

/// The longest record in bytes: a body and what may surround it.
#[must_use]
pub fn record_max(settings: &Settings) -> u32 {
    settings.max_message + (64 << 10)
}

/// What a client is told when the store cannot be read.
#[must_use]
pub fn unreadable(error: &ReadError) -> Refusal {
    tracing::error!(%error, "the store cannot be read");
    Refusal::system(error)
}

/// The machine's memory in bytes; 1 GiB where that cannot be told.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(1 << 20).saturating_mul(1024)
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Hears what the store tells. The store is opened before there is a broker, so the broker is put in
/// later; until then there is nobody to wake.
#[derive(Default)]
pub(crate) struct Ears {
    broker: std::sync::OnceLock<std::sync::Weak<Broker>>,
    failed: tokio_util::sync::CancellationToken,
}

impl Ears {
    pub(crate) fn attach(&self, broker: &Arc<Broker>) {
        // Attached once, by `start`.
        let _twice = self.broker.set(Arc::downgrade(broker));
    }

    /// Cancelled when the disk has failed.
    pub(crate) fn failed(&self) -> &tokio_util::sync::CancellationToken {
        &self.failed
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.get().and_then(std::sync::Weak::upgrade)
    }
}

impl gantry_store::Listener for Ears {
    fn arrived(&self, queue: &QueueHandle, _: gantry_model::QueueOffset, position: PhysicalOffset) {
        if let Some(broker) = self.broker() {
            broker.arrived(queue, position);
        }
    }

    fn flushed(&self, position: PhysicalOffset) {
        if let Some(broker) = self.broker() {
            broker.flushed(position);
        }
    }

    fn failed(&self, what: &str) {
        tracing::error!(what, "the disk has failed; the broker ends");
        self.failed.cancel();
    }
}
