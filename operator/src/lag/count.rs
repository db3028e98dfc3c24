//! The backlog of a group in a topic, from what the brokers say of its queues. Pure.
//!
//! - A queue of which the group has committed no offset counts from where a new member would start.
//! - What the log has deleted is not counted: nobody can consume it.
//! - The age is that of the oldest message not consumed, by the time at which it was stored; 0 if there
//!   is none.

use gantry_model::Millis;

use crate::crd::StartFrom;

/// One queue, as its broker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// The first message that is kept.
    pub min: u64,
    /// The next message that will be stored.
    pub max: u64,
    /// The next message that the group wants, if it has ever said so.
    pub committed: Option<u64>,
    /// How far members have fetched, if any is online.
    pub fetched: Option<u64>,
    /// When the first message not consumed was stored, if there is one.
    pub head_stored: Option<Millis>,
}

/// The backlog of a group in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Messages not consumed.
    pub messages: u64,
    /// Those of them that members have fetched.
    pub inflight: u64,
    /// Age of the oldest of them.
    pub latency: Millis,
}

impl Lag {
    /// Messages that no member has fetched.
    #[must_use]
    pub const fn ready(&self) -> u64 {
        self.messages.saturating_sub(self.inflight)
    }
}

impl Queue {
    /// The first message that the group has yet to consume.
    #[must_use]
    pub fn head(&self, start_from: StartFrom) -> u64 {
        let fresh = match start_from {
            StartFrom::Earliest => self.min,
            // A broker lets new groups begin at the first message of a queue that still has it
            // (ConsumerManageProcessor.queryConsumerOffset); else they begin at the end.
            StartFrom::Latest if self.min == 0 => 0,
            StartFrom::Latest => self.max,
        };
        self.committed.unwrap_or(fresh).clamp(self.min, self.max.max(self.min))
    }

    fn messages(&self, start_from: StartFrom) -> u64 {
        self.max.saturating_sub(self.head(start_from))
    }
}

/// The backlog over all queues of a topic, on all brokers.
#[must_use]
pub fn lag<'a>(
    queues: impl IntoIterator<Item = &'a Queue>,
    start_from: StartFrom,
    now: Millis,
) -> Lag {
    let mut lag = Lag::default();
    for queue in queues {
        let messages = queue.messages(start_from);
        let fetched = queue.fetched.map_or(0, |at| at.saturating_sub(queue.head(start_from)));
        lag.messages = lag.messages.saturating_add(messages);
        lag.inflight = lag.inflight.saturating_add(fetched.min(messages));
        if let Some(stored) = queue.head_stored.filter(|_| messages > 0) {
            lag.latency = lag.latency.max(Millis(now.since(stored)));
        }
    }
    lag
}

/// Whether the group or topic belongs to the broker itself; nobody waits for those.
#[must_use]
pub fn is_of_the_system(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "TOOLS_CONSUMER",
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "__MONITOR_CONSUMER",
        "TBW102",
        "BenchmarkTest",
        "SELF_TEST_TOPIC",
        "OFFSET_MOVED_EVENT",
        "SCHEDULE_TOPIC_XXXX",
        "TRANS_CHECK_MAX_TIME_TOPIC",
        "CHECKPOINT_TOPIC",
    ];
    const PREFIXES: &[&str] = &["CID_RMQ_SYS_", "CID_ONS", "rmq_sys_", "RMQ_SYS_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use StartFrom::{Earliest, Latest};

    fn queue(min: u64, max: u64, committed: Option<u64>) -> Queue {
        Queue { min, max, committed, ..Queue::default() }
    }

    fn messages(queue: Queue, start_from: StartFrom) -> u64 {
        lag(&[queue], start_from, Millis(0)).messages
    }

    #[test]
    fn messages_behind_the_committed_offset_are_the_lag() {
        assert_eq!(messages(queue(0, 100, Some(40)), Latest), 60);
        assert_eq!(messages(queue(0, 100, Some(100)), Latest), 0);
    }

    #[test]
    fn a_queue_without_an_offset_counts_from_where_a_member_would_start() {
        assert_eq!(messages(queue(0, 100, None), Latest), 100);
        assert_eq!(messages(queue(30, 100, None), Latest), 0);
        assert_eq!(messages(queue(30, 100, None), Earliest), 70);
    }

    #[test]
    fn deleted_messages_and_offsets_beyond_the_end_do_not_count() {
        assert_eq!(messages(queue(50, 100, Some(10)), Latest), 50);
        assert_eq!(messages(queue(0, 100, Some(500)), Latest), 0);
    }

    #[test]
    fn the_age_is_that_of_the_oldest_message_not_consumed() {
        let at = |committed, stored| Queue {
            head_stored: Some(Millis(stored)),
            ..queue(0, 10, Some(committed))
        };
        let lag_of = |queues: &[Queue]| lag(queues, Latest, Millis(10_000));
        assert_eq!(lag_of(&[at(4, 9_000), at(5, 7_500)]).latency, Millis(2_500));
        assert_eq!(lag_of(&[at(10, 1_000)]).latency, Millis(0));
        assert_eq!(lag_of(&[at(4, 10_500)]).latency, Millis(0), "a clock that is ahead");
    }

    #[test]
    fn what_members_have_fetched_is_in_flight() {
        let fetched = Queue { fetched: Some(70), ..queue(0, 100, Some(40)) };
        let lag = lag(&[fetched, queue(0, 10, Some(0))], Latest, Millis(0));
        assert_eq!((lag.messages, lag.inflight, lag.ready()), (70, 30, 40));
    }
}
