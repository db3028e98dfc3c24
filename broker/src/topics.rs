//! The broker's topics: topics.json in memory, with the rules for creating, changing and deleting them.
//!
//! Owns the table and its version; never touches a file (the `metadata` module does) and never blocks.
//! Every change makes a new generation, by which connections notice that what they remember of a topic
//! is out of date, and notifies [`Topics::changed`], upon which the broker registers and writes the file.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gantry_model::{Millis, Perm, Topic, names::AUTO_CREATE_TOPIC};
use gantry_remoting::wire::body::{DataVersion, TopicConfig, TopicConfigTable};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::{
    config::Settings,
    fastjson,
    refusal::{self, Refusal},
    system,
};

mod attributes;

/// Most topics of one broker.
pub const TOPICS_MAX: usize = 1_000_000;
/// Most queues of one topic, in each direction.
pub const QUEUES_MAX: u32 = 65_536;
const BENCHMARK_QUEUES: u32 = 1024;
const SCHEDULE_QUEUES: u32 = 18;

type Table = HashMap<Topic, Arc<TopicConfig>, foldhash::fast::RandomState>;

/// All topics of the broker.
#[derive(Debug)]
pub struct Topics {
    state: RwLock<State>,
    generation: AtomicU64,
    /// Notified after each change.
    pub changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    version: DataVersion,
    /// Topics that have changed since topics.json was written, with the generation of the change.
    unsaved: HashMap<Topic, u64, foldhash::fast::RandomState>,
}

impl State {
    /// Adds a topic if its name is valid.
    fn insert(&mut self, config: TopicConfig) {
        match Topic::new(&config.topic_name) {
            Ok(topic) => {
                self.table.insert(topic, Arc::new(config));
            }
            Err(error) => tracing::warn!(topic = config.topic_name, %error, "topic left out"),
        }
    }
}

/// How a topic came out of an attempt to create it.
#[derive(Debug, Clone, PartialEq)]
pub enum Creation {
    /// It was there already.
    Found(Arc<TopicConfig>),
    /// It is new.
    Made(Arc<TopicConfig>),
}

impl Creation {
    /// The topic.
    #[must_use]
    pub fn config(self) -> Arc<TopicConfig> {
        match self {
            Self::Found(config) | Self::Made(config) => config,
        }
    }
}

/// What the topics were at one moment, for a registration.
#[derive(Debug, Clone)]
pub struct TopicsSnapshot {
    /// The topics.
    pub topics: Vec<Arc<TopicConfig>>,
    /// Their version.
    pub version: DataVersion,
    /// Their generation.
    pub generation: u64,
}

impl Topics {
    /// The topics of a broker with these settings and this topics.json, if there is one. Topics of the
    /// file win over the broker's own of the same name; entries whose name is not valid are dropped.
    pub fn open(settings: &Settings, file: Option<&[u8]>) -> Result<Self, fastjson::ReadError> {
        let mut state = State::default();
        for config in own_topics(settings) {
            state.insert(config);
        }
        if let Some(text) = file {
            let file: TopicConfigTable = fastjson::read(text)?;
            state.version = file.data_version;
            for config in file.topic_config_table.into_values() {
                state.insert(config);
            }
        }
        Ok(Self {
            state: RwLock::new(state),
            generation: AtomicU64::new(1),
            changed: Notify::new(),
        })
    }

    /// A topic's configuration.
    pub fn get(&self, name: &str) -> Option<Arc<TopicConfig>> {
        self.state.read().table.get(name).cloned()
    }

    /// Changes with every change of any topic.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.state.read().table.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the topic is known and one of ordered messages.
    pub fn is_ordered(&self, name: &str) -> bool {
        self.get(name).is_some_and(|config| config.order)
    }

    /// The generation that topics.json must have before a message to this topic may be acknowledged; 0 if
    /// the file has the topic as it is.
    pub fn unsaved(&self, name: &str) -> u64 {
        self.state.read().unsaved.get(name).copied().unwrap_or(0)
    }

