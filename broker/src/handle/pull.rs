//! PULL_MESSAGE and LITE_PULL_MESSAGE: the checks, the reading, the waiting.
//!
//! A pull that finds nothing is parked *and then looked at once more while it is parked*: whoever appends
//! in between sees either the watch on the queue or the parked pull. Whoever takes a pull out of
//! `parked` answers it or parks it again. What is only on the disk is read on threads that may wait.

use std::sync::Arc;

use gantry_model::BrokerId;
use gantry_model::{Group, Millis, QueueId, QueueOffset, Topic};
use gantry_remoting::{
    net::Peer,
    wire::{
        Answer, Body, Frame, ReplyTo, RequestCode, ResponseCode,
        request::consume::{PullMessage, PullReply},
    },
};
use gantry_store::{Limits, Pull, PullStatus, QueueHandle, ReadError, disk::Wait};

use super::Call;
use crate::{
    broker::Broker,
    config::FlushDisk,
    metrics::GroupOut,
    pull::{self, PullAsk, PullFacts, PullFilter, PullFlags, PullRefusal, Status},
    refusal::{self, Refusal},
    session::Session,
};

/// Messages that the store looks at in one pull at least.
const SCAN_UNITS: u64 = 800;
/// Longest wait that a client may ask for, in milliseconds.
const SUSPEND_MAX: u64 = 120_000;

/// A pull that has passed its checks.
#[derive(Debug, Clone)]
pub struct PlannedPull {
    peer: Peer,
    to: ReplyTo,
    topic: Topic,
    queue: QueueId,
    handle: QueueHandle,
    /// The offset of the request.
    asked: QueueOffset,
    /// Where to read: behind what was looked at and not selected.
    from: QueueOffset,
    filter: PullFilter,
    limits: (u32, u64),
    /// Until when it may wait.
    deadline: Option<Millis>,
    /// Whether it has waited already.
    held: Held,
    sys_flags: (i32, i32),
    out: GroupOut,
}

/// Whether a pull has been parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
}

/// Serves a pull, now or later.
pub fn pull(call: &mut Call<'_>, frame: &Frame<'_>, ask: &PullMessage<'_>) {
    let (broker, session, out) = (call.broker, &mut *call.session, &mut *call.out);
    match plan(broker, session, frame, ask) {
        Ok(Planned::Read(plan)) => serve(broker, Arc::new(plan), Wait::Never),
        Ok(Planned::Answered(header, status)) => {
            let code = status.code(QueueOffset(u64::MAX));
            let answer = Answer { code, remark: Some(status.name()), header, body: Body::Empty };
            out.reply(frame.reply_to(), answer);
        }
        Err(PullRefusal { refusal, forbidden }) => {
            let header = PullReply {
                suggest_which_broker_id: BrokerId(0),
                next_begin_offset: ask.queue_offset.get().unwrap_or_default(),
                min_offset: QueueOffset::ZERO,
                max_offset: QueueOffset::ZERO,
                offset_delta: None,
                topic_sys_flag: None,
                group_sys_flag: None,
                forbidden_type: forbidden.map(|by| by as i32),
            };
            let (code, remark) = (refusal.code, Some(refusal.remark.as_str()));
            out.reply(frame.reply_to(), Answer { code, remark, header, body: Body::Empty });
        }
    }
}

enum Planned {
    /// To be read.
    Read(PlannedPull),
    /// Its answer is known without reading: the offset is outside of the queue.
    Answered(PullReply, Status),
}

