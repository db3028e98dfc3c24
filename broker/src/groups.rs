//! Consumer groups' settings: subscriptionGroup.json in memory, with the rules for creating them.
//!
//! Owns the table and its version; never touches a file and never blocks. What was disallowed between
//! groups and topics (`forbiddenTable`) is kept and written back; it is enforced for reads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gantry_model::{Group, Millis};
use gantry_remoting::wire::body::{DataVersion, SubscriptionGroupConfig, SubscriptionGroupTable};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::{
    fastjson,
    refusal::{self, Refusal},
    system,
};

/// Most groups of one broker.
pub const GROUPS_MAX: usize = 1_000_000;
/// The bit of a forbidden entry that denies reading (`PermName.INDEX_PERM_READ`).
const FORBIDDEN_READ_BIT: u32 = 2;

type Forbidden = BTreeMap<String, BTreeMap<String, i32>>;

/// All groups of the broker.
#[derive(Debug)]
pub struct Groups {
    state: RwLock<State>,
    generation: AtomicU64,
    /// Notified after each change.
    pub changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    table: HashMap<Group, Arc<SubscriptionGroupConfig>, foldhash::fast::RandomState>,
    forbidden: Forbidden,
    version: DataVersion,
}

impl State {
    /// Adds a group if its name is valid.
    fn insert(&mut self, config: SubscriptionGroupConfig) {
        match Group::new(&config.group_name) {
            Ok(group) => {
                self.table.insert(group, Arc::new(config));
            }
            Err(error) => tracing::warn!(group = config.group_name, %error, "group left out"),
        }
    }
}

fn plain(group: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig { group_name: group.to_owned(), ..SubscriptionGroupConfig::default() }
}

impl Groups {
    /// The groups of this subscriptionGroup.json, if there is one, and those that every broker has.
    pub fn open(file: Option<&[u8]>) -> Result<Self, fastjson::ReadError> {
        let mut state = State::default();
        for name in system::SYSTEM_GROUPS {
            state.insert(plain(name));
        }
        if let Some(text) = file {
            let file: SubscriptionGroupTable = fastjson::read(text)?;
            state.version = file.data_version;
            state.forbidden = file.forbidden_table;
            for config in file.subscription_group_table.into_values() {
                state.insert(config);
            }
        }
        let generation = AtomicU64::new(1);
        Ok(Self { state: RwLock::new(state), generation, changed: Notify::new() })
    }

    /// A group's settings.
    pub fn get(&self, name: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.state.read().table.get(name).cloned()
    }

