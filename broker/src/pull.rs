//! Whether a pull is served, with which filter, and what its outcome is called: the checks and the table
//! of `PullMessageProcessor`. Pure: everything is given as values; reading is up to the caller.

use std::sync::Arc;

use gantry_model::{Perm, QueueId, QueueOffset};
use gantry_remoting::wire::{
    ResponseCode,
    body::{MessageModel, SubscriptionGroupConfig, TopicConfig},
};

use gantry_store::PullStatus;

use crate::{
    consumers::{Manner, Selector, Subscription, is_tag},
    refusal::Refusal,
};

/// The pull's offset may be committed (`PullSysFlag`).
const COMMIT_OFFSET: i32 = 1;
/// The pull may wait.
const SUSPEND: i32 = 2;
/// The subscription is in the request.
const SUBSCRIPTION: i32 = 4;

/// Who refused a pull (`ForbiddenType`), for the reply's `forbiddenType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// The broker's permission.
    Broker = 1,
    /// The group's settings.
    Group = 2,
    /// The topic's permission.
    Topic = 3,
    /// Broadcasting is switched off for the group.
    Broadcasting = 4,
    /// The group may not read this topic.
    Subscription = 5,
}

/// A pull that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRefusal {
    /// What the client is told.
    pub refusal: Refusal,
    /// Who refused it.
    pub forbidden: Option<Forbidden>,
}

impl From<Refusal> for PullRefusal {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, forbidden: None }
    }
}

fn forbid(by: Forbidden, remark: impl std::fmt::Display) -> PullRefusal {
    PullRefusal { refusal: Refusal::permission(remark), forbidden: Some(by) }
}

/// The refusal of lite pulls where they are switched off.
#[must_use]
pub fn forbid_lite(ip: &str) -> PullRefusal {
    forbid(Forbidden::Broker, format_args!("the broker[{ip}] for lite pull consumer is forbidden"))
}

/// A pull's system flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullFlags(pub i32);

impl PullFlags {
    /// Whether the request's `commitOffset` counts.
    #[must_use]
    pub const fn commits(self) -> bool {
        self.0 & COMMIT_OFFSET != 0
    }

    /// Whether the pull may wait for a message.
    #[must_use]
    pub const fn suspends(self) -> bool {
        self.0 & SUSPEND != 0
    }

    /// Whether the request says itself what it selects.
    #[must_use]
    pub const fn subscribes(self) -> bool {
        self.0 & SUBSCRIPTION != 0
    }
}

/// The request, as far as the checks need it.
#[derive(Debug, Clone, Copy)]
pub struct PullAsk<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The queue.
    pub queue: QueueId,
    /// Flags.
    pub flags: PullFlags,
    /// The filter expression of the request.
    pub expression: &'a str,
    /// What kind of expression that is.
    pub expression_type: &'a str,
    /// The client's version of its subscription.
    pub sub_version: i64,
}

/// What the broker knows, as far as the checks need it.
#[derive(Debug, Clone, Copy)]
pub struct PullFacts<'a> {
    /// The broker's permission.
    pub permission: Perm,
    /// The broker's address, for remarks.
    pub ip: &'a str,
    /// The group, if it exists.
    pub group: Option<&'a SubscriptionGroupConfig>,
    /// The topic, if it exists.
    pub topic: Option<&'a TopicConfig>,
}

/// Checks all but the subscription.
pub fn check_pull(ask: PullAsk<'_>, facts: PullFacts<'_>) -> Result<(), PullRefusal> {
    if !facts.permission.allows(Perm::READ) {
        let ip = facts.ip;
        let remark = format_args!("the broker[{ip}] pulling message is forbidden");
        return Err(forbid(Forbidden::Broker, remark));
    }
    let group = facts.group.ok_or_else(|| Refusal::no_group(ask.group))?;
    if !group.consume_enable {
        let remark = format_args!("subscription group no permission, {}", ask.group);
        return Err(forbid(Forbidden::Group, remark));
    }
    let topic = facts.topic.ok_or_else(|| Refusal::no_topic(ask.topic))?;
    if !topic.perm.allows(Perm::READ) {
        let remark = format_args!("the topic[{}] pulling message is forbidden", ask.topic);
        return Err(forbid(Forbidden::Topic, remark));
    }
    if topic.read_queue_nums <= ask.queue.0 {
        return Err(Refusal::parameter(format_args!(
            "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}]",
            ask.queue, ask.topic, topic.read_queue_nums
        ))
        .into());
    }
    Ok(())
}