    /// topics.json was written with this generation.
    pub fn saved(&self, generation: u64) {
        self.state.write().unsaved.retain(|_, changed| generation < *changed);
    }

    /// All topics and their version.
    pub fn snapshot(&self) -> TopicsSnapshot {
        let state = self.state.read();
        TopicsSnapshot {
            topics: state.table.values().cloned().collect(),
            version: state.version,
            generation: self.generation(),
        }
    }

    /// Makes a topic that a producer sends to, from its template. `None` if the template is unknown or
    /// no template, or the broker has too many topics.
    pub fn create_on_send(
        &self,
        topic: &Topic,
        template: &str,
        (queues, sys_flag): (u32, i32),
        now: Millis,
    ) -> Option<Creation> {
        self.create(topic, now, |table| {
            let template = table.get(template)?;
            if !template.perm.allows(Perm::INHERIT) {
                return None;
            }
            let queues = queues.min(template.write_queue_nums);
            Some(TopicConfig {
                topic_filter_type: template.topic_filter_type,
                topic_sys_flag: sys_flag,
                ..plain(topic, queues, template.perm.without(Perm::INHERIT))
            })
        })
    }

    /// Makes a group's retry or dead-letter topic. `None` if the broker has too many topics.
    pub fn create_for_group(
        &self,
        topic: &Topic,
        queues: u32,
        sys_flag: i32,
        now: Millis,
    ) -> Option<Creation> {
        self.create(topic, now, |_| {
            Some(TopicConfig { topic_sys_flag: sys_flag, ..plain(topic, queues, Perm::READ_WRITE) })
        })
    }

    fn create(
        &self,
        topic: &Topic,
        now: Millis,
        make: impl FnOnce(&Table) -> Option<TopicConfig>,
    ) -> Option<Creation> {
        if let Some(config) = self.get(topic) {
            return Some(Creation::Found(config));
        }
        let mut state = self.state.write();
        if let Some(config) = state.table.get(topic) {
            return Some(Creation::Found(Arc::clone(config)));
        }
        if TOPICS_MAX <= state.table.len() {
            return None;
        }
        let config = Arc::new(make(&state.table)?);
        state.table.insert(topic.clone(), Arc::clone(&config));
        self.bump_topic(&mut state, topic.clone(), now);
        Some(Creation::Made(config))
    }

    /// Marks a group's retry topic as one of ordered messages, when an order topic is subscribed.
    pub fn mark_ordered(&self, topic: &Topic, now: Millis) {
        let mut state = self.state.write();
        let Some(config) = state.table.get_mut(topic) else { return };
        if !config.order {
            Arc::make_mut(config).order = true;
            self.bump(&mut state, now);
        }
    }

    /// Creates or replaces a topic as an admin asks. `changes` is the attributes' text, `+a=b,-c`.
    pub fn update(
        &self,
        mut config: TopicConfig,
        changes: &str,
        now: Millis,
    ) -> Result<(), Refusal> {
        for queues in [config.read_queue_nums, config.write_queue_nums] {
            if QUEUES_MAX < queues {
                return Err(Refusal::parameter(format_args!(
                    "{queues} queues are more than the {QUEUES_MAX} that a topic may have"
                )));
            }
        }
        let topic = refusal::topic(&config.topic_name)?;
        let mut state = self.state.write();
        let before = state.table.get(&topic);
        if before.is_none() && TOPICS_MAX <= state.table.len() {
            return Err(Refusal::system(format_args!(
                "the broker has {TOPICS_MAX} topics already"
            )));
        }
        config.attributes = attributes::changed(before.map(|old| &old.attributes), changes)?;
        state.table.insert(topic.clone(), Arc::new(config));
        self.bump_topic(&mut state, topic, now);
        Ok(())
    }

