//! The handle of a connection: from any thread, send a late answer or a request, or close it.
//!
//! What is sent waits in one chain under one short lock until the connection's task takes it. The task
//! is woken only if it sleeps, so that answers that are ready while a batch is served cost no wake-up.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::wire::{
    Body, Chain, Command, Frames, Header, HeaderForm, Oneway, Replies, RequestCode, RequestLine,
};

/// The connection is closed, or its peer does not read: what was to be sent is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct Closed;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection was closed before the answer came. Whether the request was served is unknown.
    #[error("the connection is closed")]
    Closed,
    /// No answer in time. Whether the request was served is unknown.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// There is no connection; the request was not sent.
    #[error(transparent)]
    Connect(#[from] super::ConnectError),
}

impl From<Closed> for CallError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// One end of a connection, seen from this side of it. Clones are the same connection; two are equal
/// if they are.
#[derive(Clone)]
pub struct Peer(Arc<Shared>);

struct Shared {
    id: u64,
    remote: SocketAddr,
    local: SocketAddr,
    unsent_max: usize,
    outbox: Mutex<Outbox>,
    wake: Notify,
    /// Whether the task must be woken. Set under the outbox's lock, so that whoever puts something in
    /// behind the task's last look sees it.
    asleep: AtomicBool,
    /// How often something was read: a request that times out while this stands still has met a dead
    /// connection.
    reads: AtomicU64,
}

#[derive(Default)]
struct Outbox {
    chain: Chain,
    /// Answers in `chain`.
    answers: usize,
    calls: HashMap<i32, oneshot::Sender<Command>, foldhash::fast::RandomState>,
    opaque: i32,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Somebody asked for the end.
    Closing,
    /// The peer does not read; nothing is accepted any more.
    Choked,
    Closed,
}

