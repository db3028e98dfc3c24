//! Delayed messages: they wait in `SCHEDULE_TOPIC_XXXX`, one queue per delay level, and are stored once
//! more under their real topic when their time has come.
//!
//! Within a level all messages wait equally long, so each queue is in the order of delivery and one
//! position per level is all the state there is (delayOffset.json, offsets of the next message). After
//! a crash the messages since the last write of that file are delivered again; none is lost.

use std::collections::BTreeMap;

use gantry_model::{Millis, QueueId, QueueOffset, Record, properties::name};
use gantry_remoting::wire::body::DataVersion;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{fastjson, system};

mod deliver;

pub use deliver::run;

/// Java's default of `messageDelayLevel`. Recovery knows no settings; the broker itself goes by the store
/// time and its own levels, so that other levels cost nothing here.
const JAVA_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

/// A level from 1 on. 0 is "no delay" and never a `Level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u32);

impl Level {
    /// The queue of the level.
    #[must_use]
    pub const fn queue(self) -> QueueId {
        QueueId(self.0 - 1)
    }

    /// The level's number, from 1 on.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The delays of the levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayLevels(Vec<Millis>);

/// The text of `messageDelayLevel` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("messageDelayLevel: \"{0}\" is no delay; wanted are numbers with s, m, h or d behind them")]
pub struct BadDelay(String);

impl DelayLevels {
    /// Reads `messageDelayLevel`: numbers with their unit, separated by blanks.
    pub fn parse(text: &str) -> Result<Self, BadDelay> {
        let delays: Option<Vec<_>> = text.split_whitespace().map(delay).collect();
        let delays = delays.filter(|delays| !delays.is_empty());
        delays.map(Self).ok_or_else(|| BadDelay(text.into()))
    }

    /// The level that a message asks for, at most the highest; `None` if it asks for none.
    #[must_use]
    pub fn level(&self, asked: u32) -> Option<Level> {
        let highest = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        (asked != 0).then(|| Level(asked.min(highest)))
    }

    /// All levels.
    pub fn levels(&self) -> impl Iterator<Item = Level> + use<> {
        let highest = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        (1..=highest).map(Level)
    }

    /// How long messages of a level wait.
    #[must_use]
    pub fn delay(&self, level: Level) -> Millis {
        let place = usize::try_from(level.0 - 1).unwrap_or(usize::MAX);
        self.0.get(place).copied().unwrap_or_default()
    }
}

fn delay(text: &str) -> Option<Millis> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let factor = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor).map(Millis)
}

/// The code that a consume queue holds for a record that recovery finds: the tags hash, or for delayed
/// messages when they are due, as Java's queues have it.
#[must_use]
pub fn code_of(record: &Record<'_>) -> i64 {
    if record.topic != system::SCHEDULE_TOPIC {
        return gantry_store::code_of(record);
    }
    let asked = record.properties.get(name::DELAY).and_then(|level| level.parse().ok());
    let levels = DelayLevels::parse(JAVA_LEVELS).ok();
    let delay =
        levels.zip(asked).and_then(|(levels, asked)| Some(levels.delay(levels.level(asked)?)));
    i64::try_from(record.stored.plus(delay.unwrap_or_default().0).0).unwrap_or(i64::MAX)
}

/// When a message is to be delivered. A clock that was set back must not make anybody wait for longer
/// than the level's delay.
#[must_use]
pub fn due(stored: Millis, delay: Millis, now: Millis) -> Millis {
    stored.plus(delay.0).min(now.plus(delay.0))
}

/// The next message of each level.
#[derive(Debug, Default)]
pub struct DelayOffsets {
    state: Mutex<DelayFile>,
}

/// The form of delayOffset.json.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DelayFile {
    #[serde(default)]
    data_version: DataVersion,
    #[serde(default)]
    offset_table: BTreeMap<String, u64>,
}

/// The same with numbers as keys, which is how fastjson writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DelayFileWritten {
    data_version: DataVersion,
    offset_table: BTreeMap<u32, u64>,
}

impl DelayOffsets {
    /// Reads the text of delayOffset.json.
    pub fn from_json(text: &[u8]) -> Result<Self, fastjson::ReadError> {
        Ok(Self { state: Mutex::new(fastjson::read(text)?) })
    }

    /// The text of delayOffset.json.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let state = self.state.lock().clone();
        let offsets = state.offset_table.into_iter();
        fastjson::pretty(&DelayFileWritten {
            data_version: state.data_version,
            offset_table: offsets
                .filter_map(|(level, offset)| Some((level.parse().ok()?, offset)))
                .collect(),
        })
    }

    /// The next message of a level.
    pub fn next(&self, level: Level) -> QueueOffset {
        let state = self.state.lock();
        QueueOffset(state.offset_table.get(&level.0.to_string()).copied().unwrap_or(0))
    }

    /// Notes how far a level has been delivered.
    pub fn advance(&self, level: Level, next: QueueOffset, now: Millis) {
        let mut state = self.state.lock();
        state.offset_table.insert(level.0.to_string(), next.0);
        state.data_version = state.data_version.next(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_levels_are_read() {
        let levels =
            DelayLevels::parse("1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h")
                .unwrap();
        assert_eq!(levels.levels().count(), 18);
        let delay = |asked| levels.level(asked).map(|level| levels.delay(level).0);
        assert_eq!(delay(0), None);
        assert_eq!(delay(1), Some(1_000));
        assert_eq!(delay(5), Some(60_000));
        assert_eq!(delay(18), Some(7_200_000));
        assert_eq!(delay(99), Some(7_200_000), "clamped");
        assert_eq!(levels.level(3).map(Level::queue), Some(QueueId(2)));
        for bad in ["", "5", "5x", "s", "1s two", "99999999999999999999s"] {
            assert!(DelayLevels::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_delay() {
        assert_eq!(due(Millis(100), Millis(50), Millis(120)), Millis(150));
        assert_eq!(
            due(Millis(9_000), Millis(50), Millis(120)),
            Millis(170),
            "the clock was set back"
        );
    }

    #[test]
    fn the_file_is_as_java_writes_and_reads_it() {
        let java = b"{\n\t\"dataVersion\":{\n\t\t\"counter\":2,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":7\n\t},\n\t\"offsetTable\":{3:15,12:1\n\t}\n}";
        let offsets = DelayOffsets::from_json(java).unwrap();
        let levels = DelayLevels::parse("1s 5s 10s").unwrap();
        let third = levels.level(3).unwrap();
        assert_eq!(offsets.next(third), QueueOffset(15));
        assert_eq!(offsets.next(levels.level(1).unwrap()), QueueOffset(0));
        offsets.advance(third, QueueOffset(16), Millis(8));
        let text = String::from_utf8(offsets.to_json().unwrap()).unwrap();
        assert!(text.ends_with("\"offsetTable\":{\n\t\t3:16,\n\t\t12:1\n\t}\n}"), "{text}");
    }
}
