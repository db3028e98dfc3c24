//! What Prometheus sees: the metrics of RocketMQ 5 with their names and labels.
//!
//! Kept off the hot path: messages are counted once per batch and topic, requests once per batch and
//! code; everything that can be read from the state is read when Prometheus asks. Bounded: beyond
//! [`SERIES_MAX`] topics or pairs of topic and group, the rest is counted together as `__other__`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use gantry_model::{Group, Topic};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

mod latency;
mod state;

pub use latency::Latency;
pub use state::StateCollector;

use crate::{broker::Broker, system};

/// Most series of one metric that are labelled by topic or group.
pub const SERIES_MAX: usize = 20_000;
const OTHER: &str = "__other__";

/// The counters of messages to one topic.
#[derive(Debug, Clone)]
pub struct TopicIn(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    messages: IntCounter,
    bytes: IntCounter,
}

impl TopicIn {
    /// Whether both count the same topic.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Counts messages that were stored.
    pub fn add(&self, messages: u64, bytes: u64) {
        self.0.messages.inc_by(messages);
        self.0.bytes.inc_by(bytes);
    }
}

/// The counters of messages of one topic to one group.
#[derive(Debug, Clone)]
pub struct GroupOut {
    messages: IntCounter,
    bytes: IntCounter,
}

impl GroupOut {
    /// Counts messages that were sent to a consumer.
    pub fn add(&self, messages: u64, bytes: u64) {
        self.messages.inc_by(messages);
        self.bytes.inc_by(bytes);
    }
}

/// The broker's metrics.
#[derive(Debug)]
pub struct Metrics {
    messages_in: IntCounterVec,
    throughput_in: IntCounterVec,
    messages_out: IntCounterVec,
    throughput_out: IntCounterVec,
    dlq: IntCounterVec,
    /// How long requests took.
    pub latency: Latency,
    /// All messages stored, for the runtime info.
    pub put_total: AtomicU64,
    /// All bytes of those.
    pub put_bytes: AtomicU64,
    /// Sends that were refused or failed.
    pub put_failed: AtomicU64,
    /// All messages sent to consumers.
    pub get_total: AtomicU64,
    out: Mutex<HashMap<(Group, Topic), GroupOut, foldhash::fast::RandomState>>,
    topics: Mutex<HashMap<Topic, TopicIn>>,
}

fn counter(registry: &Registry, opts: Opts, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let vec = IntCounterVec::new(opts, labels)?;
    registry.register(Box::new(vec.clone()))?;
    Ok(vec)
}

impl Metrics {
    /// Registers the metrics of a broker of this cluster and name.
    pub fn register(registry: &Registry, cluster: &str, name: &str) -> prometheus::Result<Self> {
        let opts = |metric: &str, help: &str| {
            Opts::new(metric, help)
                .const_label("cluster", cluster)
                .const_label("node_type", "broker")
                .const_label("node_id", name)
        };
        let to_topic = ["topic", "message_type", "is_system"];
        let to_group = ["topic", "consumer_group", "is_retry", "is_system"];
        let latency = Latency::new(opts("rocketmq_rpc_latency", "Time to serve requests, in ms."))?;
        registry.register(Box::new(latency.clone()))?;
        let count = |metric, help, labels: &[&str]| counter(registry, opts(metric, help), labels);
        Ok(Self {
            messages_in: count("rocketmq_messages_in_total", "Messages stored.", &to_topic)?,
            throughput_in: count("rocketmq_throughput_in_total", "Bytes stored.", &to_topic)?,
            messages_out: count(
                "rocketmq_messages_out_total",
                "Messages sent to consumers.",
                &to_group,
            )?,
            throughput_out: count(
                "rocketmq_throughput_out_total",
                "Bytes sent to consumers.",
                &to_group,
            )?,
            dlq: count(
                "rocketmq_send_to_dlq_messages_total",
                "Messages that became dead letters.",
                &["consumer_group", "topic", "is_system"],
            )?,
            latency,
            put_total: AtomicU64::new(0),
            put_bytes: AtomicU64::new(0),
            put_failed: AtomicU64::new(0),
            get_total: AtomicU64::new(0),
            out: Mutex::default(),
            topics: Mutex::default(),
        })
    }

    /// The counters of a topic. Connections keep them.
    pub fn topic_in(&self, topic: &Topic) -> TopicIn {
        let mut topics = self.topics.lock();
        if let Some(known) = topics.get(topic) {
            return known.clone();
        }
        let full = SERIES_MAX <= topics.len();
        let label = if full { OTHER } else { topic.as_str() };
        let labels =
            [label, "Normal", if system::is_system_topic(topic) { "true" } else { "false" }];
        let made = TopicIn(Arc::new(Counters {
            messages: self.messages_in.with_label_values(&labels),
            bytes: self.throughput_in.with_label_values(&labels),
        }));
        if !full {
            topics.insert(topic.clone(), made.clone());
        }
        made
    }

    /// The counters of a topic's messages to a group.
    pub fn group_out(&self, group: &Group, topic: &Topic) -> GroupOut {
        let key = (group.clone(), topic.clone());
        let mut out = self.out.lock();
        if let Some(known) = out.get(&key) {
            return known.clone();
        }
        let full = SERIES_MAX <= out.len();
        let (topic_label, group_label) =
            if full { (OTHER, OTHER) } else { (topic.as_str(), group.as_str()) };
        let system = system::is_system_topic(topic) || system::is_system_group(group);
        let yes_no = |yes: bool| if yes { "true" } else { "false" };
        let labels = [topic_label, group_label, yes_no(topic.is_retry()), yes_no(system)];
        let made = GroupOut {
            messages: self.messages_out.with_label_values(&labels),
            bytes: self.throughput_out.with_label_values(&labels),
        };
        if !full {
            out.insert(key, made.clone());
        }
        made
    }

    /// Counts a dead letter.
    pub fn dead_letter(&self, group: &str, topic: &str) {
        let system = if system::is_system_topic(topic) { "true" } else { "false" };
        let full = SERIES_MAX <= self.topics.lock().len();
        let (group, topic) = if full { (OTHER, OTHER) } else { (group, topic) };
        self.dlq.with_label_values(&[group, topic, system]).inc();
    }

    /// Counts messages in all, for the runtime info.
    pub fn stored(&self, messages: u64, bytes: u64) {
        self.put_total.fetch_add(messages, Ordering::Relaxed);
        self.put_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts messages that were sent to consumers, for the runtime info.
    pub fn delivered(&self, messages: u64) {
        self.get_total.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts sends that were not stored.
    pub fn failed(&self, sends: usize) {
        self.put_failed.fetch_add(u64::try_from(sends).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Drops the series of a deleted topic.
    pub fn forget_topic(&self, topic: &Topic) {
        self.topics.lock().remove(topic);
        self.out.lock().retain(|(_, of), _| of != topic);
        for system in ["true", "false"] {
            // A series that was never made is no error.
            let _never_made = self.messages_in.remove_label_values(&[topic, "Normal", system]);
            let _never_made = self.throughput_in.remove_label_values(&[topic, "Normal", system]);
        }
    }

    /// Registers what is read from the broker's state when Prometheus asks.
    pub fn register_state(registry: &Registry, broker: &Arc<Broker>) -> prometheus::Result<()> {
        let broker: Weak<Broker> = Arc::downgrade(broker);
        registry.register(Box::new(StateCollector::new(broker)?))
    }
}