fn plan(
    broker: &Arc<Broker>,
    session: &Session,
    frame: &Frame<'_>,
    ask: &PullMessage<'_>,
) -> Result<Planned, PullRefusal> {
    let settings = broker.settings.load();
    let flags = PullFlags(ask.sys_flag);
    let checked = PullAsk {
        group: ask.consumer_group,
        topic: ask.topic,
        queue: ask.queue_id,
        flags,
        expression: ask.subscription.unwrap_or_default(),
        expression_type: ask.expression_type.unwrap_or_default(),
        sub_version: ask.sub_version,
    };
    if frame.code() == RequestCode::LITE_PULL_MESSAGE.0 && !settings.lite_pull {
        return Err(pull::forbid_lite(&broker.ip));
    }
    let group = refusal::group(ask.consumer_group)?;
    let group_config = broker.find_group(&group);
    let topic_config = broker.topics.get(ask.topic);
    let facts = PullFacts {
        permission: settings.permission.0,
        ip: &broker.ip,
        group: group_config.as_deref(),
        topic: topic_config.as_deref(),
    };
    pull::check_pull(checked, facts)?;
    let (Some(group_config), Some(topic_config)) = (group_config, topic_config) else {
        return Err(Refusal::no_topic(ask.topic).into());
    };
    let filter = pull::check_subscription(
        checked,
        || group_config.consume_broadcast_enable,
        || broker.groups.is_read_forbidden(ask.consumer_group, ask.topic),
        || broker.consumers.subscription(ask.consumer_group, ask.topic),
    )?;
    let topic = refusal::topic(ask.topic)?;
    let handle = broker.queue(&topic, ask.queue_id)?;
    let sys_flags = (topic_config.topic_sys_flag, group_config.group_sys_flag);
    commit(broker, (&group, &topic), ask, flags);
    if let Some((header, status)) = outside(broker, (&group, &topic), &handle, (ask, sys_flags)) {
        return Ok(Planned::Answered(header, status));
    }
    let wait = if settings.long_polling { ask.suspend_timeout.0 } else { settings.short_polling };
    let wait = flags.suspends().then(|| broker.now().plus(wait.min(SUSPEND_MAX)));
    let bytes = ask.max_msg_bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|n| *n > 0);
    let bytes = bytes.unwrap_or(u64::MAX).min(u64::from(settings.pull_bytes));
    let asked = ask.queue_offset.get().unwrap_or_default();
    Ok(Planned::Read(PlannedPull {
        peer: session.peer.clone(),
        to: frame.reply_to(),
        out: broker.metrics.group_out(&group, &topic),
        topic,
        queue: ask.queue_id,
        handle,
        asked,
        from: asked,
        filter,
        limits: (ask.max_msg_nums.clamp(1, settings.pull_count), bytes),
        deadline: wait,
        held: Held::No,
        sys_flags,
    }))
}

fn commit(
    broker: &Broker,
    (group, topic): (&Group, &Topic),
    ask: &PullMessage<'_>,
    flags: PullFlags,
) {
    if let Some(offset) = ask.queue_offset.get() {
        broker.offsets.pulled((group, topic, ask.queue_id), offset);
    }
    if let (true, Some(offset)) = (flags.commits(), ask.commit_offset.get()) {
        broker.offsets.commit((group, topic, ask.queue_id), offset, broker.now());
    }
}