    /// Deletes a topic. False if there was none.
    pub fn delete(&self, topic: &str, now: Millis) -> bool {
        let mut state = self.state.write();
        if state.table.remove(topic).is_none() {
            return false;
        }
        self.bump(&mut state, now);
        true
    }

    /// Notes a change that is not in the table but shows in registrations, such as the broker's permission.
    pub fn touch(&self, now: Millis) {
        self.bump(&mut self.state.write(), now);
    }

    fn bump_topic(&self, state: &mut State, topic: Topic, now: Millis) {
        // Changes come one by one, under the lock of the state.
        state.unsaved.insert(topic, self.generation() + 1);
        self.bump(state, now);
    }

    fn bump(&self, state: &mut State, now: Millis) {
        state.version = state.version.next(now);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// The text of topics.json, and the generation that it shows.
    pub fn to_json(&self) -> Result<(Vec<u8>, u64), serde_json::Error> {
        let snapshot = self.snapshot();
        let file = TopicConfigTable {
            data_version: snapshot.version,
            topic_config_table: snapshot
                .topics
                .iter()
                .map(|config| (config.topic_name.clone(), TopicConfig::clone(config)))
                .collect(),
        };
        Ok((fastjson::pretty(&file)?, snapshot.generation))
    }
}

fn plain(topic: &str, queues: u32, perm: Perm) -> TopicConfig {
    TopicConfig {
        topic_name: topic.to_owned(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm,
        ..TopicConfig::default()
    }
}

/// The topics that every broker has, as `TopicConfigManager.init`.
fn own_topics(settings: &Settings) -> Vec<TopicConfig> {
    let with = |on: bool| if on { Perm::READ_WRITE.or(Perm::INHERIT) } else { Perm::INHERIT };
    let cluster = &settings.cluster;
    let mut wanted: Vec<(String, u32, Perm)> = vec![
        (system::SELF_TEST_TOPIC.into(), 1, Perm::READ_WRITE),
        (system::BENCHMARK_TOPIC.into(), BENCHMARK_QUEUES, Perm::READ_WRITE),
        (cluster.clone(), 16, with(settings.cluster_topic)),
        (settings.name.clone(), 1, with(settings.broker_topic)),
        (system::OFFSET_MOVED_EVENT.into(), 1, Perm::READ_WRITE),
        (system::SCHEDULE_TOPIC.into(), SCHEDULE_QUEUES, Perm::READ_WRITE),
        (format!("{cluster}_REPLY_TOPIC"), 1, Perm::READ_WRITE),
        (format!("rmq_sys_REVIVE_LOG_{cluster}"), settings.revive_queues, Perm::READ_WRITE),
        (format!("rmq_sys_SYNC_BROKER_MEMBER_{}", settings.name), 1, Perm::INHERIT),
        (system::TRANS_HALF_TOPIC.into(), 1, Perm::READ_WRITE),
        (system::TRANS_OP_HALF_TOPIC.into(), 1, Perm::READ_WRITE),
        ("rmq_sys_wheel_timer".into(), 1, Perm::READ_WRITE),
    ];
    if settings.auto_create_topic {
        wanted.push((AUTO_CREATE_TOPIC.into(), settings.default_queues, with(true)));
    }
    if settings.trace_topic {
        wanted.push((settings.trace_topic_name.clone(), 1, Perm::READ_WRITE));
    }
    wanted.into_iter().map(|(name, queues, perm)| plain(&name, queues, perm)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics::open(&Settings::default(), None).unwrap()
    }

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    #[test]
    fn a_topic_is_made_from_its_template() {
        let topics = topics();
        let made = topics.create_on_send(&topic("orders"), "TBW102", (4, 0), Millis(7)).unwrap();
        let Creation::Made(config) = made else { panic!("{made:?}") };
        assert_eq!(
            (config.read_queue_nums, config.write_queue_nums, config.perm),
            (4, 4, Perm::READ_WRITE)
        );
        let again = topics.create_on_send(&topic("orders"), "TBW102", (16, 0), Millis(8)).unwrap();
        assert_eq!(again, Creation::Found(config));
        let wide = topics.create_on_send(&topic("wide"), "TBW102", (100, 0), Millis(8)).unwrap();
        assert_eq!(wide.config().write_queue_nums, 8, "the template's queues are the most");
        assert_eq!(topics.create_on_send(&topic("x"), "orders", (4, 0), Millis(8)), None);
        assert_eq!(topics.create_on_send(&topic("x"), "nosuch", (4, 0), Millis(8)), None);
    }

    #[test]
    fn without_auto_creation_there_is_no_template() {
        let settings = Settings { auto_create_topic: false, ..Settings::default() };
        let topics = Topics::open(&settings, None).unwrap();
        assert_eq!(topics.create_on_send(&topic("x"), "TBW102", (4, 0), Millis(8)), None);
        assert!(
            topics.create_on_send(&topic("x"), "DefaultCluster", (4, 0), Millis(8)).is_some(),
            "the cluster's topic is a template too"
        );
    }

    #[test]
    fn each_change_is_a_new_version_and_generation() {
        let topics = topics();
        let before = topics.snapshot();
        topics.create_for_group(&topic("%RETRY%g"), 1, 0, Millis(9));
        let after = topics.snapshot();
        assert!(before.generation < after.generation);
        assert_eq!(after.version.counter, before.version.counter + 1);
        topics.create_for_group(&topic("%RETRY%g"), 1, 0, Millis(9));
        assert_eq!(topics.generation(), after.generation, "nothing new");
        topics.mark_ordered(&topic("%RETRY%g"), Millis(9));
        assert!(topics.is_ordered("%RETRY%g"));
        assert!(topics.delete("%RETRY%g", Millis(9)));
        assert!(!topics.delete("%RETRY%g", Millis(9)));
    }

    #[test]
    fn the_file_is_read_as_it_was_written_and_as_java_writes_it() {
        let topics = topics();
        topics.create_on_send(&topic("orders"), "TBW102", (4, 0), Millis(7));
        let (text, _) = topics.to_json().unwrap();
        let again = Topics::open(&Settings::default(), Some(&text)).unwrap();
        assert_eq!(again.snapshot().version, topics.snapshot().version);
        assert_eq!(again.get("orders"), topics.get("orders"));
        let java = br#"{
	"dataVersion":{
		"counter":3,
		"stateVersion":0,
		"timestamp":1700000000000
	},
	"topicConfigTable":{
		"orders":{
			"attributes":{
				"message.type":"NORMAL"
			},
			"order":true,
			"perm":6,
			"readQueueNums":2,
			"topicFilterType":"SINGLE_TAG",
			"topicName":"orders",
			"topicSysFlag":0,
			"writeQueueNums":3
		}
	}
}"#;
        let read = Topics::open(&Settings::default(), Some(java)).unwrap();
        let config = read.get("orders").unwrap();
        assert_eq!((config.read_queue_nums, config.write_queue_nums, config.order), (2, 3, true));
        assert_eq!(read.snapshot().version.counter, 3);
        assert!(read.get("TBW102").is_some(), "the broker's own topics are there all the same");
    }

    #[test]
    fn an_update_keeps_attributes_unless_it_changes_them() {
        let topics = topics();
        let config = || plain("t", 4, Perm::READ_WRITE);
        topics.update(config(), "+message.type=FIFO", Millis(1)).unwrap();
        topics.update(TopicConfig { write_queue_nums: 8, ..config() }, "", Millis(1)).unwrap();
        let now = topics.get("t").unwrap();
        assert_eq!(now.write_queue_nums, 8);
        assert_eq!(now.attributes.get("message.type").map(String::as_str), Some("FIFO"));
        let wide = TopicConfig { read_queue_nums: QUEUES_MAX + 1, ..config() };
        assert_eq!(topics.update(wide, "", Millis(1)).unwrap_err().code.0, 29);
    }
}
