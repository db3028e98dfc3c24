//! Names below a store's root, as Apache RocketMQ has them, and our own two directories beside them: `spares/` (log files
//! to be used again) and `aside/` (bytes that recovery had to cut off, kept for people).

use std::path::{Path, PathBuf};

use gantry_model::{QueueId, Topic};

use crate::{disk::join, settings::Settings};

/// Digits of a file name: the position of its first byte.
const DIGITS: usize = 20;

/// The paths of a store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) queues: PathBuf,
    pub(crate) spares: PathBuf,
    pub(crate) aside: PathBuf,
    pub(crate) checkpoint: PathBuf,
    pub(crate) abort: PathBuf,
    pub(crate) lock: PathBuf,
}

impl Layout {
    pub(crate) fn new(settings: &Settings) -> Self {
        let root = &settings.root;
        let at = |name: &str| join(root, &[name]);
        let log = settings.commit_log.clone().unwrap_or_else(|| at("commitlog"));
        // Beside the log, so that renaming stays on one file system.
        let near_log = |name: &str| log.parent().unwrap_or(root).join(name);
        Self {
            root: root.clone(),
            spares: near_log("spares"),
            aside: near_log("aside"),
            queues: at("consumequeue"),
            checkpoint: at("checkpoint"),
            abort: at("abort"),
            lock: at("lock"),
            log,
        }
    }

    pub(crate) fn topic(&self, topic: &Topic) -> PathBuf {
        join(&self.queues, &[topic])
    }

    pub(crate) fn queue(&self, topic: &Topic, id: QueueId) -> PathBuf {
        join(&self.queues, &[topic, &id.to_string()])
    }
}

/// The file that begins at byte `base`.
pub(crate) fn file(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:0DIGITS$}"))
}

/// The position that a file's name gives; none if it is no such name.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_twenty_digits() {
        assert_eq!(file(Path::new("/s"), 1 << 30), Path::new("/s/00000000001073741824"));
        assert_eq!(base_of("00000000001073741824"), Some(1 << 30));
        for other in
            ["1073741824", "0000000000107374182x", "+0000000001073741824", "99999999999999999999"]
        {
            assert_eq!(base_of(other), None, "{other}");
        }
    }
}
