//! Whether a message may be stored, and where it goes: the checks of `SendMessageProcessor` in its order,
//! first failure wins. Pure: topic, group and settings are given as values.

use gantry_model::{Millis, Perm, QueueId, Topic, properties::Properties, properties::name};
use gantry_remoting::wire::ResponseCode;

use crate::{refusal::Refusal, system};

/// Longest topic of a batch, in bytes.
const BATCH_TOPIC_MAX: usize = 127;
/// Requests of older clients carry a `maxReconsumeTimes` that means something else (3.4.9).
pub const MAX_RECONSUME_SINCE: i32 = 121;

/// What a broker checks before it looks at the topic's configuration.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// Now.
    pub now: Millis,
    /// Sends before this are refused.
    pub opens: Millis,
    /// The broker's permission.
    pub permission: Perm,
    /// The broker's address, for remarks.
    pub ip: &'a str,
}

/// Checks 1 to 4: the broker takes sends, and the topic's name is one that may be sent to. `ordered`
/// tells whether it is a known order topic.
pub fn check_gate(gate: Gate<'_>, topic: &str, ordered: Ordered) -> Result<Topic, Refusal> {
    if gate.now < gate.opens {
        return Err(Refusal::system(format_args!(
            "broker unable to service, until {}",
            gate.opens
        )));
    }
    if !gate.permission.allows(Perm::WRITE) && ordered == Ordered::Yes {
        return Err(Refusal::permission(format_args!(
            "the broker[{}] sending message is forbidden",
            gate.ip
        )));
    }
    let topic = crate::refusal::topic(topic)?;
    if system::is_not_sendable(&topic) {
        return Err(Refusal::permission(format_args!(
            "Sending message to topic[{topic}] is forbidden."
        )));
    }
    Ok(topic)
}

/// Whether a topic is known and was declared as one of ordered messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// It was.
    Yes,
    /// It was not, or there is no such topic.
    No,
}

/// Check 6: the queue is one that the topic has.
pub fn check_queue(
    topic: &Topic,
    asked: Option<QueueId>,
    (read, write): (u32, u32),
    pick: impl FnOnce(u32) -> u32,
) -> Result<QueueId, Refusal> {
    match asked {
        None => Ok(QueueId(pick(write.max(1)))),
        Some(queue) if queue.0 < read.max(write) => Ok(queue),
        Some(queue) => Err(Refusal::parameter(format_args!(
            "request queueId[{queue}] is illegal, topic[{topic}] has readQueueNums={read} writeQueueNums={write}"
        ))),
    }
}

/// Check 8: a batch goes to an ordinary topic.
pub fn check_batch(topic: &Topic) -> Result<(), Refusal> {
    if BATCH_TOPIC_MAX < topic.len() {
        return Err(Refusal::illegal(format_args!(
            "message topic length over 127 is not supported in a batch, length {}",
            topic.len()
        )));
    }
    if topic.is_retry() {
        return Err(Refusal::illegal("batch request does not support retry group"));
    }
    Ok(())
}

/// Where a message goes that a consumer's client sends to its retry topic by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// To the retry topic, as asked.
    Again,
    /// To the dead-letter topic.
    DeadLetter,
}

/// Decides on a message for a retry topic: too many deliveries, or a group that consumes in order, make
/// it a dead letter.
#[must_use]
pub fn retry(reconsumed: u32, max: i64, in_order: impl FnOnce() -> bool) -> Retry {
    if max < i64::from(reconsumed) || in_order() { Retry::DeadLetter } else { Retry::Again }
}

/// What the properties of a message say to the broker. Read in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes<'a> {
    /// The client's own id of the message.
    pub unique: Option<&'a str>,
    /// The tags.
    pub tags: Option<&'a str>,
    /// Delay level; 0 is none.
    pub delay: u32,
    /// Whether the answer need not wait for disk or replicas.
    pub no_wait: bool,
    /// Whether this is a half message.
    pub half: bool,
    /// Whether a delay other than by level is asked for.
    pub timer: bool,
    /// Whether there are properties that the broker replaces or removes.
    pub rewrite: bool,
}

impl<'a> Wishes<'a> {
    /// Reads the properties.
    #[must_use]
    pub fn read(properties: Properties<'a>) -> Self {
        let mut wishes = Self::default();
        for (key, value) in properties.pairs() {
            match key {
                name::UNIQ_KEY => wishes.unique = Some(value),
                name::TAGS => wishes.tags = Some(value),
                name::DELAY => wishes.delay = value.trim().parse().unwrap_or(0),
                name::WAIT => wishes.no_wait = !value.eq_ignore_ascii_case("true"),
                name::TRAN_MSG => wishes.half = value.eq_ignore_ascii_case("true"),
                name::TIMER_DELAY_SEC | name::TIMER_DELAY_MS | name::TIMER_DELIVER_MS => {
                    wishes.timer = true;
                }
                name::MSG_REGION | name::TRACE_ON | name::CLUSTER | name::POP_CK => {
                    wishes.rewrite = true;
                }
                _ => {}
            }
        }
        wishes
    }
}

