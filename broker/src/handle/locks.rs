//! LOCK_BATCH_MQ and UNLOCK_BATCH_MQ: which queues a client may consume in order.

use gantry_remoting::wire::{
    Answer, Frame,
    body::{self, LockBatch, LockedQueues},
};

use super::Call;
use crate::refusal::{self, Refusal};

/// Locks or renews, and tells which queues the client holds.
pub fn lock(call: &mut Call<'_>, frame: &Frame<'_>) {
    let result = read(frame).and_then(|ask| {
        let group = refusal::group(&ask.consumer_group)?;
        let now = call.broker.now();
        let held = call.broker.locks.lock(&group, &ask.client_id, ask.mq_set, now);
        let reply = body::to_fastjson(&LockedQueues { lock_ok_mq_set: held });
        Ok(Answer::body(reply))
    });
    call.answer(result);
}

/// Unlocks what the client holds.
pub fn unlock(call: &mut Call<'_>, frame: &Frame<'_>) {
    let result = read(frame).and_then(|ask| {
        let group = refusal::group(&ask.consumer_group)?;
        call.broker.locks.unlock(&group, &ask.client_id, &ask.mq_set);
        Ok(Answer::ok())
    });
    call.answer(result);
}

fn read(frame: &Frame<'_>) -> Result<LockBatch, Refusal> {
    body::parse(frame.body()).map_err(Refusal::body)
}