/// What a task finds when it looks into its outbox.
pub(super) struct Taken {
    /// Answers that were taken.
    pub(super) answers: usize,
    pub(super) closing: bool,
    pub(super) choked: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Peer {
    pub(super) fn new(remote: SocketAddr, local: SocketAddr, unsent_max: usize) -> Self {
        Self(Arc::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            remote,
            local,
            unsent_max,
            outbox: Mutex::default(),
            wake: Notify::new(),
            asleep: AtomicBool::new(false),
            reads: AtomicU64::new(0),
        }))
    }

    /// A number that no other connection of this process has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The other end's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.0.remote
    }

    /// This end's address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// Whether something can still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.outbox.lock().state == State::Open
    }

    /// Sends answers that were not ready when their batch was served. Never waits.
    pub fn send(&self, replies: Replies) -> Result<(), Closed> {
        self.put(|outbox| {
            outbox.answers += replies.count;
            outbox.chain.append(replies.chain);
        })
    }

    /// Writes answers straight into the outbox, which saves a buffer. `write` runs under a lock.
    pub fn reply(&self, write: impl FnOnce(&mut Replies)) -> Result<(), Closed> {
        self.put(|outbox| {
            let mut replies = Replies { chain: std::mem::take(&mut outbox.chain), count: 0 };
            write(&mut replies);
            outbox.answers += replies.count;
            outbox.chain = replies.chain;
        })
    }

    /// Sends a request that is not answered.
    pub fn oneway<'h, H: Header<'h>>(
        &self,
        code: RequestCode,
        header: &H,
        body: Body<'_>,
    ) -> Result<(), Closed> {
        self.put(|outbox| {
            let line = RequestLine {
                code,
                opaque: outbox.next_opaque(),
                form: HeaderForm::Json,
                oneway: Oneway::Yes,
            };
            outbox.chain.request(line, header, body);
        })
    }

    /// Sends a request and waits for the answer, whatever its code. The request is on its way when this
    /// returns, before the future is polled; a future that is dropped gives up waiting.
    ///
    /// The header goes out as JSON, which every peer understands.
    pub fn request<'h, H: Header<'h>>(
        &self,
        code: RequestCode,
        header: &H,
        body: Body<'_>,
        timeout: Duration,
    ) -> Answered {
        self.request_as(HeaderForm::Json, (code, header, body), timeout)
    }

    /// As [`Self::request`], with the header in a given form.
    pub fn request_as<'h, H: Header<'h>>(
        &self,
        form: HeaderForm,
        (code, header, body): (RequestCode, &H, Body<'_>),
        timeout: Duration,
    ) -> Answered {
        let (answer, answered) = oneshot::channel();
        let sent = self.put(|outbox| {
            let opaque = outbox.next_opaque();
            let line = RequestLine { code, opaque, form, oneway: Oneway::No };
            outbox.chain.request(line, header, body);
            outbox.calls.insert(opaque, answer);
            opaque
        });
        let reads = self.0.reads.load(Ordering::Relaxed);
        let call = sent.map(|opaque| Call { peer: self.clone(), opaque, reads });
        Box::pin(async move { call?.answered(answered, timeout).await })
    }

    /// Ends the connection when what was sent so far is written.
    pub fn close(&self) {
        let mut outbox = self.0.outbox.lock();
        if outbox.state == State::Open {
            outbox.state = State::Closing;
        }
        drop(outbox);
        self.wake();
    }

    fn put<T>(&self, put: impl FnOnce(&mut Outbox) -> T) -> Result<T, Closed> {
        let mut outbox = self.0.outbox.lock();
        if outbox.state != State::Open {
            return Err(Closed);
        }
        let value = put(&mut outbox);
        if outbox.chain.len() > self.0.unsent_max {
            outbox.state = State::Choked;
        }
        drop(outbox);
        self.wake();
        Ok(value)
    }

    fn wake(&self) {
        if self.0.asleep.load(Ordering::Acquire) && self.0.asleep.swap(false, Ordering::AcqRel) {
            self.0.wake.notify_one();
        }
    }

    /// Moves what waits behind `out`, unless that has more than `enough` bytes already: then it stays
    /// here, where it is bounded. The next to send something wakes the task.
    pub(super) fn take(&self, out: &mut Chain, enough: usize) -> Taken {
        let mut outbox = self.0.outbox.lock();
        let full = out.len() > enough;
        if full {
            // The socket wakes the task.
        } else if out.is_empty() {
            std::mem::swap(out, &mut outbox.chain);
        } else if !outbox.chain.is_empty() {
            out.append(std::mem::take(&mut outbox.chain));
        }
        self.0.asleep.store(true, Ordering::Release);
        Taken {
            answers: if full { 0 } else { std::mem::take(&mut outbox.answers) },
            closing: outbox.state == State::Closing && outbox.chain.is_empty(),
            choked: outbox.state == State::Choked,
        }
    }

    /// The task looks into the outbox again before it sleeps: nobody needs to wake it.
    pub(super) fn is_awake(&self) {
        self.0.asleep.store(false, Ordering::Release);
    }

    /// Until somebody sends something, after [`Self::take`] found nothing.
    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// Hands answers to those who wait for them. Answers that nobody waits for are dropped.
    pub(super) fn answered(&self, frames: &Frames) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        if frames.responses().len() == 0 {
            return;
        }
        let mut outbox = self.0.outbox.lock();
        for response in frames.responses() {
            if let Some(call) = outbox.calls.remove(&response.opaque()) {
                // Whoever waited may have given up this moment.
                let _late = call.send(response.to_command());
            }
        }
    }

    /// Nothing is accepted any more, and nobody waits any longer.
    pub(super) fn closed(&self) {
        let mut outbox = self.0.outbox.lock();
        outbox.state = State::Closed;
        outbox.chain = Chain::default();
        outbox.calls.clear();
    }
}

impl Outbox {
    fn next_opaque(&mut self) -> i32 {
        self.opaque = self.opaque.wrapping_add(1) & i32::MAX;
        self.opaque
    }
}

/// The answer to a request, or why there is none.
pub type Answered = Pin<Box<dyn Future<Output = Result<Command, CallError>> + Send>>;

/// A request that waits for its answer; the peer forgets it when this is dropped.
struct Call {
    peer: Peer,
    opaque: i32,
    /// How often something had been read when the request was sent.
    reads: u64,
}

impl Call {
    async fn answered(
        self,
        answer: oneshot::Receiver<Command>,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(command)) => Ok(command),
            Ok(Err(_dropped)) => Err(CallError::Closed),
            Err(_elapsed) => {
                if self.peer.0.reads.load(Ordering::Relaxed) == self.reads {
                    self.peer.close();
                }
                Err(CallError::Timeout(timeout))
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.peer.0.outbox.lock().calls.remove(&self.opaque);
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Peer {}

impl std::hash::Hash for Peer {
    fn hash<S: std::hash::Hasher>(&self, state: &mut S) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} {} at {})", self.0.id, self.0.remote, self.0.local)
    }
}

/// Bytes that wait to be written on all connections of a server.
#[derive(Debug, Default)]
pub(super) struct Unsent(AtomicUsize);

impl Unsent {
    /// This connection's share changed.
    pub(super) fn changed(&self, before: usize, now: usize) {
        if now > before {
            self.0.fetch_add(now - before, Ordering::Relaxed);
        } else if before > now {
            self.0.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    pub(super) fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
