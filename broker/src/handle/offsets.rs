//! Offsets of groups and of queues: requests 14, 15, 29 to 32 and 222.

use std::collections::BTreeMap;

use gantry_model::{
    Millis, QueueId, QueueOffset,
    record::{Check, Record},
};
use gantry_remoting::wire::{
    Answer, MaybeNegative, NoFields, ResponseCode,
    body::{self, MessageQueue, QueueOffsets, TopicConfig},
    request::{
        client::ResetOffset,
        consume::{
            Boundary, GetMaxOffset, OfQueue, OffsetReply, QueryConsumerOffset, SearchOffset,
            StoreTimeReply, UpdateConsumerOffset,
        },
    },
};
use gantry_store::{Limits, QueueHandle, disk::Wait};

use super::Call;
use crate::{
    broker::{Broker, unreadable},
    refusal::{self, Refusal},
};

/// How far a group has come in a queue. Where it never committed, a young queue begins at 0 and any other
/// is "not found", upon which the client decides.
pub fn query(call: &mut Call<'_>, ask: &QueryConsumerOffset<'_>) {
    let position = call.broker.offsets.position(ask.consumer_group, ask.topic, ask.queue_id);
    if let Some(offset) = position.committed {
        return call.answer(Ok(Answer::with(OffsetReply { offset: offset.into() })));
    }
    let not_found = || {
        Refusal::new(
            ResponseCode::QUERY_NOT_FOUND,
            "Not found, maybe this group consumer boot first",
        )
    };
    let topic = match refusal::topic(ask.topic) {
        Ok(topic) if ask.set_zero_if_not_found != Some(false) => topic,
        Ok(_) | Err(_) => return call.answer::<NoFields>(Err(not_found())),
    };
    let queue = ask.queue_id;
    call.later(move |broker| {
        let young = match broker.existing_queue(&topic, queue)? {
            None => true,
            Some(handle) => is_young(broker, &handle)?,
        };
        if !young {
            return Err(not_found());
        }
        Ok(Answer::with(OffsetReply { offset: QueueOffset::ZERO.into() }))
    });
}

/// Whether the queue still has its first message, and near enough to the log's end to count as recent.
fn is_young(broker: &Broker, queue: &QueueHandle) -> Result<bool, Refusal> {
    let disk = |error| unreadable(&error);
    if queue.end() == QueueOffset::ZERO {
        return Ok(true);
    }
    if broker.store.min_offset(queue, Wait::Disk).map_err(disk)? != QueueOffset::ZERO {
        return Ok(false);
    }
    let limits = Limits { messages: 1, bytes: 1, visible: broker.store.written() };
    let mut any = |_: i64| true;
    let first = broker
        .store
        .read(queue, QueueOffset::ZERO, limits, (&mut any, Wait::Disk))
        .map_err(disk)?;
    let position = first.pieces.first().and_then(|bytes| Record::parse(bytes, Check::Trust).ok());
    Ok(position.is_some_and(|record| broker.is_recent(record.position)))
}

/// Notes how far a group has come.
pub fn update(call: &mut Call<'_>, ask: &UpdateConsumerOffset<'_>) {
    let result = commit(call.broker, ask).map(|()| Answer::ok());
    call.answer(result);
}

fn commit(broker: &Broker, ask: &UpdateConsumerOffset<'_>) -> Result<(), Refusal> {
    let group = refusal::group(ask.consumer_group)?;
    if broker.groups.get(&group).is_none() {
        return Err(Refusal::no_group(&group));
    }
    if broker.topics.get(ask.topic).is_none() {
        return Err(Refusal::no_topic(ask.topic));
    }
    let topic = refusal::topic(ask.topic)?;
    let offset = ask.commit_offset.get().ok_or_else(|| {
        Refusal::parameter("commitOffset is below 0; offsets are counted from 0 on")
    })?;
    broker.offsets.commit((&group, &topic, ask.queue_id), offset, broker.now());
    Ok(())
}

/// The queue of a request, if anything was ever stored in it.
fn queue_of(broker: &Broker, topic: &str, queue: QueueId) -> Result<Option<QueueHandle>, Refusal> {
    broker.existing_queue(&refusal::topic(topic)?, queue)
}

/// A queue's end.
pub fn max(call: &mut Call<'_>, ask: &GetMaxOffset<'_>) {
    let result = queue_of(call.broker, ask.topic, ask.queue_id).map(|queue| {
        let end = queue.map_or(QueueOffset::ZERO, |queue| queue.end());
        Answer::with(OffsetReply { offset: end.into() })
    });
    call.answer(result);
}

/// A queue's first message.
pub fn min(call: &mut Call<'_>, ask: &OfQueue<'_>) {
    let (topic, queue) = (ask.topic.to_owned(), ask.queue_id);
    call.later(move |broker| {
        let offset = match queue_of(broker, &topic, queue)? {
            Some(queue) => {
                broker.store.min_offset(&queue, Wait::Disk).map_err(|error| unreadable(&error))?
            }
            None => QueueOffset::ZERO,
        };
        Ok(Answer::with(OffsetReply { offset: offset.into() }))
    });
}