/// What a pull selects.
#[derive(Debug, Clone)]
pub enum PullFilter {
    /// What the group's heartbeats say.
    Subscribed(Arc<Subscription>),
    /// What the request says.
    Asked(Selector),
}

impl PullFilter {
    /// The selector.
    #[must_use]
    pub fn selector(&self) -> &Selector {
        match self {
            Self::Subscribed(subscription) => &subscription.filter,
            Self::Asked(selector) => selector,
        }
    }
}

/// Checks the subscription of the request, or that of the group: `online` is how the group consumes and
/// its subscription to the topic. `forbidden` tells whether the group may not read the topic.
pub fn check_subscription(
    ask: PullAsk<'_>,
    broadcast_allowed: impl FnOnce() -> bool,
    forbidden: impl FnOnce() -> bool,
    online: impl FnOnce() -> Option<(Manner, Option<Arc<Subscription>>)>,
) -> Result<PullFilter, PullRefusal> {
    if ask.flags.subscribes() {
        if !is_tag(ask.expression_type) {
            return Err(unsupported(ask.expression_type).into());
        }
        return Ok(PullFilter::Asked(Selector::parse(ask.expression)));
    }
    let (manner, subscription) = online().ok_or_else(|| {
        Refusal::new(ResponseCode::SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist")
    })?;
    if manner.model == MessageModel::Broadcasting && !broadcast_allowed() {
        let remark =
            format_args!("the consumer group[{}] can not consume by broadcast way", ask.group);
        return Err(forbid(Forbidden::Broadcasting, remark));
    }
    if forbidden() {
        let remark =
            format_args!("the consumer group[{}] is forbidden for topic[{}]", ask.group, ask.topic);
        return Err(forbid(Forbidden::Subscription, remark));
    }
    let subscription = subscription.ok_or_else(|| {
        Refusal::new(ResponseCode::SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist")
    })?;
    if subscription.data.sub_version < ask.sub_version {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_NOT_LATEST,
            "the consumer's subscription not latest",
        )
        .into());
    }
    if subscription.filter == Selector::Unsupported {
        return Err(unsupported(&subscription.data.expression_type).into());
    }
    Ok(PullFilter::Subscribed(subscription))
}

/// What is said of an expression that this broker cannot evaluate.
#[must_use]
pub fn unsupported(kind: &str) -> Refusal {
    Refusal::system(format_args!(
        "The broker does not support consumer to filter message by {kind}"
    ))
}

/// What the store found (`GetMessageStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Messages.
    Found,
    /// Only messages that the filter leaves out.
    NoMatchedMessage,
    /// The messages are just being deleted.
    MessageWasRemoving,
    /// The queue has no messages at all.
    NoMessageInQueue,
    /// The offset lies behind the queue's end.
    OffsetOverflowBadly,
    /// The offset is the queue's end.
    OffsetOverflowOne,
    /// The offset lies before the queue's first message.
    OffsetTooSmall,
    /// An admin moved the group.
    OffsetReset,
}

impl From<PullStatus> for Status {
    fn from(status: PullStatus) -> Self {
        match status {
            PullStatus::Found => Self::Found,
            PullStatus::NoMatchedMessage => Self::NoMatchedMessage,
            PullStatus::MessageWasRemoving => Self::MessageWasRemoving,
            PullStatus::OffsetOverflowOne => Self::OffsetOverflowOne,
            PullStatus::OffsetOverflowBadly => Self::OffsetOverflowBadly,
            PullStatus::OffsetTooSmall => Self::OffsetTooSmall,
            PullStatus::NoMessageInQueue => Self::NoMessageInQueue,
        }
    }
}

