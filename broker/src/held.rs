//! Answers to sends that wait until the topic which they went to is in topics.json.
//!
//! A topic that a send has made is known in memory at once and in the file a moment later. An answer in
//! between would promise messages that nobody can ask for if the process dies then. So the answers of
//! such a batch are held, by the generation of the topics in which its topic is as it should be. Batches to
//! topics that are in the file never come here. Bounded by what connections may have in flight.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gantry_remoting::wire::ResponseCode;
use parking_lot::Mutex;

use crate::{broker::Broker, sends::Stored};

/// The batches, and what became of topics.json.
#[derive(Debug, Default)]
pub struct Held {
    saved: AtomicU64,
    failed: AtomicU64,
    batches: Mutex<Vec<(u64, Stored)>>,
}

impl Held {
    /// How a batch is to be answered that needs this generation in the file; `None` while it is not written.
    fn outcome(&self, generation: u64) -> Option<ResponseCode> {
        if generation <= self.saved.load(Ordering::Acquire) {
            return Some(ResponseCode::SUCCESS);
        }
        let failed = generation <= self.failed.load(Ordering::Acquire);
        failed.then_some(ResponseCode::FLUSH_DISK_TIMEOUT)
    }

    /// Whether nothing waits for this generation.
    #[must_use]
    pub fn is_saved(&self, generation: u64) -> bool {
        self.outcome(generation) == Some(ResponseCode::SUCCESS)
    }

    /// Holds a batch until the file has this generation.
    pub fn add(&self, broker: &Arc<Broker>, generation: u64, batch: Stored) {
        self.batches.lock().push((generation, batch));
        // The file may have been written just before.
        self.release(broker);
    }

    /// The file has this generation.
    pub fn saved(&self, broker: &Arc<Broker>, generation: u64) {
        self.saved.fetch_max(generation, Ordering::AcqRel);
        self.release(broker);
    }

    /// The file could not be written with this generation. What waits for it is answered as stored but not
    /// sure to survive, which is what FLUSH_DISK_TIMEOUT tells a producer.
    pub fn failed(&self, broker: &Arc<Broker>, generation: u64) {
        self.failed.fetch_max(generation, Ordering::AcqRel);
        self.release(broker);
    }

    fn release(&self, broker: &Arc<Broker>) {
        let ready: Vec<_> = self
            .batches
            .lock()
            .extract_if(.., |(generation, _)| self.outcome(*generation).is_some())
            .collect();
        for (generation, batch) in ready {
            let code = self.outcome(generation).unwrap_or(ResponseCode::FLUSH_DISK_TIMEOUT);
            batch.answer(broker, code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_file_is_sure_and_what_failed_is_not_until_it_is() {
        let held = Held::default();
        assert!(held.is_saved(0));
        assert_eq!(held.outcome(3), None);
        held.failed.store(3, Ordering::Release);
        assert_eq!(held.outcome(3), Some(ResponseCode::FLUSH_DISK_TIMEOUT));
        assert_eq!(held.outcome(4), None);
        held.saved.store(5, Ordering::Release);
        assert_eq!(held.outcome(3), Some(ResponseCode::SUCCESS));
        assert!(held.is_saved(5));
    }
}
