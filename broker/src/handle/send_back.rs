//! CONSUMER_SEND_MSG_BACK: a consumer could not consume a message and wants it again, later. The stored
//! message goes to the group's retry topic behind a delay, or to its dead letters.

use std::sync::Arc;

use bytes::Bytes;
use gantry_model::{
    Draft, Group, OffsetMessageId, Perm, QueueId, Record, Topic,
    properties::{self, Properties, name},
    record::Check,
};
use gantry_remoting::{
    net::Peer,
    wire::{
        Answer, Frame, ReplyTo, body::SubscriptionGroupConfig, request::send::ConsumerSendMsgBack,
    },
};
use gantry_store::{ReadError, disk::Wait};

use super::{
    Call,
    put::{self, One, Way},
    reply,
};
use crate::{
    broker::{Broker, unreadable},
    check::{MAX_RECONSUME_SINCE, Wishes},
    refusal::{self, Refusal},
    sends::Kind,
    session::Session,
};

/// The level of a message's first retry, which waits 10 s.
const FIRST_RETRY_LEVEL: u32 = 3;

/// What a consumer asks for.
struct SendBack {
    group: Group,
    config: Arc<SubscriptionGroupConfig>,
    position: gantry_model::PhysicalOffset,
    level: i32,
    max: i64,
    unit: bool,
}

/// Where a message goes that was sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Among the dead letters.
    DeadLetter,
    /// Again, behind the delay of this level.
    Again(u32),
}

fn fate(reconsumed: u32, max: i64, level: i32) -> Fate {
    if max <= i64::from(reconsumed) || level < 0 {
        return Fate::DeadLetter;
    }
    let level = level.cast_unsigned();
    Fate::Again(if level == 0 { FIRST_RETRY_LEVEL.saturating_add(reconsumed) } else { level })
}

