//! One message into the session's batch: straight to its queue, to the queue of its delay level, or to the
//! dead letters of a group. Sends and send-backs meet here.

use std::sync::Arc;

use gantry_model::{
    Draft, QueueId, Topic,
    properties::{self, Properties, name},
    tags::tags_code,
};
use gantry_remoting::wire::ReplyTo;
use gantry_store::Tags;

use crate::{
    broker::Broker,
    check::{self, Wishes},
    refusal::{self, Refusal},
    schedule::Level,
    sends::Kind,
    session::{Known, Session},
    system,
};

/// Queues of a dead-letter topic (`DLQ_NUMS_PER_GROUP`).
const DLQ_QUEUES: u32 = 1;

/// A message that has passed its checks.
#[derive(Debug)]
pub struct One<'a> {
    /// Who is answered.
    pub to: ReplyTo,
    /// How.
    pub kind: Kind,
    /// The message. Its topic is one that the session remembers.
    pub draft: Draft<'a>,
    /// What its properties say.
    pub wishes: Wishes<'a>,
}

/// What is done to a message on its way.
#[derive(Debug)]
pub struct Way<'a> {
    tags: Tags,
    /// The queue that the answer names.
    answered: Option<QueueId>,
    /// Where a delayed message is to go.
    real: Option<(&'a str, QueueId)>,
    /// Whether the delay is taken out of the properties.
    undelay: bool,
}

impl Way<'_> {
    /// To the queue that it asks for.
    #[must_use]
    pub fn straight(wishes: Wishes<'_>) -> Self {
        let tags = Tags::Code(wishes.tags.map_or(0, tags_code));
        Self { tags, answered: None, real: None, undelay: false }
    }
}

/// Puts a message to wait in the queue of its level.
pub fn delayed(
    broker: &Arc<Broker>,
    session: &mut Session,
    level: Level,
    one: One<'_>,
) -> Result<(), Refusal> {
    if session.knows(broker, system::SCHEDULE_TOPIC) == Known::No {
        let generation = broker.topics.generation();
        let config = broker.topics.get(system::SCHEDULE_TOPIC);
        let config = config.ok_or_else(|| Refusal::no_topic(system::SCHEDULE_TOPIC))?;
        session.remember(broker, refusal::topic(system::SCHEDULE_TOPIC)?, config, generation);
    }
    let way = Way {
        tags: Tags::StoredPlus(broker.delays.delay(level)),
        answered: Some(one.draft.queue),
        real: Some((one.draft.topic, one.draft.queue)),
        undelay: false,
    };
    let draft = Draft { topic: system::SCHEDULE_TOPIC, queue: level.queue(), ..one.draft };
    put(broker, session, One { draft, ..one }, way)
}

/// Puts a message among the dead letters of a group.
pub fn dead_letter(
    broker: &Arc<Broker>,
    session: &mut Session,
    group: &str,
    one: One<'_>,
) -> Result<(), Refusal> {
    let topic = Topic::dlq_of(&refusal::group(group)?);
    if session.knows(broker, &topic) == Known::No {
        let generation = broker.topics.generation();
        let made = broker.topics.create_for_group(&topic, DLQ_QUEUES, 0, broker.now());
        let made = made.ok_or_else(|| Refusal::system(format_args!("topic[{topic}] not exist")))?;
        session.remember(broker, topic.clone(), made.config(), generation);
    }
    broker.metrics.dead_letter(group, one.draft.topic);
    let way = Way { undelay: true, ..Way::straight(one.wishes) };
    let draft = Draft { topic: topic.as_str(), queue: QueueId(0), ..one.draft };
    put(broker, session, One { draft, ..one }, way)
}

/// Puts a message into the batch.
pub fn put(
    broker: &Arc<Broker>,
    session: &mut Session,
    one: One<'_>,
    way: Way<'_>,
) -> Result<(), Refusal> {
    let mut properties = std::mem::take(&mut session.scratch);
    let made = write_properties(broker, &one, &way, &mut properties);
    let stored = push(broker, session, &one, &way, &properties);
    let unique = one.wishes.unique.or(made.as_deref()).unwrap_or_default();
    if stored.is_ok() {
        let queue = way.answered.unwrap_or(one.draft.queue);
        session.sends.close(one.to, one.kind, (queue, 1), unique);
    }
    properties.clear();
    session.scratch = properties;
    stored
}

fn push(
    broker: &Arc<Broker>,
    session: &mut Session,
    one: &One<'_>,
    way: &Way<'_>,
    properties: &[u8],
) -> Result<(), Refusal> {
    let Some((target, sends)) = session.target_and_sends(one.draft.topic) else {
        return Err(Refusal::no_topic(one.draft.topic));
    };
    let queue = target.queue(broker, one.draft.queue)?.clone();
    let draft = Draft { properties: Properties::new(properties), ..one.draft };
    let before = sends.bytes();
    sends.push(&queue, &draft, way.tags).map_err(|_| check::too_large(broker.fixed.max_message))?;
    let bytes = u64::try_from(sends.bytes() - before).unwrap_or(u64::MAX);
    sends.count(&target.counters, 1, bytes);
    Ok(())
}

/// Writes the stored form of the properties: the client's, without what only the broker may say, and the
/// broker's own behind them. Returns the message's id if it had none.
fn write_properties(
    broker: &Broker,
    one: &One<'_>,
    way: &Way<'_>,
    out: &mut Vec<u8>,
) -> Option<String> {
    out.clear();
    let given = one.draft.properties;
    if one.wishes.rewrite || way.undelay {
        properties::append_where(out, given, |key| match key {
            name::MSG_REGION | name::TRACE_ON | name::CLUSTER | name::POP_CK => false,
            name::DELAY => !way.undelay,
            _ => true,
        });
    } else {
        out.extend_from_slice(given.as_bytes());
        if out.last().is_some_and(|last| *last != PAIR_END) {
            out.push(PAIR_END);
        }
    }
    out.extend_from_slice(&broker.own_properties);
    if let Some((topic, queue)) = way.real {
        properties::append(out, name::REAL_TOPIC, topic);
        properties::append(out, name::REAL_QID, itoa::Buffer::new().format(queue.0));
    }
    if one.wishes.unique.is_some() {
        return None;
    }
    let mut id = String::with_capacity(56);
    broker.unique.write(broker.now(), &mut id);
    properties::append(out, name::UNIQ_KEY, &id);
    Some(id)
}

/// What ends a pair of a property string.
const PAIR_END: u8 = 2;
