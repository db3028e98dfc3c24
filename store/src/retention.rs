//! Which log files may go: the oldest first, when they are old enough or the disk is too full. Never the one being written.

use std::{io, sync::Arc};

use gantry_model::Millis;

use crate::{
    disk::{DirEntry, Space},
    layout,
    log::{Log, Segment},
    queue::UNIT,
    queues::Queues,
    settings::Settings,
};

/// Most files that go in one round (`deleteFileBatchMax`).
const ROUND_MAX: usize = 10;

/// Used part of the disk in percent, rounded down.
pub(crate) const fn percent_used(space: Space) -> u64 {
    let total = if space.total == 0 { 1 } else { space.total };
    space.total.saturating_sub(space.free) * 100 / total
}

/// How long ago each of the log's files was written last, oldest file first.
pub(crate) fn ages(entries: &[DirEntry], segments: &[Arc<Segment>], now: Millis) -> Vec<Millis> {
    let modified = |segment: &Arc<Segment>| {
        let entry = entries.iter().find(|entry| layout::base_of(&entry.name) == Some(segment.base));
        entry.map_or(now, |entry| entry.modified)
    };
    segments.iter().map(|segment| Millis(now.since(modified(segment)))).collect()
}

/// How many of the oldest files may go now.
pub(crate) fn may_go(settings: &Settings, ages: &[Millis], space: Space, now: Millis) -> usize {
    let used = percent_used(space);
    let hour = (settings.hour_of)(now);
    let at_once = settings.clean_forcibly_percent.is_some_and(|limit| used > u64::from(limit));
    let due = settings.delete_hours.contains(&hour) || used > u64::from(settings.clean_percent);
    if !(due || at_once) {
        return 0;
    }
    let all_but_last = ages.len().saturating_sub(1);
    let candidates = ages.iter().take(all_but_last.min(ROUND_MAX));
    candidates.take_while(|age| at_once || **age >= settings.reserved).count()
}

/// Removes queue files that refer only to records that have gone, of the queues that were touched since the start.
pub(crate) fn drop_queue_files(queues: &Queues, log: &Log) -> io::Result<()> {
    let files = &queues.files;
    for queue in queues.all_touched() {
        let min = queues.min(log, &queue, crate::disk::Wait::Disk)?;
        let dir = files.layout.queue(queue.topic(), queue.id());
        for entry in files.disk.list(&dir)? {
            let Some(base) = layout::base_of(&entry.name) else { continue };
            let behind = base / UNIT + files.file_units;
            if behind <= min && behind < queue.end().0 {
                files.disk.remove(&dir.join(&entry.name))?;
                files.open.forget(queue.number());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    const HOUR: u64 = 3_600_000;

    use super::*;

    fn check(hour: u64, used: u64, ages: &[u64], expected: usize) {
        let settings = Settings { reserved: Millis(100), ..Settings::new("/s") };
        let ages: Vec<Millis> = ages.iter().copied().map(Millis).collect();
        let space = Space { total: 100, free: 100 - used };
        assert_eq!(may_go(&settings, &ages, space, Millis(hour * HOUR)), expected, "{hour} {used}");
    }

    #[test]
    fn aged_files_go_at_their_hour_or_when_the_disk_is_filling() {
        check(4, 10, &[300, 200, 50, 0], 2);
        check(5, 10, &[300, 200, 50, 0], 0);
        check(5, 76, &[300, 200, 50, 0], 2);
        check(5, 76, &[50, 200, 50, 0], 0);
    }

    #[test]
    fn any_file_but_the_last_goes_when_the_disk_is_nearly_full() {
        check(5, 86, &[50, 40, 0], 2);
        check(5, 86, &[50], 0);
        check(5, 86, &[1; 30], 10);
    }
}