/// Serves a send-back. The message is read on a thread that may wait for the disk.
pub fn send_back(call: &Call<'_>, frame: &Frame<'_>, ask: &ConsumerSendMsgBack<'_>) {
    let (broker, peer, to) = (Arc::clone(call.broker), call.session.peer.clone(), call.to);
    let asked = match check(&broker, frame, ask) {
        Ok(Some(asked)) => asked,
        Ok(None) => return reply(&peer, to, Ok(Answer::ok())),
        Err(refusal) => return reply(&peer, to, Err::<Answer<'_>, _>(refusal)),
    };
    let inner = Arc::clone(&broker);
    broker.blocking("send back", move || {
        if let Err(refusal) = store(&inner, &peer, to, &asked) {
            reply(&peer, to, Err::<Answer<'_>, _>(refusal));
        }
    });
}

/// The checks in Java's order. `None` for a group that wants no retries: its messages are dropped.
fn check(
    broker: &Broker,
    frame: &Frame<'_>,
    ask: &ConsumerSendMsgBack<'_>,
) -> Result<Option<SendBack>, Refusal> {
    let group = refusal::group(ask.group)?;
    let config = broker.find_group(&group).ok_or_else(|| Refusal::no_group(&group))?;
    if !broker.settings.load().permission.0.allows(Perm::WRITE) {
        return Err(Refusal::permission(format_args!(
            "the broker[{}] sending message is forbidden",
            broker.ip
        )));
    }
    if config.retry_queue_nums <= 0 {
        return Ok(None);
    }
    let max = ask.max_reconsume_times.filter(|_| MAX_RECONSUME_SINCE <= frame.version());
    Ok(Some(SendBack {
        max: i64::from(max.unwrap_or(config.retry_max_times)),
        group,
        config,
        position: ask.offset,
        level: ask.delay_level,
        unit: ask.unit_mode,
    }))
}

fn store(broker: &Arc<Broker>, peer: &Peer, to: ReplyTo, asked: &SendBack) -> Result<(), Refusal> {
    let topic = Topic::retry_of(&asked.group);
    let queues = u32::try_from(asked.config.retry_queue_nums).unwrap_or(1);
    let flag = if asked.unit { 2 } else { 0 };
    let retry = broker.topics.create_for_group(&topic, queues, flag, broker.now());
    let retry = retry.ok_or_else(|| Refusal::system(format_args!("topic[{topic}] not exist")))?;
    let generation = broker.topics.generation();
    let retry = retry.config();
    if !retry.perm.allows(Perm::WRITE) {
        return Err(Refusal::permission(format_args!(
            "the topic[{topic}] sending message is forbidden"
        )));
    }
    let bytes = look(broker, asked.position)?;
    let record = Record::parse(&bytes, Check::Trust).map_err(Refusal::system)?;
    // A session of its own: this thread is not the connection's.
    let mut session = Session::new(peer.clone());
    session.remember(broker, topic.clone(), retry, generation);
    put_again(broker, &mut session, (to, &topic), (asked, &record))?;
    let Session { sends, peer, .. } = &mut session;
    sends.store(broker, peer);
    Ok(())
}

fn look(broker: &Broker, position: gantry_model::PhysicalOffset) -> Result<Bytes, Refusal> {
    broker.store.message_at(position, Wait::Disk).map_err(|error| match error {
        ReadError::NoRecord(_) => {
            Refusal::system(format_args!("look message by offset failed, {position}"))
        }
        other @ (ReadError::Blocks | ReadError::Io { .. } | ReadError::Damaged { .. }) => {
            unreadable(&other)
        }
    })
}

fn put_again(
    broker: &Arc<Broker>,
    session: &mut Session,
    (to, topic): (ReplyTo, &Topic),
    (asked, record): (&SendBack, &Record<'_>),
) -> Result<(), Refusal> {
    let fate = fate(record.reconsume_times, asked.max, asked.level);
    let properties = properties_of(record, fate);
    let properties = Properties::new(&properties);
    let queues = u32::try_from(asked.config.retry_queue_nums).unwrap_or(1);
    let draft = Draft {
        topic: topic.as_str(),
        queue: QueueId(broker.pick(queues)),
        flag: record.flag,
        sys_flag: record.sys_flag,
        born: record.born,
        born_host: record.born_host,
        store_host: broker.host,
        reconsume_times: record.reconsume_times.saturating_add(1),
        prepared: gantry_model::PhysicalOffset::ZERO,
        body: record.body,
        properties,
    };
    let wishes = Wishes::read(properties);
    let one = One { to, kind: Kind::SendBack, draft, wishes };
    match fate {
        Fate::DeadLetter => put::dead_letter(broker, session, &asked.group, one),
        Fate::Again(level) => match broker.delays.level(level) {
            Some(level) => put::delayed(broker, session, level, one),
            None => put::put(broker, session, one, Way::straight(wishes)),
        },
    }
}

/// The message's properties, with where it came from and how long it waits.
fn properties_of(record: &Record<'_>, fate: Fate) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.properties.as_bytes().len() + 128);
    let replaced = |key: &str| matches!(key, name::DELAY | name::WAIT);
    let moved = |key: &str| matches!(key, name::REAL_TOPIC | name::REAL_QID);
    properties::append_where(&mut out, record.properties, |key| !replaced(key) && !moved(key));
    if record.properties.get(name::RETRY_TOPIC).is_none() {
        properties::append(&mut out, name::RETRY_TOPIC, record.topic);
    }
    if record.properties.get(name::ORIGIN_MESSAGE_ID).is_none() {
        let id = OffsetMessageId { host: record.store_host, position: record.position };
        properties::append(&mut out, name::ORIGIN_MESSAGE_ID, &id.to_string());
    }
    properties::append(&mut out, name::WAIT, "false");
    if let Fate::Again(level) = fate {
        properties::append(&mut out, name::DELAY, &level.to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_again_later_and_later_and_then_no_more() {
        assert_eq!(fate(0, 16, 0), Fate::Again(3));
        assert_eq!(fate(15, 16, 0), Fate::Again(18));
        assert_eq!(fate(16, 16, 0), Fate::DeadLetter);
        assert_eq!(fate(0, 16, 5), Fate::Again(5));
        assert_eq!(fate(0, 16, -1), Fate::DeadLetter);
        assert_eq!(fate(0, 0, 0), Fate::DeadLetter);
    }
}