/// When a queue's first message was stored; -1 if there is none.
pub fn earliest(call: &mut Call<'_>, ask: &OfQueue<'_>) {
    let (topic, queue) = (ask.topic.to_owned(), ask.queue_id);
    call.later(move |broker| {
        let time = match queue_of(broker, &topic, queue)? {
            Some(queue) => {
                broker.store.earliest_time(&queue).map_err(|error| unreadable(&error))?
            }
            None => None,
        };
        let timestamp = time.map_or(MaybeNegative::Negative(-1), MaybeNegative::Of);
        Ok(Answer::with(StoreTimeReply { timestamp }))
    });
}

/// Which offset belongs to a time.
pub fn search(call: &mut Call<'_>, ask: &SearchOffset<'_>) {
    let (topic, queue) = (ask.topic.to_owned(), ask.queue_id);
    let time = ask.timestamp.get().unwrap_or_default();
    let boundary = boundary(ask.boundary.unwrap_or_default());
    call.later(move |broker| {
        let offset = match queue_of(broker, &topic, queue)? {
            Some(queue) => offset_at(broker, &queue, time, boundary)?,
            None => QueueOffset::ZERO,
        };
        Ok(Answer::with(OffsetReply { offset: offset.into() }))
    });
}

fn boundary(asked: Boundary) -> gantry_store::Boundary {
    match asked {
        Boundary::Lower => gantry_store::Boundary::Lower,
        Boundary::Upper => gantry_store::Boundary::Upper,
    }
}

fn offset_at(
    broker: &Broker,
    queue: &QueueHandle,
    time: Millis,
    boundary: gantry_store::Boundary,
) -> Result<QueueOffset, Refusal> {
    broker.store.offset_by_time(queue, time, boundary).map_err(|error| unreadable(&error))
}

/// Where an admin wants a group to go on.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// A given offset.
    Offset(QueueOffset),
    /// The first message at or after a time.
    Time(Millis),
    /// The end.
    End,
}

/// Sets a group's offsets of a topic, without the consumers' help: their next pulls are told.
pub fn reset(call: &mut Call<'_>, ask: &ResetOffset<'_>) {
    let (topic, group) = (ask.topic.to_owned(), ask.group.to_owned());
    let queue = ask.queue_id.and_then(MaybeNegative::get);
    let target = match (queue, ask.offset.and_then(MaybeNegative::get), ask.timestamp.get()) {
        (Some(_), Some(offset), _) => Target::Offset(offset),
        (_, _, Some(time)) => Target::Time(time),
        (_, _, None) => Target::End,
    };
    call.later(move |broker| {
        let group = refusal::group(&group)?;
        if broker.groups.get(&group).is_none() {
            return Err(Refusal::no_group(&group));
        }
        let config = broker.topics.get(&topic).ok_or_else(|| Refusal::no_topic(&topic))?;
        let queues = match queue {
            Some(queue) => vec![queue],
            None => (0..config.read_queue_nums).map(QueueId).collect(),
        };
        let moved = targets(broker, &config, &queues, target)?;
        let name = refusal::topic(&topic)?;
        let mut offset_table = BTreeMap::new();
        for (queue, offset) in moved {
            broker.offsets.reset((&group, &name, queue), offset);
            let broker_name = broker.fixed.name.clone();
            let key = MessageQueue { broker_name, queue_id: queue, topic: topic.clone() };
            offset_table.insert(key, offset.into());
        }
        tracing::info!(%group, topic, queues = offset_table.len(), "offsets were reset");
        Ok(Answer::body(body::to_fastjson(&QueueOffsets { offset_table })))
    });
}

/// The offsets for all queues; nothing is changed before all of them are known to be right.
fn targets(
    broker: &Broker,
    config: &TopicConfig,
    queues: &[QueueId],
    target: Target,
) -> Result<Vec<(QueueId, QueueOffset)>, Refusal> {
    let mut moved = Vec::with_capacity(queues.len());
    for queue in queues {
        let handle = queue_of(broker, &config.topic_name, *queue)?;
        let offset = match (&handle, target) {
            (None, Target::Offset(offset)) if offset != QueueOffset::ZERO => {
                return Err(Refusal::system(format_args!(
                    "Target offset {offset} not in consume queue range [0-0]"
                )));
            }
            (None, _) => QueueOffset::ZERO,
            (Some(handle), Target::End) => handle.end(),
            (Some(handle), Target::Time(time)) => {
                offset_at(broker, handle, time, gantry_store::Boundary::Lower)?
            }
            (Some(handle), Target::Offset(offset)) => {
                let min = broker.store.min_offset(handle, Wait::Disk);
                let (min, max) = (min.map_err(|error| unreadable(&error))?, handle.end());
                if offset < min || max < offset {
                    return Err(Refusal::system(format_args!(
                        "Target offset {offset} not in consume queue range [{min}-{max}]"
                    )));
                }
                offset
            }
        };
        moved.push((*queue, offset));
    }
    Ok(moved)
}