impl Status {
    /// The remark of the reply, which is Java's name of the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::OffsetReset => "OFFSET_RESET",
        }
    }

    /// The code of the reply to a pull at `offset`.
    #[must_use]
    pub const fn code(self, offset: QueueOffset) -> ResponseCode {
        match self {
            Self::Found => ResponseCode::SUCCESS,
            Self::NoMatchedMessage | Self::MessageWasRemoving => {
                ResponseCode::PULL_RETRY_IMMEDIATELY
            }
            Self::NoMessageInQueue if offset.0 == 0 => ResponseCode::PULL_NOT_FOUND,
            Self::OffsetOverflowOne => ResponseCode::PULL_NOT_FOUND,
            Self::NoMessageInQueue
            | Self::OffsetOverflowBadly
            | Self::OffsetTooSmall
            | Self::OffsetReset => ResponseCode::PULL_OFFSET_MOVED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumers::Manner;
    use gantry_remoting::wire::body::{ConsumeFromWhere, ConsumeType, SubscriptionData};

    fn ask(flags: i32) -> PullAsk<'static> {
        PullAsk {
            group: "g",
            topic: "t",
            queue: QueueId(3),
            flags: PullFlags(flags),
            expression: "a||b",
            expression_type: "",
            sub_version: 5,
        }
    }

    fn check(
        permission: Perm,
        group: Option<&SubscriptionGroupConfig>,
        topic: Option<&TopicConfig>,
    ) -> (i32, Option<Forbidden>) {
        let facts = PullFacts { permission, ip: "ip", group, topic };
        match check_pull(ask(0), facts) {
            Ok(()) => (0, None),
            Err(refused) => (refused.refusal.code.0, refused.forbidden),
        }
    }

    #[test]
    fn the_checks_come_in_javas_order() {
        let good = SubscriptionGroupConfig::default();
        let off = SubscriptionGroupConfig { consume_enable: false, ..good.clone() };
        let topic = TopicConfig { read_queue_nums: 4, ..TopicConfig::default() };
        let narrow = TopicConfig { read_queue_nums: 3, ..topic.clone() };
        let closed = TopicConfig { perm: Perm::WRITE, ..narrow.clone() };
        assert_eq!(check(Perm::WRITE, None, None), (16, Some(Forbidden::Broker)));
        assert_eq!(check(Perm::READ, None, None), (26, None));
        assert_eq!(check(Perm::READ, Some(&off), None), (16, Some(Forbidden::Group)));
        assert_eq!(check(Perm::READ, Some(&good), None), (17, None));
        assert_eq!(check(Perm::READ, Some(&good), Some(&closed)), (16, Some(Forbidden::Topic)));
        assert_eq!(check(Perm::READ, Some(&good), Some(&narrow)), (29, None));
        assert_eq!(check(Perm::READ, Some(&good), Some(&topic)), (0, None));
    }

    fn subscription(version: i64, kind: &str) -> Arc<Subscription> {
        let data = SubscriptionData {
            topic: "t".into(),
            sub_string: "*".into(),
            sub_version: version,
            expression_type: kind.into(),
            ..SubscriptionData::default()
        };
        Arc::new(Subscription { filter: Selector::of(&data), data })
    }

    #[test]
    fn the_subscription_is_checked_in_javas_order() {
        let manner = |model| Manner {
            consume: ConsumeType::Passively,
            model,
            from: ConsumeFromWhere::LastOffset,
        };
        let clustering = manner(MessageModel::Clustering);
        let check = |flags, broadcast, forbidden, online| {
            check_subscription(ask(flags), || broadcast, || forbidden, || online)
                .map(|_| ())
                .map_err(|refused| (refused.refusal.code.0, refused.forbidden))
        };
        assert_eq!(check(4, false, true, None), Ok(()), "the request subscribes itself");
        assert_eq!(check(0, true, false, None), Err((24, None)));
        assert_eq!(
            check(0, false, true, Some((manner(MessageModel::Broadcasting), None))),
            Err((16, Some(Forbidden::Broadcasting)))
        );
        assert_eq!(
            check(0, true, true, Some((clustering, None))),
            Err((16, Some(Forbidden::Subscription)))
        );
        assert_eq!(check(0, true, false, Some((clustering, None))), Err((24, None)));
        let old = Some((clustering, Some(subscription(4, ""))));
        assert_eq!(check(0, true, false, old), Err((25, None)));
        let sql = Some((clustering, Some(subscription(5, "SQL92"))));
        assert_eq!(check(0, true, false, sql), Err((1, None)));
        assert_eq!(check(0, true, false, Some((clustering, Some(subscription(5, "TAG"))))), Ok(()));
    }

    #[test]
    fn every_status_has_javas_code() {
        let code = |status: Status, offset| status.code(QueueOffset(offset)).0;
        assert_eq!(code(Status::Found, 3), 0);
        assert_eq!(code(Status::NoMatchedMessage, 3), 20);
        assert_eq!(code(Status::MessageWasRemoving, 3), 20);
        assert_eq!(code(Status::OffsetOverflowOne, 3), 19);
        let empty = Status::NoMessageInQueue;
        assert_eq!((code(empty, 0), code(empty, 3)), (19, 21));
        for status in [Status::OffsetTooSmall, Status::OffsetOverflowBadly, Status::OffsetReset] {
            assert_eq!((code(status, 0), code(status, 3)), (21, 21));
        }
    }
}
