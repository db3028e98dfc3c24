//! What can be chosen about a store. Names in brackets are those of `broker.conf`.

use std::{path::PathBuf, time::SystemTime};

use gantry_model::{Millis, Record, properties, tags::tags_code};

/// What an answered append has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// The end of this process (`ASYNC_FLUSH`).
    Async,
    /// The end of power: answers wait for [`crate::Listener::flushed`] (`SYNC_FLUSH`).
    Sync,
}

/// A store's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of everything (`storePathRootDir`).
    pub root: PathBuf,
    /// Directory of the log; `commitlog` below the root if none (`storePathCommitLog`).
    pub commit_log: Option<PathBuf>,
    /// Bytes of a log file (`mappedFileSizeCommitLog`, 1 GiB). A directory keeps the size that it began with.
    pub segment_size: u64,
    /// Units of a consume-queue file (`mappedFileSizeConsumeQueue` / 20; 300,000). As above.
    pub queue_file_units: u64,
    /// `flushDiskType`.
    pub flush: Flush,
    /// Most time between two background flushes (`flushIntervalCommitLog`, 500 ms).
    pub flush_interval: Millis,
    /// Largest record in bytes (`maxMessageSize` + 64 KiB).
    pub record_max: usize,
    /// Age at which a log file may go (`fileReservedTime`, 72 h).
    pub reserved: Millis,
    /// Hours of the day, UTC offset applied by whoever sets them, in which aged files go (`deleteWhen`, 4).
    pub delete_hours: Vec<u8>,
    /// Usage of the disk in percent from which aged files go at any hour (`diskMaxUsedSpaceRatio`, 75).
    pub clean_percent: u8,
    /// Usage from which the oldest files go whatever their age (`diskSpaceCleanForciblyRatio`, 85); `None`: never
    /// (`cleanFileForciblyEnable=false`).
    pub clean_forcibly_percent: Option<u8>,
    /// Usage from which writes are refused (`diskSpaceWarningLevelRatio`, 90).
    pub full_percent: u8,
    /// Bytes behind the log's end that are read through a mapping; what is older is read into buffers.
    pub hot_bytes: u64,
    /// Most open files of consume queues and old segments together.
    pub open_files: usize,
    /// The code that a queue holds for a record, for records that recovery finds.
    pub tags_of: fn(&Record<'_>) -> i64,
    /// The hour of the day, 0 to 23, that [`Self::delete_hours`] means by a time.
    pub hour_of: fn(Millis) -> u8,
    /// The wall clock.
    pub clock: fn() -> Millis,
}

impl Settings {
    /// The defaults of Apache RocketMQ.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            commit_log: None,
            segment_size: 1 << 30,
            queue_file_units: 300_000,
            flush: Flush::Async,
            flush_interval: Millis(500),
            record_max: (4 << 20) + (64 << 10),
            reserved: Millis(72 * 3_600_000),
            delete_hours: vec![4],
            clean_percent: 75,
            clean_forcibly_percent: Some(85),
            full_percent: 90,
            hot_bytes: 256 << 20,
            open_files: 128,
            tags_of: code_of,
            hour_of: hour_utc,
            clock: now,
        }
    }
}

const HOUR: u64 = 3_600_000;
/// The topic whose queues hold times of delivery instead of tag hashes.
const DELAY_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Java's default `messageDelayLevel`, in seconds.
const DELAY_LEVELS: [u64; 18] =
    [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// What a queue holds for a record: the tags hash, 0 without tags; for the delay topic the time of delivery by Java's
/// default levels.
#[must_use]
pub fn code_of(record: &Record<'_>) -> i64 {
    let level =
        record.properties.get(properties::name::DELAY).filter(|_| record.topic == DELAY_TOPIC);
    if let Some(level) =
        level.and_then(|level| level.parse::<usize>().ok()).filter(|level| *level > 0)
    {
        let seconds = DELAY_LEVELS.get(level.min(DELAY_LEVELS.len()) - 1).copied().unwrap_or(0);
        return i64::try_from(record.stored.plus(seconds * 1000).0).unwrap_or(i64::MAX);
    }
    record.properties.get(properties::name::TAGS).map_or(0, tags_code)
}

/// The hour of the day, UTC.
fn hour_utc(at: Millis) -> u8 {
    u8::try_from(at.0 / HOUR % 24).unwrap_or(0)
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
