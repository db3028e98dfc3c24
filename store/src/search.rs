//! Offsets by time: binary search of a queue's units, each step reading the store time in the record's head.

use gantry_model::{Millis, QueueOffset};

use crate::{
    disk::Wait,
    log::Log,
    queue::QueueHandle,
    queues::{Queues, partition},
    read::ReadError,
};

/// Which offset a time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// The first message stored at or after the time; the queue's end if there is none.
    #[default]
    Lower,
    /// The last message stored at or before the time; 0 if there is none, as Java answers.
    Upper,
}

/// Bytes of a record up to its store time at most.
const HEAD: usize = 76;

/// See [`crate::Store::offset_by_time`].
pub(crate) fn offset_by_time(
    (queues, log): (&Queues, &Log),
    queue: &QueueHandle,
    time: Millis,
    boundary: Boundary,
) -> Result<QueueOffset, ReadError> {
    let failed = |e| ReadError::io(format!("queue {queue:?}"), e);
    let min = queues.min(log, queue, Wait::Disk).map_err(failed)?;
    let end = queue.end().0;
    let earlier = |offset| -> std::io::Result<bool> {
        let stored = stored_at(queues, log, queue, offset)?;
        // What can't be read any more is older than everything.
        Ok(stored.is_none_or(|stored| match boundary {
            Boundary::Lower => stored < time,
            Boundary::Upper => stored <= time,
        }))
    };
    let found = partition(min, end, earlier).map_err(failed)?;
    Ok(QueueOffset(match boundary {
        Boundary::Lower => found,
        Boundary::Upper if found == min => 0,
        Boundary::Upper => found - 1,
    }))
}

/// See [`crate::Store::stored_time`].
pub(crate) fn stored_time(
    (queues, log): (&Queues, &Log),
    queue: &QueueHandle,
    offset: QueueOffset,
) -> Result<Option<Millis>, ReadError> {
    if offset >= queue.end() {
        return Ok(None);
    }
    stored_at(queues, log, queue, offset.0)
        .map_err(|e| ReadError::io(format!("queue {queue:?}"), e))
}

fn stored_at(
    queues: &Queues,
    log: &Log,
    queue: &QueueHandle,
    offset: u64,
) -> std::io::Result<Option<Millis>> {
    let Some(unit) = queues.files.unit(queue, offset, Wait::Disk)? else { return Ok(None) };
    if !unit.is_message() || unit.position < log.min() || (unit.size as usize) < HEAD {
        return Ok(None);
    }
    let head = log.read(unit.position, HEAD, Wait::Disk)?;
    let born_v6 = head.get(39).is_some_and(|low| low & 0x10 != 0);
    let at = if born_v6 { 68 } else { 56 };
    let time = head.get(at..).and_then(|rest| rest.first_chunk());
    Ok(time.map(|time| Millis(u64::from_be_bytes(*time))))
}
