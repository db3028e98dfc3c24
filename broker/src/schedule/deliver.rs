//! The task that delivers delayed messages: for each level, what is due is stored under its real topic
//! and queue, then the level's position moves on.
//!
//! It sleeps until the next message is due or one is stored, and costs nothing while no message waits.

use std::{sync::Arc, time::Duration};

use gantry_model::{
    Draft, Millis, PhysicalOffset, QueueId, QueueOffset, Record, Topic,
    properties::{self, Properties, name},
    record::Check,
    tags::tags_code,
};
use gantry_store::{Batch, Limits, QueueHandle, Tags, disk::Wait};

use tokio_util::sync::CancellationToken;

use super::{Level, due};
use crate::{broker::Broker, system};

/// Messages of one level that are delivered in one go.
const BATCH_MESSAGES: u32 = 256;
/// Bytes of those.
const BATCH_BYTES: u64 = 1 << 20;
/// How long the task waits after a failure, such as a full disk.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The longest sleep: a clock that was set forward is noticed so late.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There may be more that is due.
    Now,
    /// Then the next message is due.
    At(Millis),
    /// When a message is stored.
    Idle,
    /// After a while: something failed.
    Later,
}

impl Next {
    fn earlier(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, _) | (_, Self::Now) => Self::Now,
            (Self::At(a), Self::At(b)) => Self::At(a.min(b)),
            (Self::Later, Self::At(_) | Self::Idle | Self::Later)
            | (Self::At(_) | Self::Idle, Self::Later) => Self::Later,
            (Self::At(at), Self::Idle) | (Self::Idle, Self::At(at)) => Self::At(at),
            (Self::Idle, Self::Idle) => Self::Idle,
        }
    }
}

/// Delivers until it is to stop.
pub async fn run(broker: Arc<Broker>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let inner = Arc::clone(&broker);
        let next = tokio::task::spawn_blocking(move || deliver_all(&inner)).await;
        let next = next.unwrap_or(Next::Later);
        stop.run_until_cancelled(pause(&broker, next)).await;
    }
}

async fn pause(broker: &Broker, next: Next) {
    match next {
        Next::Now => {}
        Next::At(moment) => {
            let sleep = Duration::from_millis(moment.since(broker.now())).min(SLEEP_MAX);
            // A message of a shorter level may be due before.
            let _due = tokio::time::timeout(sleep, broker.delayed.notified()).await;
        }
        Next::Idle => broker.delayed.notified().await,
        Next::Later => tokio::time::sleep(AFTER_FAILURE).await,
    }
}

fn deliver_all(broker: &Arc<Broker>) -> Next {
    let mut next = Next::Idle;
    for level in broker.delays.levels() {
        next = next.earlier(deliver(broker, level));
    }
    next
}

/// Delivers what of a level is due.
fn deliver(broker: &Arc<Broker>, level: Level) -> Next {
    let Ok(topic) = Topic::new(system::SCHEDULE_TOPIC) else { return Next::Idle };
    // Made if missing, which costs no file: only a queue that exists can be watched.
    let Ok(queue) = broker.queue(&topic, level.queue()) else { return Next::Later };
    let from = broker.delay_offsets.next(level);
    // Watch before looking: what is stored after the look wakes the task.
    queue.watch();
    let limits =
        Limits { messages: BATCH_MESSAGES, bytes: BATCH_BYTES, visible: broker.store.visible() };
    let mut all = |_: i64| true;
    let pull = match broker.store.read(&queue, from, limits, (&mut all, Wait::Disk)) {
        Ok(pull) => pull,
        Err(error) => {
            tracing::error!(level = level.number(), %error, "delayed messages cannot be read");
            return Next::Later;
        }
    };
    if pull.next < from || (pull.count == 0 && from < pull.next) {
        // Deleted with the log, or a position from before: go on where there are messages.
        broker.delay_offsets.advance(level, pull.next.max(pull.min).min(pull.max), broker.now());
        return if pull.next < pull.max { Next::Now } else { Next::Idle };
    }
    put_due(broker, level, (from, &pull.pieces))
}

