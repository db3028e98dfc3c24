//! SEND_MESSAGE, SEND_MESSAGE_V2, SEND_BATCH_MESSAGE: the checks, and the message into the session's
//! batch.
//!
//! This is the hot path. A message costs one lookup in the session, one pass over its properties and one
//! encoding into the batch.

use std::sync::Arc;

use gantry_model::{
    Draft, PhysicalOffset, Topic, names::AUTO_CREATE_TOPIC, names::RETRY_PREFIX,
    properties::Properties, record::BatchBody, sysflag::SysFlag, tags::tags_code,
};
use gantry_remoting::wire::{
    Frame,
    body::{TopicConfig, TopicFilterType},
    request::send::SendMessageV2,
};
use gantry_store::Tags;

use super::{
    Call,
    put::{self, One, Way},
};
use crate::{
    broker::Broker,
    check::{self, Gate, MAX_RECONSUME_SINCE, Ordered, Retry, Wishes},
    refusal::{self, Refusal},
    sends::Kind,
    session::{Known, Session},
};

/// Queues of a topic made on first use, if the client does not say.
const CLIENT_QUEUES: u32 = 4;
/// `TopicSysFlag`: a topic of a unit, and one that units subscribe to.
const UNIT: i32 = 1;
const UNIT_SUB: i32 = 2;

/// Puts a send into the session's batch, or refuses it.
pub fn send(call: &mut Call<'_>, frame: &Frame<'_>, ask: &SendMessageV2<'_>) {
    if let Err(refusal) = take(call.broker, call.session, frame, ask) {
        call.broker.metrics.failed(1);
        call.refuse(refusal);
    }
}

fn take(
    broker: &Arc<Broker>,
    session: &mut Session,
    frame: &Frame<'_>,
    ask: &SendMessageV2<'_>,
) -> Result<(), Refusal> {
    if session.knows(broker, ask.topic) == Known::No {
        admit(broker, session, ask)?;
    }
    let born_host = session.peer.remote();
    let (target, _) =
        session.target_and_sends(ask.topic).ok_or_else(|| Refusal::no_topic(ask.topic))?;
    let queues = (target.config.read_queue_nums, target.config.write_queue_nums);
    let queue = check::check_queue(&target.topic, ask.queue_id.get(), queues, |n| broker.pick(n))?;
    check::check_size(frame.body().len(), broker.fixed.max_message)?;
    let draft = Draft {
        topic: ask.topic,
        queue,
        flag: ask.flag,
        sys_flag: sys_flag(ask.sys_flag, &target.config),
        born: ask.born_timestamp,
        born_host,
        store_host: broker.host,
        reconsume_times: ask.reconsume_times.unwrap_or(0),
        prepared: PhysicalOffset::ZERO,
        body: frame.body(),
        properties: Properties::new(ask.properties.unwrap_or_default().as_bytes()),
    };
    if ask.batch {
        return batch(broker, session, frame, &draft);
    }
    let wishes = Wishes::read(draft.properties);
    let delay = check::check_wishes(wishes, draft.reconsume_times, &broker.ip)?;
    let kind = if wishes.no_wait { Kind::NoWait } else { Kind::Send };
    let one = One { to: frame.reply_to(), kind, draft, wishes };
    if let Some(group) = ask.topic.strip_prefix(RETRY_PREFIX) {
        let max = ask.max_reconsume_times.filter(|_| MAX_RECONSUME_SINCE <= frame.version());
        if retry(broker, group, ask.reconsume_times.unwrap_or(0), max)? == Retry::DeadLetter {
            return put::dead_letter(broker, session, group, one);
        }
    }
    match broker.delays.level(delay) {
        Some(level) => put::delayed(broker, session, level, one),
        None => put::put(broker, session, one, Way::straight(wishes)),
    }
}

/// Checks 1 to 5 of a topic that the connection does not remember, and remembers it.
fn admit(
    broker: &Arc<Broker>,
    session: &mut Session,
    ask: &SendMessageV2<'_>,
) -> Result<(), Refusal> {
    let settings = broker.settings.load();
    let gate = Gate {
        now: broker.now(),
        opens: gantry_model::Millis(settings.accept_sends_from),
        permission: settings.permission.0,
        ip: &broker.ip,
    };
    // Read before the topic: a change in between makes what is remembered out of date at once.
    let generation = broker.topics.generation();
    let known = broker.topics.get(ask.topic);
    let ordered = known.as_ref().is_some_and(|config| config.order);
    let topic =
        check::check_gate(gate, ask.topic, if ordered { Ordered::Yes } else { Ordered::No })?;
    let config = match known {
        Some(config) => config,
        None => create(broker, &topic, ask).ok_or_else(|| Refusal::no_topic(&topic))?,
    };
    session.remember(broker, topic, config, generation);
    Ok(())
}