    /// A group's settings; made with the defaults if `auto` allows it and the name is valid.
    pub fn find(
        &self,
        name: &str,
        auto: AutoCreate,
        now: Millis,
    ) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(config) = self.get(name) {
            return Some(config);
        }
        if auto == AutoCreate::No && !system::is_system_group(name) {
            return None;
        }
        let group = Group::new(name).ok()?;
        let mut state = self.state.write();
        if GROUPS_MAX <= state.table.len() {
            return None;
        }
        let config = Arc::clone(state.table.entry(group).or_insert_with(|| Arc::new(plain(name))));
        self.bump(&mut state, now);
        Some(config)
    }

    /// Creates or replaces a group as an admin asks.
    pub fn update(&self, config: SubscriptionGroupConfig, now: Millis) -> Result<(), Refusal> {
        let group = refusal::group(&config.group_name)?;
        let mut state = self.state.write();
        if GROUPS_MAX <= state.table.len() && !state.table.contains_key(&group) {
            return Err(Refusal::system(format_args!(
                "the broker has {GROUPS_MAX} groups already"
            )));
        }
        state.table.insert(group, Arc::new(config));
        self.bump(&mut state, now);
        Ok(())
    }

    /// Deletes a group. False if there was none.
    pub fn delete(&self, name: &str, now: Millis) -> bool {
        let mut state = self.state.write();
        if state.table.remove(name).is_none() {
            return false;
        }
        state.forbidden.remove(name);
        self.bump(&mut state, now);
        true
    }

    /// Whether the group was denied reading the topic.
    pub fn is_read_forbidden(&self, group: &str, topic: &str) -> bool {
        let state = self.state.read();
        let bits = state.forbidden.get(group).and_then(|topics| topics.get(topic));
        bits.is_some_and(|bits| bits >> FORBIDDEN_READ_BIT & 1 == 1)
    }

    /// Allows or forbids a group to read a topic.
    pub fn allow_reading(&self, group: &str, topic: &str, may: Reading, now: Millis) {
        let mut state = self.state.write();
        let bits =
            state.forbidden.entry(group.into()).or_default().entry(topic.into()).or_default();
        let bit = 1 << FORBIDDEN_READ_BIT;
        *bits = if may == Reading::Allowed { *bits & !bit } else { *bits | bit };
        self.bump(&mut state, now);
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.state.read().table.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes with every change of any group.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Everything, as the file has it, and its generation.
    pub fn to_file(&self) -> (SubscriptionGroupTable, u64) {
        let state = self.state.read();
        let table = state.table.iter();
        let file = SubscriptionGroupTable {
            data_version: state.version,
            forbidden_table: state.forbidden.clone(),
            subscription_group_table: table
                .map(|(group, config)| (group.to_string(), SubscriptionGroupConfig::clone(config)))
                .collect(),
        };
        (file, self.generation())
    }

    /// The text of subscriptionGroup.json, and the generation that it shows.
    pub fn to_json(&self) -> Result<(Vec<u8>, u64), serde_json::Error> {
        let (file, generation) = self.to_file();
        Ok((fastjson::pretty(&file)?, generation))
    }

    fn bump(&self, state: &mut State, now: Millis) {
        state.version = state.version.next(now);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

/// Whether a group may read a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It may.
    Allowed,
    /// It may not.
    Forbidden,
}

impl From<bool> for Reading {
    fn from(readable: bool) -> Self {
        if readable { Self::Allowed } else { Self::Forbidden }
    }
}

/// Whether an unknown group may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCreate {
    /// It may.
    Yes,
    /// Only the broker's own.
    No,
}

impl From<bool> for AutoCreate {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_when_first_seen_if_allowed() {
        let groups = Groups::open(None).unwrap();
        let before = groups.generation();
        assert!(groups.find("g", AutoCreate::No, Millis(1)).is_none());
        assert!(groups.find("bad name", AutoCreate::Yes, Millis(1)).is_none());
        assert_eq!(groups.generation(), before);
        let made = groups.find("g", AutoCreate::Yes, Millis(1)).unwrap();
        assert_eq!((made.retry_queue_nums, made.retry_max_times), (1, 16));
        assert!(before < groups.generation());
        assert!(groups.find("TOOLS_CONSUMER", AutoCreate::No, Millis(1)).is_some());
    }

    #[test]
    fn the_file_is_read_as_it_was_written_and_as_java_writes_it() {
        let java = br#"{
	"dataVersion":{
		"counter":1,
		"stateVersion":0,
		"timestamp":1700000000000
	},
	"forbiddenTable":{
		"g":{
			"t":4
		}
	},
	"subscriptionGroupTable":{
		"g":{
			"attributes":{},
			"brokerId":0,
			"consumeBroadcastEnable":true,
			"consumeEnable":false,
			"consumeFromMinEnable":true,
			"consumeMessageOrderly":false,
			"consumeTimeoutMinute":15,
			"groupName":"g",
			"groupRetryPolicy":{
				"type":"CUSTOMIZED"
			},
			"groupSysFlag":0,
			"notifyConsumerIdsChangedEnable":true,
			"retryMaxTimes":3,
			"retryQueueNums":1,
			"whichBrokerWhenConsumeSlowly":1
		}
	}
}"#;
        let groups = Groups::open(Some(java)).unwrap();
        let config = groups.get("g").unwrap();
        assert_eq!((config.consume_enable, config.retry_max_times), (false, 3));
        assert!(groups.is_read_forbidden("g", "t") && !groups.is_read_forbidden("g", "u"));
        let (text, _) = groups.to_json().unwrap();
        let again = Groups::open(Some(&text)).unwrap();
        assert_eq!(again.get("g"), groups.get("g"));
        assert_eq!(again.to_file().0.data_version, groups.to_file().0.data_version);
        assert!(again.is_read_forbidden("g", "t"));
        assert!(groups.delete("g", Millis(1)) && !groups.delete("g", Millis(1)));
    }
}
