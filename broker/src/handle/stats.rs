//! How far queues and groups are. Store times come from the disk, so all of it is answered from a thread
//! that may wait.

use std::collections::BTreeMap;

use gantry_model::{Group, Millis, QueueId, QueueOffset, Topic};
use gantry_remoting::wire::{
    Answer, MaybeNegative,
    body::{
        self, ConsumeStats, ConsumeStatsList, ConsumeTimeSpan, MessageQueue, OffsetWrapper,
        QueueTimeSpan, TopicOffset, TopicStats,
    },
    request::admin::{GetBrokerConsumeStats, GetConsumeStats, OfTopic, QueryConsumeTimeSpan},
};
use gantry_store::{QueueHandle, disk::Wait};

use super::Call;
use crate::{
    broker::{Broker, unreadable},
    refusal::{self, Refusal},
};

/// Most queues of one topic whose store times are looked up.
const QUEUES_MAX: u32 = 65_536;

fn name(broker: &Broker, topic: &str, queue_id: QueueId) -> MessageQueue {
    MessageQueue { broker_name: broker.fixed.name.clone(), queue_id, topic: topic.to_owned() }
}

fn end_of(queue: Option<&QueueHandle>) -> QueueOffset {
    queue.map_or(QueueOffset::ZERO, |queue| queue.end())
}

fn min_of(broker: &Broker, queue: Option<&QueueHandle>) -> Result<QueueOffset, Refusal> {
    let Some(queue) = queue else { return Ok(QueueOffset::ZERO) };
    broker.store.min_offset(queue, Wait::Disk).map_err(|error| unreadable(&error))
}

/// The store time of the message before `offset`; 0 if there is none.
fn time_before(
    broker: &Broker,
    queue: Option<&QueueHandle>,
    offset: QueueOffset,
) -> Result<Millis, Refusal> {
    let (Some(queue), Some(before)) = (queue, offset.0.checked_sub(1)) else {
        return Ok(Millis::ZERO);
    };
    let time = broker.store.stored_time(queue, QueueOffset(before));
    Ok(time.map_err(|error| unreadable(&error))?.unwrap_or_default())
}

/// Where a topic's queues begin and end.
pub fn topic(call: &mut Call<'_>, ask: &OfTopic<'_>) {
    let topic = ask.topic.to_owned();
    call.later(move |broker| {
        let config = broker.topics.get(&topic).ok_or_else(|| Refusal::no_topic(&topic))?;
        let key = refusal::topic(&topic)?;
        let queues = config.read_queue_nums.max(config.write_queue_nums).min(QUEUES_MAX);
        let mut stats = TopicStats::default();
        for id in (0..queues).map(QueueId) {
            let queue = broker.existing_queue(&key, id)?;
            let (min, max) = (min_of(broker, queue.as_ref())?, end_of(queue.as_ref()));
            let last =
                if min < max { time_before(broker, queue.as_ref(), max)? } else { Millis::ZERO };
            let offsets = TopicOffset {
                last_update_timestamp: last.into(),
                max_offset: max.into(),
                min_offset: min.into(),
            };
            stats.offset_table.insert(name(broker, &topic, id), offsets);
        }
        Ok(Answer::body(body::to_fastjson(&stats)))
    });
}

/// How far a group is in the topics that it has offsets of.
pub fn group(call: &mut Call<'_>, ask: &GetConsumeStats<'_>) {
    let group = ask.consumer_group.to_owned();
    let listed = ask.topic_list.unwrap_or_default().split(';').map(str::trim);
    let mut asked: Vec<String> =
        listed.filter(|topic| !topic.is_empty()).map(ToOwned::to_owned).collect();
    asked.extend(ask.topic.filter(|topic| !topic.is_empty()).map(ToOwned::to_owned));
    call.later(move |broker| {
        let topics = if asked.is_empty() {
            broker.offsets.topics_of(&group)
        } else {
            asked.iter().map(|topic| refusal::topic(topic)).collect::<Result<Vec<_>, _>>()?
        };
        let stats = stats_of(broker, &group, &topics, Listed::from(!asked.is_empty()))?;
        Ok(Answer::body(body::to_fastjson(&stats)))
    });
}

/// Whether topics were asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
}

impl From<bool> for Listed {
    fn from(listed: bool) -> Self {
        if listed { Self::Yes } else { Self::No }
    }
}