fn create(
    broker: &Arc<Broker>,
    topic: &Topic,
    ask: &SendMessageV2<'_>,
) -> Option<Arc<TopicConfig>> {
    let flag = match (ask.unit_mode, topic.is_retry()) {
        (false, _) => 0,
        (true, true) => UNIT_SUB,
        (true, false) => UNIT,
    };
    let template = ask.default_topic.unwrap_or_default();
    let allowed = template != AUTO_CREATE_TOPIC || broker.settings.load().auto_create_topic;
    let queues = ask.default_topic_queue_nums.and_then(|n| u32::try_from(n).ok());
    let queues = queues.unwrap_or(CLIENT_QUEUES).max(1);
    let now = broker.now();
    let made = allowed
        .then(|| broker.topics.create_on_send(topic, template, (queues, flag), now))
        .flatten()
        .or_else(|| {
            topic.is_retry().then(|| broker.topics.create_for_group(topic, 1, flag, now)).flatten()
        })?;
    tracing::info!(topic = %topic, template, "topic created on first use");
    Some(made.config())
}

/// Check 7, and where a message to a retry topic goes.
fn retry(
    broker: &Broker,
    group: &str,
    reconsumed: u32,
    max: Option<i32>,
) -> Result<Retry, Refusal> {
    let group = refusal::group(group)?;
    let config = broker.find_group(&group).ok_or_else(|| Refusal::no_group(&group))?;
    let max = i64::from(max.unwrap_or(config.retry_max_times));
    Ok(check::retry(reconsumed, max, || broker.locks.any(&group, broker.now())))
}

fn sys_flag(asked: i32, config: &TopicConfig) -> SysFlag {
    let flag = SysFlag(asked.cast_unsigned());
    if config.topic_filter_type == TopicFilterType::MultiTag {
        return flag.with(SysFlag::MULTI_TAGS);
    }
    flag
}

/// Check 8, and the messages of a batch request, one record each. `draft` is what they have in common.
fn batch(
    broker: &Arc<Broker>,
    session: &mut Session,
    frame: &Frame<'_>,
    draft: &Draft<'_>,
) -> Result<(), Refusal> {
    let Some((target, sends)) = session.target_and_sends(draft.topic) else {
        return Err(Refusal::no_topic(draft.topic));
    };
    check::check_batch(&target.topic)?;
    let mut messages = 0;
    // All of a batch is looked at before anything is pushed: what is pushed cannot be taken back.
    for element in BatchBody::new(frame.body()) {
        let element = element.map_err(|e| Refusal::illegal(format_args!("broken batch: {e}")))?;
        let whole = Draft { body: element.body, properties: element.properties, ..*draft };
        if usize::try_from(broker.record_max()).is_ok_and(|max| max < whole.encoded_len()) {
            return Err(check::too_large(broker.fixed.max_message));
        }
        messages += 1;
    }
    if messages == 0 {
        return Err(Refusal::illegal("a batch without messages"));
    }
    let queue = target.queue(broker, draft.queue)?.clone();
    let before = sends.bytes();
    let mut no_wait = false;
    for element in BatchBody::new(frame.body()).flatten() {
        let wishes = Wishes::read(element.properties);
        no_wait |= wishes.no_wait;
        let message = Draft {
            flag: element.flag,
            body: element.body,
            properties: element.properties,
            ..*draft
        };
        let tags = Tags::Code(wishes.tags.map_or(0, tags_code));
        sends
            .push(&queue, &message, tags)
            .map_err(|_| check::too_large(broker.fixed.max_message))?;
    }
    let bytes = sends.bytes() - before;
    sends.count(&target.counters, messages, u64::try_from(bytes).unwrap_or(u64::MAX));
    let kind = if no_wait { Kind::NoWait } else { Kind::Send };
    let unique = Wishes::read(draft.properties).unique.unwrap_or_default();
    let count = usize::try_from(messages).unwrap_or(usize::MAX);
    sends.close(frame.reply_to(), kind, (draft.queue, count), unique);
    Ok(())
}
