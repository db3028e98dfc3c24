//! The files under `config/`: read at start, written when what they hold has changed.
//!
//! Writing happens on a thread that may wait, one file at a time; each write is atomic and durable, with
//! the version before it as `.bak` (chassis `durable`). Topics and groups are written at once after a
//! change, many changes together if they come faster than the disk; offsets every few seconds.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_chassis::durable;
use parking_lot::Mutex;

use crate::{
    broker::Broker, config::Settings, fastjson::ReadError, groups::Groups, offsets::Offsets,
    schedule::DelayOffsets, topics::Topics,
};

/// What the files held.
pub struct Loaded {
    /// topics.json
    pub topics: Topics,
    /// subscriptionGroup.json
    pub groups: Groups,
    /// consumerOffset.json
    pub offsets: Offsets,
    /// delayOffset.json
    pub delays: DelayOffsets,
}

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// The files of the broker with this root directory.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { dir: Path::new(&settings.root).join("config") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads all files. A file that is damaged is read from its `.bak`; if both are, this fails and names
    /// the file, and nothing is overwritten.
    pub fn load(&self, settings: &Settings) -> io::Result<Loaded> {
        Ok(Loaded {
            topics: self
                .read("topics.json", |text| Topics::open(settings, Some(text)))?
                .map_or_else(|| Topics::open(settings, None).map_err(io::Error::other), Ok)?,
            groups: self
                .read("subscriptionGroup.json", |text| Groups::open(Some(text)))?
                .map_or_else(|| Groups::open(None).map_err(io::Error::other), Ok)?,
            offsets: self.read("consumerOffset.json", Offsets::from_json)?.unwrap_or_default(),
            delays: self.read("delayOffset.json", DelayOffsets::from_json)?.unwrap_or_default(),
        })
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl Fn(&[u8]) -> Result<T, ReadError>,
    ) -> io::Result<Option<T>> {
        durable::read(&self.path(name), read)
    }

    fn replace(&self, name: &str, text: Result<Vec<u8>, serde_json::Error>) -> io::Result<()> {
        durable::replace(&self.path(name), &text?)
    }
}

/// What was written last, so that nothing is written twice.
#[derive(Debug, Default)]
struct Written {
    topics: u64,
    groups: u64,
    offsets: Option<Vec<u8>>,
    delays: Option<Vec<u8>>,
}

/// Writes the files.
#[derive(Debug)]
pub struct Writer {
    files: Files,
    written: Mutex<Written>,
    failures: AtomicU64,
}

/// Which files to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Topics and groups.
    Tables,
    /// All.
    All,
}

impl Writer {
    /// A writer of the files that were loaded.
    #[must_use]
    pub fn new(files: Files) -> Self {
        Self { files, written: Mutex::default(), failures: AtomicU64::new(0) }
    }

    /// Writes what has changed. Waits for the disk.
    pub fn write(&self, broker: &Arc<Broker>, which: Which) -> io::Result<()> {
        let mut written = self.written.lock();
        if written.topics != broker.topics.generation() {
            written.topics = self.write_topics(broker)?;
        }
        if written.groups != broker.groups.generation() {
            let (text, generation) = broker.groups.to_json()?;
            self.files.replace("subscriptionGroup.json", Ok(text))?;
            written.groups = generation;
        }
        if which == Which::Tables {
            return Ok(());
        }
        let offsets = broker.offsets.to_json()?;
        if written.offsets.as_ref() != Some(&offsets) {
            durable::replace(&self.files.path("consumerOffset.json"), &offsets)?;
            written.offsets = Some(offsets);
        }
        let delays = broker.delay_offsets.to_json()?;
        if written.delays.as_ref() != Some(&delays) {
            durable::replace(&self.files.path("delayOffset.json"), &delays)?;
            written.delays = Some(delays);
        }
        Ok(())
    }

    /// Writes topics.json and releases what waits for it. Returns the generation that the file has now.
    fn write_topics(&self, broker: &Arc<Broker>) -> io::Result<u64> {
        let (text, generation) = broker.topics.to_json()?;
        match self.files.replace("topics.json", Ok(text)) {
            Ok(()) => {
                broker.topics.saved(generation);
                broker.held.saved(broker, generation);
                Ok(generation)
            }
            Err(error) => {
                broker.held.failed(broker, generation);
                Err(error)
            }
        }
    }

    /// Writes at changes and every `flushConsumerOffsetInterval`, until the task is dropped.
    pub async fn run(broker: Arc<Broker>) {
        let mut every = tokio::time::interval(Duration::from_millis(broker.fixed.flush_offsets));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut which = Which::All;
        loop {
            // Made before the write: a change during it is not missed.
            let topics = broker.topics.changed.notified();
            let groups = broker.groups.changed.notified();
            // Logged where it fails, and tried again.
            let _logged = Self::write_aside(&broker, which).await;
            which = tokio::select! {
                () = topics => Which::Tables,
                () = groups => Which::Tables,
                _ = every.tick() => Which::All,
            };
        }
    }

    /// Writes on a thread that may wait. Says whether it went well; a failure is logged, and what was not
    /// written is written with the next change or tick.
    pub async fn write_aside(broker: &Arc<Broker>, which: Which) -> io::Result<()> {
        let inner = Arc::clone(broker);
        let done = tokio::task::spawn_blocking(move || inner.writer.write(&inner, which)).await;
        let result = done.map_err(io::Error::other).flatten();
        if let Err(error) = &result {
            // A full disk would fill the log too, every few seconds.
            if broker.writer.failures.fetch_add(1, Ordering::Relaxed).is_multiple_of(100) {
                tracing::error!(%error, "the files under config/ cannot be written");
            }
        }
        result
    }
}