fn stats_of(
    broker: &Broker,
    group: &str,
    topics: &[Topic],
    listed: Listed,
) -> Result<ConsumeStats, Refusal> {
    let online = broker.consumers.view(group);
    let mut stats = ConsumeStats::default();
    for topic in topics {
        let Some(config) = broker.topics.get(topic) else { continue };
        // What the group no longer subscribes to is no backlog; without subscriptions nothing is known.
        let dropped = online.as_ref().is_some_and(|view| {
            !view.subscriptions.is_empty() && !view.subscriptions.contains_key(topic.as_str())
        });
        if dropped && listed == Listed::No {
            continue;
        }
        for id in (0..config.read_queue_nums.min(QUEUES_MAX)).map(QueueId) {
            let queue = broker.existing_queue(topic, id)?;
            let wrapper = progress(broker, (group, topic, id), queue.as_ref())?;
            stats.offset_table.insert(name(broker, topic, id), wrapper);
        }
    }
    Ok(stats)
}

fn progress(
    broker: &Broker,
    (group, topic, id): (&str, &Topic, QueueId),
    queue: Option<&QueueHandle>,
) -> Result<OffsetWrapper, Refusal> {
    let position = broker.offsets.position(group, topic, id);
    let (end, committed) = (end_of(queue), position.committed.unwrap_or_default());
    let pulled = position.pulled.unwrap_or_default().max(committed);
    Ok(OffsetWrapper {
        broker_offset: end.into(),
        consumer_offset: committed.into(),
        last_timestamp: time_before(broker, queue, committed)?.into(),
        pull_offset: pulled.into(),
    })
}

/// How far all groups are.
pub fn all_groups(call: &mut Call<'_>, ask: &GetBrokerConsumeStats) {
    let order = ask.is_order;
    call.later(move |broker| {
        let (file, _) = broker.groups.to_file();
        let mut list =
            ConsumeStatsList { broker_addr: Some(broker.address()), ..ConsumeStatsList::default() };
        for group in file.subscription_group_table.into_keys() {
            let topics = broker.offsets.topics_of(&group);
            let topics: Vec<_> = topics
                .into_iter()
                .filter(|topic| broker.topics.is_ordered(topic) == order)
                .collect();
            let mut all = Vec::new();
            for topic in topics {
                let stats = stats_of(broker, &group, std::slice::from_ref(&topic), Listed::No)?;
                let behind = stats.offset_table.values();
                list.total_diff += behind
                    .clone()
                    .map(|at| ahead(at.broker_offset, at.consumer_offset))
                    .sum::<i64>();
                list.total_inflight_diff +=
                    behind.map(|at| ahead(at.pull_offset, at.consumer_offset)).sum::<i64>();
                all.push(stats);
            }
            if !all.is_empty() {
                list.consume_stats_list.push(BTreeMap::from([(group, all)]));
            }
        }
        Ok(Answer::body(body::to_fastjson(&list)))
    });
}

fn ahead(to: MaybeNegative<QueueOffset>, from: MaybeNegative<QueueOffset>) -> i64 {
    let (to, from) = (to.get().unwrap_or_default(), from.get().unwrap_or_default());
    i64::try_from(to.since(from)).unwrap_or(i64::MAX)
}

/// From when to when a topic's queues reach, and how far back a group is in time.
pub fn time_span(call: &mut Call<'_>, ask: &QueryConsumeTimeSpan<'_>) {
    let (topic, group) = (ask.topic.to_owned(), ask.group.to_owned());
    call.later(move |broker| {
        let config = broker.topics.get(&topic).ok_or_else(|| Refusal::no_topic(&topic))?;
        let (key, group) = (refusal::topic(&topic)?, refusal::group(&group)?);
        let mut spans = ConsumeTimeSpan::default();
        for id in (0..config.read_queue_nums.min(QUEUES_MAX)).map(QueueId) {
            let queue = broker.existing_queue(&key, id)?;
            spans.consume_time_span_set.push(span(broker, (&group, &key, id), queue.as_ref())?);
        }
        Ok(Answer::body(body::to_fastjson(&spans)))
    });
}

fn span(
    broker: &Broker,
    (group, topic, id): (&Group, &Topic, QueueId),
    queue: Option<&QueueHandle>,
) -> Result<QueueTimeSpan, Refusal> {
    let (min, max) = (min_of(broker, queue)?, end_of(queue));
    let committed = broker.offsets.position(group, topic, id).committed;
    let at = |offset: QueueOffset| time_before(broker, queue, offset);
    let consumed = match committed {
        Some(offset) => at(offset)?,
        None => at(min.plus(1))?,
    };
    let behind = committed.unwrap_or_default() < max;
    let delay = if behind { broker.now().since(at(committed.unwrap_or(min).plus(1))?) } else { 0 };
    Ok(QueueTimeSpan {
        consume_time_stamp: consumed.into(),
        delay_time: Millis(delay).into(),
        max_time_stamp: at(max)?.into(),
        message_queue: name(broker, topic, id),
        min_time_stamp: (if min < max { at(min.plus(1))? } else { Millis::ZERO }).into(),
    })
}