/// A reset that waits for this pull, or an offset below 0.
fn outside(
    broker: &Broker,
    (group, topic): (&Group, &Topic),
    handle: &QueueHandle,
    (ask, sys_flags): (&PullMessage<'_>, (i32, i32)),
) -> Option<(PullReply, Status)> {
    let reset = broker.offsets.take_reset((group, topic, ask.queue_id));
    if reset.is_none() && ask.queue_offset.get().is_some() {
        return None;
    }
    let max = handle.end();
    // Without waiting for the disk; a client learns of a minimum that is too low with its next pull.
    let min = broker.store.min_offset(handle, Wait::Never).unwrap_or_default();
    let (next, status) = match reset {
        Some(offset) => (offset, Status::OffsetReset),
        None if max == QueueOffset::ZERO => (QueueOffset::ZERO, Status::NoMessageInQueue),
        None => (min, Status::OffsetTooSmall),
    };
    Some((header((next, min, max), sys_flags), status))
}

fn header(
    (next, min, max): (QueueOffset, QueueOffset, QueueOffset),
    (topic_sys_flag, group_sys_flag): (i32, i32),
) -> PullReply {
    PullReply {
        suggest_which_broker_id: BrokerId(0),
        next_begin_offset: next,
        min_offset: min,
        max_offset: max,
        offset_delta: None,
        topic_sys_flag: Some(topic_sys_flag),
        group_sys_flag: Some(group_sys_flag),
        forbidden_type: None,
    }
}

/// Reads, and answers, parks, or goes on where waiting for the disk is allowed.
pub fn serve(broker: &Arc<Broker>, plan: Arc<PlannedPull>, wait: Wait) {
    match read(broker, &plan, wait) {
        Ok(found) if plan.may_wait(&found) => park(broker, plan, &found),
        Ok(found) => plan.answer(broker, found),
        Err(ReadError::Blocks) => broker.read_cold(plan),
        Err(error) => plan.fail(&error),
    }
}

fn read(broker: &Broker, plan: &PlannedPull, wait: Wait) -> Result<Pull, ReadError> {
    let (messages, bytes) = plan.limits;
    let limits = Limits { messages, bytes, visible: broker.store.visible() };
    let selector = plan.filter.selector();
    let mut select = |code: i64| selector.selects(code);
    broker.store.read(&plan.handle, plan.from, limits, (&mut select, wait))
}

/// Parks a pull, with what it has passed over already, and looks at the queue once more.
fn park(broker: &Arc<Broker>, plan: Arc<PlannedPull>, passed: &Pull) {
    let mut plan = Arc::unwrap_or_clone(plan);
    plan.held = Held::Yes;
    if passed.status == PullStatus::NoMatchedMessage {
        plan.from = passed.next;
    }
    let plan = Arc::new(plan);
    let deadline = plan.deadline.unwrap_or_default();
    let at = (&plan.topic, plan.queue);
    let ticket = match broker.parked.park(at, plan.from, deadline, Arc::clone(&plan)) {
        Ok(ticket) => ticket,
        Err(plan) => return expire(broker, &plan),
    };
    plan.handle.watch();
    if plan.handle.end() <= plan.from {
        return;
    }
    if broker.flush == FlushDisk::Sync {
        return broker.wake_when_flushed(&plan.handle, broker.store.written());
    }
    match read(broker, &plan, Wait::Never) {
        // Nothing that may be seen yet: it is being appended, and the appender will see the watch.
        Ok(found) if plan.may_wait(&found) && found.next == plan.from => {}
        Ok(_) | Err(_) => {
            if let Some(plan) = broker.parked.take_back(ticket) {
                serve(broker, plan, Wait::Never);
            }
        }
    }
}

/// Messages of a queue may be seen: serves the pulls that wait for them.
pub fn wake(broker: &Arc<Broker>, handle: &QueueHandle) {
    let mut woken = Vec::new();
    let mut end = handle.end();
    while broker.parked.arrived(handle.topic(), handle.id(), end, &mut woken).still_wait() {
        handle.watch();
        let now = handle.end();
        if now == end {
            break;
        }
        end = now;
    }
    for plan in woken {
        serve(broker, plan, Wait::Never);
    }
}

/// Answers a pull whose time is over.
pub fn expire(broker: &Arc<Broker>, plan: &PlannedPull) {
    let min = broker.store.min_offset(&plan.handle, Wait::Never).unwrap_or_default();
    let passed = plan.asked < plan.from;
    let status = if passed { PullStatus::NoMatchedMessage } else { PullStatus::OffsetOverflowOne };
    let max = plan.handle.end();
    let (next, pieces) = (plan.from, Vec::new());
    plan.answer(broker, Pull { status, next, min, max, pieces, count: 0 });
}

impl PlannedPull {
    /// Whether this outcome is worth waiting for another.
    fn may_wait(&self, found: &Pull) -> bool {
        let nothing = match found.status {
            PullStatus::OffsetOverflowOne => true,
            PullStatus::NoMessageInQueue => self.asked == QueueOffset::ZERO,
            // At first the client is told at once how far it has come; while it waits anyway it is not
            // woken for messages that it does not select.
            // Unless there is more to look at than one pull may.
            PullStatus::NoMatchedMessage => {
                self.held == Held::Yes && found.next.since(self.from) < SCAN_UNITS
            }
            PullStatus::Found
            | PullStatus::MessageWasRemoving
            | PullStatus::OffsetOverflowBadly
            | PullStatus::OffsetTooSmall => false,
        };
        nothing && self.deadline.is_some()
    }

    fn answer(&self, broker: &Broker, found: Pull) {
        let status = Status::from(found.status);
        let places = (found.next, found.min, found.max);
        let answer = Answer {
            code: status.code(self.asked),
            remark: Some(status.name()),
            header: header(places, self.sys_flags),
            body: Body::Parts(found.pieces),
        };
        if found.count > 0 {
            let bytes = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
            self.out.add(u64::from(found.count), bytes);
            broker.metrics.delivered(u64::from(found.count));
        }
        // A client that is gone asks again when it is back.
        let _gone = self.peer.reply(|out| out.reply(self.to, answer));
    }

    /// Answers a pull whose messages cannot be read.
    pub fn fail(&self, error: &ReadError) {
        tracing::error!(topic = %self.topic, queue = %self.queue, offset = %self.from, %error, "pull failed");
        let remark = error.to_string();
        let header = header((self.from, QueueOffset::ZERO, self.handle.end()), self.sys_flags);
        let _gone = self.peer.reply(|out| {
            let code = ResponseCode::SYSTEM_ERROR;
            out.reply(self.to, Answer { code, remark: Some(&remark), header, body: Body::Empty });
        });
    }
}