/// Check 10 and the delays: what this broker does with half and delayed messages. `Ok` has the delay
/// level, 0 for a message that is delivered at once.
pub fn check_wishes(wishes: Wishes<'_>, reconsumed: u32, ip: &str) -> Result<u32, Refusal> {
    if wishes.half && !(0 < reconsumed && 0 < wishes.delay) {
        return Err(Refusal::permission(format_args!(
            "the broker[{ip}] sending transaction message is forbidden"
        )));
    }
    if wishes.timer && wishes.delay == 0 {
        return Err(Refusal::system(
            "accurate timer message is not enabled, timerWheelEnable is false",
        ));
    }
    Ok(wishes.delay)
}

/// Check 11: the sizes. `body` is what came, before any record is built.
pub fn check_size(body: usize, max: u32) -> Result<(), Refusal> {
    if usize::try_from(max).unwrap_or(usize::MAX) < body {
        return Err(too_large(max));
    }
    Ok(())
}

/// What Java says of a body or of properties that are too long.
#[must_use]
pub fn too_large(max: u32) -> Refusal {
    Refusal::new(
        ResponseCode::MESSAGE_ILLEGAL,
        format_args!(
            "the message is illegal, maybe msg body or properties length not matched. msg body length \
             limit {max}B, msg properties length limit 32KB."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn gate(now: u64, permission: Perm) -> Gate<'static> {
        Gate { now: Millis(now), opens: Millis(100), permission, ip: "10.0.0.1" }
    }

    #[test]
    fn the_gate_checks_in_javas_order() {
        let code = |now, permission, name: &str, ordered| {
            check_gate(gate(now, permission), name, ordered).map_err(|refusal| refusal.code.0)
        };
        assert_eq!(code(99, Perm::READ, "a.b", Ordered::Yes), Err(1));
        assert_eq!(code(100, Perm::READ, "a.b", Ordered::Yes), Err(16));
        assert_eq!(code(100, Perm::READ, "a.b", Ordered::No), Err(29));
        assert_eq!(code(100, Perm::READ_WRITE, "SCHEDULE_TOPIC_XXXX", Ordered::No), Err(16));
        assert_eq!(
            code(100, Perm::READ, "orders", Ordered::No),
            Ok(topic("orders")),
            "without W only order topics are refused"
        );
    }

    #[test]
    fn queues_are_counted_on_both_sides() {
        let pick = |asked: Option<u32>, queues| {
            check_queue(&topic("t"), asked.map(QueueId), queues, |n| n - 1)
                .map_err(|refusal| refusal.code.0)
        };
        assert_eq!(pick(Some(3), (4, 2)), Ok(QueueId(3)), "being shrunk");
        assert_eq!(pick(Some(3), (2, 4)), Ok(QueueId(3)), "being grown");
        assert_eq!(pick(Some(4), (4, 4)), Err(29));
        assert_eq!(pick(None, (8, 2)), Ok(QueueId(1)), "chosen among the writable ones");
        assert_eq!(pick(None, (8, 0)), Ok(QueueId(0)));
    }

    #[test]
    fn batches_go_to_ordinary_topics() {
        assert!(check_batch(&topic("t")).is_ok());
        assert_eq!(check_batch(&topic("%RETRY%g")).unwrap_err().code.0, 13);
        let long = topic(&format!("%DLQ%{}", "g".repeat(123)));
        assert_eq!(check_batch(&long).unwrap_err().code.0, 13);
    }

    #[test]
    fn a_retry_becomes_a_dead_letter_after_the_last_try_or_in_order() {
        assert_eq!(retry(16, 16, || false), Retry::Again);
        assert_eq!(retry(17, 16, || false), Retry::DeadLetter);
        assert_eq!(retry(0, 16, || true), Retry::DeadLetter);
        assert_eq!(retry(u32::MAX, i64::from(i32::MAX), || false), Retry::DeadLetter);
    }

    #[test]
    fn wishes_are_read_in_one_pass() {
        let text = b"UNIQ_KEY\x01abc\x02TAGS\x01a\x02DELAY\x013\x02WAIT\x01false\x02TRAN_MSG\x01true\x02CLUSTER\x01c\x02";
        let wishes = Wishes::read(Properties::new(text));
        assert_eq!(
            wishes,
            Wishes {
                unique: Some("abc"),
                tags: Some("a"),
                delay: 3,
                no_wait: true,
                half: true,
                timer: false,
                rewrite: true
            }
        );
        assert_eq!(check_wishes(wishes, 0, "ip").unwrap_err().code.0, 16);
        assert_eq!(
            check_wishes(wishes, 1, "ip"),
            Ok(3),
            "clients before 4.6.1 retry half messages"
        );
        let timer = Wishes::read(Properties::new(b"TIMER_DELAY_SEC\x019\x02DELAY\x01x\x02"));
        assert_eq!(check_wishes(timer, 0, "ip").unwrap_err().code.0, 1);
    }

    #[test]
    fn a_body_may_have_the_full_size() {
        assert!(check_size(10, 10).is_ok());
        assert_eq!(check_size(11, 10).unwrap_err().code.0, 13);
    }
}