fn put_due(
    broker: &Arc<Broker>,
    level: Level,
    (from, pieces): (QueueOffset, &[bytes::Bytes]),
) -> Next {
    let delay = broker.delays.delay(level);
    let mut batch = Batch::default();
    let mut waits = None;
    let mut passed = from;
    'pieces: for piece in pieces {
        let mut rest: &[u8] = piece;
        while !rest.is_empty() {
            let Ok(record) = Record::parse(rest, Check::Trust) else { break 'pieces };
            let moment = due(record.stored, delay, broker.now());
            if broker.now() < moment {
                waits = Some(moment);
                break 'pieces;
            }
            if let Err(error) = put(broker, &mut batch, &record) {
                tracing::warn!(position = %record.position, %error, "delayed message dropped");
            }
            passed = record.offset.plus(1);
            rest = rest.get(record.len..).unwrap_or_default();
        }
    }
    if !batch.is_empty() && !append(broker, batch) {
        return Next::Later;
    }
    if from < passed {
        broker.delay_offsets.advance(level, passed, broker.now());
    }
    match waits {
        Some(moment) => Next::At(moment),
        None if from < passed => Next::Now,
        None => Next::Idle,
    }
}

/// Stores the batch and waits until it is stored.
fn append(broker: &Arc<Broker>, batch: Batch) -> bool {
    let (done, stored) = std::sync::mpsc::channel();
    let own = broker.store.append(batch, || {
        Box::new(move |appended: gantry_store::Appended| {
            // Whoever waits is this function, which waits for exactly this.
            let _waits = done.send(appended.refusal());
        })
    });
    let refusal = match own {
        Some(appended) => appended.refusal(),
        None => stored.recv().unwrap_or(Some(gantry_store::Refusal::Failed)),
    };
    if let Some(refusal) = refusal {
        tracing::warn!(%refusal, "delayed messages have to wait");
    }
    refusal.is_none()
}

/// Why a delayed message cannot be delivered.
#[derive(Debug, thiserror::Error)]
enum Undeliverable {
    #[error("it does not say where to")]
    Nowhere,
    #[error("{0}")]
    Refused(String),
}

fn put(broker: &Arc<Broker>, batch: &mut Batch, record: &Record<'_>) -> Result<(), Undeliverable> {
    let topic = record.properties.get(name::REAL_TOPIC).ok_or(Undeliverable::Nowhere)?;
    let queue = record.properties.get(name::REAL_QID).and_then(|queue| queue.parse().ok());
    let queue = QueueId(queue.ok_or(Undeliverable::Nowhere)?);
    let refused = |why: &dyn std::fmt::Display| Undeliverable::Refused(why.to_string());
    let topic = Topic::new(topic).map_err(|error| refused(&error))?;
    let handle: QueueHandle =
        broker.queue(&topic, queue).map_err(|refusal| refused(&refusal.remark))?;
    let mut kept = Vec::with_capacity(record.properties.as_bytes().len());
    properties::append_where(&mut kept, record.properties, |key| {
        !matches!(key, name::DELAY | name::WAIT | name::TIMER_DELIVER_MS | name::TIMER_DELAY_SEC)
    });
    let draft = Draft {
        topic: topic.as_str(),
        queue,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born: record.born,
        born_host: record.born_host,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared: PhysicalOffset::ZERO,
        body: record.body,
        properties: Properties::new(&kept),
    };
    let tags = Tags::Code(record.properties.get(name::TAGS).map_or(0, tags_code));
    batch.push(&handle, &draft, tags).map_err(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_wakes_for_whatever_comes_first() {
        let at = |moment| Next::At(Millis(moment));
        assert_eq!(Next::Idle.earlier(at(5)), at(5));
        assert_eq!(at(7).earlier(at(5)), at(5));
        assert_eq!(at(7).earlier(Next::Now), Next::Now);
        assert_eq!(at(7).earlier(Next::Later), Next::Later);
        assert_eq!(Next::Idle.earlier(Next::Idle), Next::Idle);
    }
}
