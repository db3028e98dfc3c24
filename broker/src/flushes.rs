//! Answers that wait for the disk (SYNC_FLUSH): who adds them, who releases them, and what happens when
//! the disk takes too long.

use gantry_model::{Millis, PhysicalOffset};
use gantry_remoting::wire::ResponseCode;
use gantry_store::Flusher;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{broker::Broker, pending::PendingReplies, sends::Unflushed};

/// Batches whose answers wait for the disk.
#[derive(Debug, Default)]
pub struct Flushes {
    pending: Mutex<PendingReplies<Unflushed>>,
    first: Notify,
    senders: Mutex<Senders>,
}

/// Who sent the last batches.
#[derive(Debug, Default)]
struct Senders {
    /// A connection's number.
    last: u64,
    /// Batches in a row that were its.
    row: u32,
}

/// Batches in a row of one connection from which it counts as the only one that sends. With fewer, connections that take
/// turns would be flushed for one by one instead of together.
const ALONE: u32 = 16;

impl Senders {
    /// This connection sends a batch. Who is to flush it.
    fn sent(&mut self, connection: u64) -> Flusher {
        if self.last != connection {
            *self = Self { last: connection, row: 0 };
        }
        self.row = self.row.saturating_add(1);
        if ALONE < self.row { Flusher::Caller } else { Flusher::Thread }
    }
}

impl Flushes {
    /// This connection sends a batch. Who is to flush it: the connection's own task if no other connection sends.
    pub fn sent(&self, connection: u64) -> Flusher {
        self.senders.lock().sent(connection)
    }

    /// Parks the answers of a batch that ends at `end` in the log.
    pub fn add(&self, broker: &Broker, end: PhysicalOffset, answers: Unflushed) {
        let deadline = broker.now().plus(broker.fixed.sync_flush_timeout);
        let mut pending = self.pending.lock();
        let was_empty = pending.is_empty();
        pending.add(end, deadline, answers);
        drop(pending);
        if was_empty {
            self.first.notify_one();
        }
        // The flush may have passed `end` just before the answers were here.
        self.release(broker, broker.store.flushed());
    }

    /// The log is on the disk up to `flushed`.
    pub fn release(&self, broker: &Broker, flushed: PhysicalOffset) {
        let ready: Vec<_> = self.pending.lock().flushed(flushed).collect();
        for answers in ready {
            answers.release(broker, ResponseCode::SUCCESS);
        }
    }

    /// Answers what waits for too long, until it is to stop.
    pub async fn time_out(&self, broker: &Broker, stop: &CancellationToken) {
        loop {
            let next = self.pending.lock().next_deadline();
            let late = async {
                match next {
                    None => self.first.notified().await,
                    Some(deadline) => broker.sleep_until(deadline).await,
                }
            };
            if stop.run_until_cancelled(late).await.is_none() {
                return;
            }
            self.answer_late(broker, broker.now());
        }
    }

    fn answer_late(&self, broker: &Broker, now: Millis) {
        let late = self.pending.lock().overdue(now);
        if !late.is_empty() {
            tracing::warn!(batches = late.len(), "the disk did not confirm in time");
        }
        for answers in late {
            answers.release(broker, ResponseCode::FLUSH_DISK_TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushed_by(connections: impl IntoIterator<Item = u64>) -> Vec<Flusher> {
        let mut senders = Senders::default();
        connections.into_iter().map(|connection| senders.sent(connection)).collect()
    }

    #[test]
    fn only_a_connection_that_sends_alone_flushes_itself() {
        let alone = flushed_by([7; ALONE as usize + 2]);
        let (first, rest) = alone.split_at(ALONE as usize);
        assert!(first.iter().all(|flusher| *flusher == Flusher::Thread));
        assert!(rest.iter().all(|flusher| *flusher == Flusher::Caller));
        let turns = flushed_by((0..100).map(|at| at % 2));
        assert!(turns.iter().all(|flusher| *flusher == Flusher::Thread));
    }

    #[test]
    fn another_sender_ends_it_at_once() {
        let sent = flushed_by(std::iter::repeat_n(7, 50).chain([8, 7]));
        assert_eq!(&sent[49..], [Flusher::Caller, Flusher::Thread, Flusher::Thread]);
    }
}
