//! What the protocol costs for one send: cut, decode, encode the answer, for both header forms.
//!
//! `cargo bench -p gantry-remoting` prints nanoseconds and allocations for each request, in batches of
//! 64 as a busy connection has them. The requests are those of `tests/golden`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench is a test that prints")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use bytes::BytesMut;
use gantry_model::{QueueId, QueueOffset};
use gantry_remoting::wire::{
    Answer, Frames, Replies,
    request::{BrokerRequest, send::SendReply},
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator that counts is one line more than the system's")]
// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const BATCH: usize = 64;
/// Short runs, many of them: the best one had a core to itself, whatever else the machine does.
const ROUNDS: u32 = 50;
const RUNS: u32 = 400;

fn main() {
    let json = include_bytes!("../tests/golden/send-message-v2.java-5.5.0.json.request.bin");
    let binary = include_bytes!("../tests/golden/send-message-v2.java-5.5.0.rocketmq.request.bin");
    let v1 = include_bytes!("../tests/golden/send-message.go.json.request.bin");
    for (name, frame) in [("json", &json[..]), ("binary", &binary[..]), ("json, v1", &v1[..])] {
        let batch = frame.repeat(BATCH);
        let copied = best(|state| copy(state, &batch));
        let cutting = best(|state| cut(state, &batch, Depth::Cut));
        let decode = best(|state| cut(state, &batch, Depth::Decode));
        let reply = best(|state| cut(state, &batch, Depth::Reply));
        println!(
            "{name:9} {:4} B: cut {:5.0} ns, + decode {:5.0} ns, + reply {:5.0} ns; {:.3} allocations",
            frame.len(),
            cutting.0 - copied.0,
            decode.0 - copied.0,
            reply.0 - copied.0,
            reply.1,
        );
    }
}

/// Nanoseconds and allocations for each request, of the best run.
fn best(mut round: impl FnMut(&mut State)) -> (f64, f64) {
    let mut best = f64::MAX;
    let mut allocations = 0.0;
    let mut state = State::default();
    for _ in 0..RUNS {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            round(&mut state);
        }
        let requests = f64::from(ROUNDS) * BATCH as f64;
        let nanos = start.elapsed().as_nanos() as f64 / requests;
        best = best.min(nanos);
        allocations = (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / requests;
    }
    (best, allocations)
}

#[derive(Default)]
struct State {
    buffer: BytesMut,
    frames: Frames,
    replies: Replies,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Cut,
    Decode,
    Reply,
}

/// What the kernel does when it fills the buffer; not part of the protocol's cost.
fn copy(state: &mut State, batch: &[u8]) {
    state.buffer.reserve(256 << 10);
    state.buffer.extend_from_slice(batch);
    black_box(&state.buffer);
    state.buffer.clear();
}

fn cut(state: &mut State, batch: &[u8], depth: Depth) {
    state.buffer.reserve(256 << 10);
    state.buffer.extend_from_slice(batch);
    state.frames.cut(&mut state.buffer).unwrap();
    if depth >= Depth::Decode {
        for frame in state.frames.requests() {
            let request = BrokerRequest::decode(&frame).unwrap();
            black_box((&request, frame.body()));
            if depth == Depth::Reply {
                state.replies.reply(frame.reply_to(), Answer::with(reply()));
            }
        }
    }
    black_box(&state.frames);
    state.frames.clear();
    state.replies.clear();
}

fn reply() -> SendReply<'static> {
    SendReply {
        msg_id: black_box("7F00000200002A9F0000000000000000"),
        queue_id: QueueId(black_box(0)),
        queue_offset: QueueOffset(black_box(123_456)),
        transaction_id: Some(black_box("7F00000101EB30946E0969C067F50000")),
        batch_uniq_id: None,
        recall_handle: None,
        region: Some("DefaultRegion"),
        trace_on: Some(true),
    }
}
