//! Answers that wait for the disk (SYNC_FLUSH): who adds them, who releases them, and what happens when
//! the disk takes too long.

use gantry_model::{Millis, PhysicalOffset};
use gantry_remoting::wire::ResponseCode;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{broker::Broker, pending::PendingReplies, sends::Unflushed};

/// Batches whose answers wait for the disk.
#[derive(Debug, Default)]
pub struct Flushes {
    pending: Mutex<PendingReplies<Unflushed>>,
    first: Notify,
}

impl Flushes {
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
