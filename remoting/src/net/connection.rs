//! The task of one connection, the same on the server's and the client's side.
//!
//! A round: read what has arrived, cut it, serve it, write the answers, look into the outbox, sleep.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, Peer, Service,
    ending::Ending,
    limits::LINGER,
    peer::{Taken, Unsent},
};
use crate::wire::{Frames, Replies, Rest};

/// What the connections of one server, or of one pool, have in common.
pub(super) struct Common {
    pub(super) limits: Limits,
    pub(super) unsent: Unsent,
    /// In KiB.
    pub(super) large_frames: Arc<Semaphore>,
    /// Finish what was asked, then close.
    pub(super) drain: CancellationToken,
    /// Close now.
    pub(super) kill: CancellationToken,
    pub(super) log: super::ending::EndingLog,
}

impl Common {
    pub(super) fn new(limits: Limits, drain: CancellationToken) -> Self {
        let large_frames = Arc::new(Semaphore::new(limits.large_frames / 1024));
        Self {
            limits,
            unsent: Unsent::default(),
            large_frames,
            drain,
            kill: CancellationToken::new(),
            log: super::ending::EndingLog::new(),
        }
    }
}

/// Serves a connection until it ends.
pub(super) async fn run<S: Service>(
    stream: TcpStream,
    peer: Peer,
    service: Arc<S>,
    common: Arc<Common>,
) {
    let mut session = service.open(&peer);
    let mut task = Task::new(stream, &peer, &common);
    let ending = tokio::select! {
        biased;
        ending = task.rounds(&*service, &mut session) => ending,
        () = common.kill.cancelled() => Ending::DrainCut(task.in_flight),
    };
    common.log.ended(peer.remote(), &ending);
    peer.closed();
    common.unsent.changed(task.counted_unsent, 0);
    service.close(session, &peer);
    if ending.is_orderly() {
        task.linger().await;
    }
}

struct Task<'c> {
    stream: TcpStream,
    peer: &'c Peer,
    common: &'c Common,
    buffer: BytesMut,
    rest: Rest,
    frames: Frames,
    out: Replies,
    /// Requests that have no answer yet.
    in_flight: usize,
    /// What of `out` is in the total.
    counted_unsent: usize,
    /// How much to read at once.
    read: usize,
    /// Rounds in a row in which far less was read.
    small_reads: u32,
    /// For a large frame that is under way.
    permit: Option<OwnedSemaphorePermit>,
    clock: Clock,
}

/// Since when the peer owes what.
struct Clock {
    /// When something last came.
    active: Instant,
    /// Whether something went since the idle time was last checked.
    wrote: bool,
    /// When the frame that is under way began.
    partial: Option<Instant>,
    /// When something to be written last went, or began to wait.
    stalled: Option<Instant>,
    /// When a drain gives up.
    drained: Option<Instant>,
}

impl<'c> Task<'c> {
    fn new(stream: TcpStream, peer: &'c Peer, common: &'c Common) -> Self {
        let clock = Clock {
            active: Instant::now(),
            wrote: false,
            partial: None,
            stalled: None,
            drained: None,
        };
        Self {
            stream,
            peer,
            common,
            buffer: BytesMut::new(),
            rest: Rest::Empty,
            frames: Frames::default(),
            out: Replies::default(),
            in_flight: 0,
            counted_unsent: 0,
            read: common.limits.read_min,
            small_reads: 0,
            permit: None,
            clock,
        }
    }

    async fn rounds<S: Service>(&mut self, service: &S, session: &mut S::Session) -> Ending {
        let mut timer = std::pin::pin!(tokio::time::sleep(FAR));
        loop {
            if let Err(ending) = self.round(service, session, timer.as_mut()).await {
                // Answers to what came before the end are written if the socket takes them.
                let _best_effort = self.flush();
                return ending;
            }
        }
    }

    async fn round<S: Service>(
        &mut self,
        service: &S,
        session: &mut S::Session,
        timer: std::pin::Pin<&mut Sleep>,
    ) -> Result<(), Ending> {
        if self.rest == Rest::More && !self.is_backed_up() {
            self.serve(service, session)?;
        }
        self.flush()?;
        let taken = self.peer.take(&mut self.out.chain, self.common.limits.unsent);
        self.in_flight = self.in_flight.saturating_sub(taken.answers);
        if !self.out.chain.is_empty() {
            self.flush()?;
        }
        self.check_end(&taken)?;
        if self.rest == Rest::More && !self.is_backed_up() {
            // The other connections of this worker have their turn.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let readable = self.sleep(timer).await?;
        self.peer.is_awake();
        if readable && self.fill()? {
            self.serve(service, session)?;
        }
        Ok(())
    }

    /// Cuts what has arrived and has it served.
    fn serve<S: Service>(&mut self, service: &S, session: &mut S::Session) -> Result<(), Ending> {
        let cut = self.frames.cut(&mut self.buffer);
        if !self.frames.is_empty() {
            self.permit = None;
            self.clock.partial = None;
            self.peer.answered(&self.frames);
            self.in_flight += self.frames.requests().filter(|request| !request.is_oneway()).count();
            service.batch(session, &self.frames, &mut self.out);
            self.in_flight = self.in_flight.saturating_sub(std::mem::take(&mut self.out.count));
            self.frames.clear();
        }
        self.rest = cut?;
        if matches!(self.rest, Rest::Partial { .. }) && self.clock.partial.is_none() {
            self.clock.partial = Some(self.clock.active);
        }
        Ok(())
    }

    /// Writes as much as the socket takes.
    fn flush(&mut self) -> io::Result<()> {
        while !self.out.chain.is_empty() {
            let mut slices = [io::IoSlice::new(&[]); 64];
            let count = self.out.chain.slices(&mut slices);
            match self.stream.try_write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(written) => {
                    self.out.chain.advance(written);
                    self.clock.stalled = None;
                    self.clock.wrote = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.clock.stalled.get_or_insert_with(Instant::now);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let unsent = self.out.chain.len();
        if unsent != self.counted_unsent {
            self.common.unsent.changed(self.counted_unsent, unsent);
            self.counted_unsent = unsent;
        }
        Ok(())
    }

    fn is_backed_up(&self) -> bool {
        let limits = &self.common.limits;
        let unsent = self.out.chain.len();
        unsent > limits.unsent
            || self.in_flight > limits.in_flight
            || (unsent > 0 && self.common.unsent.total() > limits.unsent_total)
    }

    /// Whether the connection's time has come: it was asked to close, or its drain is over.
    fn check_end(&mut self, taken: &Taken) -> Result<(), Ending> {
        let unsent = self.out.chain.len();
        if taken.choked {
            return Err(Ending::SlowReader(unsent));
        }
        if taken.closing && unsent == 0 {
            return Err(Ending::Asked);
        }
        if self.common.drain.is_cancelled() {
            let drain = self.common.limits.drain;
            self.clock.drained.get_or_insert_with(|| Instant::now() + drain);
            if unsent == 0 && self.in_flight == 0 && self.rest != Rest::More {
                return Err(Ending::Drained);
            }
        }
        Ok(())
    }

    /// Waits for the socket, the outbox, the drain or a deadline. Whether there may be bytes to read.
    async fn sleep(&mut self, mut timer: std::pin::Pin<&mut Sleep>) -> Result<bool, Ending> {
        let draining = self.clock.drained.is_some();
        let reads = !draining && !self.is_backed_up();
        if reads {
            self.make_room().await?;
        }
        let deadline = self.deadline();
        if timer.deadline() > deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        let interest = match (reads, self.out.chain.is_empty()) {
            (true, true) => Some(Interest::READABLE),
            (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
            (false, false) => Some(Interest::WRITABLE),
            (false, true) => None,
        };
        let socket = async {
            match interest {
                Some(interest) => self.stream.ready(interest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ready = socket => Ok(ready?.is_readable() && reads),
            () = self.peer.woken() => Ok(false),
            () = self.common.drain.cancelled(), if !draining => Ok(false),
            () = timer => self.check_deadlines().map(|()| false),
        }
    }

    /// When to look at the clock again.
    fn deadline(&self) -> Instant {
        let limits = &self.common.limits;
        let far = self.clock.active + FAR;
        let idle = limits.idle.map_or(far, |idle| self.clock.active + idle);
        let frame = self.clock.partial.map_or(far, |since| since + limits.whole_frame);
        let stalled = self.clock.stalled.map_or(far, |since| since + limits.stalled_write);
        idle.min(frame).min(stalled).min(self.clock.drained.unwrap_or(far))
    }

    fn check_deadlines(&mut self) -> Result<(), Ending> {
        let limits = &self.common.limits;
        let now = Instant::now();
        let over =
            |since: Option<Instant>, limit: Duration| since.is_some_and(|at| at + limit <= now);
        if self.clock.drained.is_some_and(|at| at <= now) {
            return Err(Ending::DrainCut(self.in_flight));
        }
        if over(self.clock.stalled, limits.stalled_write) {
            return Err(Ending::SlowReader(self.out.chain.len()));
        }
        if over(self.clock.partial, limits.whole_frame) {
            return Err(Ending::SlowFrame(limits.whole_frame.as_secs()));
        }
        let Some(idle) = limits.idle else { return Ok(()) };
        if self.clock.active + idle > now {
            return Ok(());
        }
        if !std::mem::take(&mut self.clock.wrote) {
            return Err(Ending::Idle(idle.as_secs()));
        }
        self.clock.active = now;
        Ok(())
    }

    /// Sees to it that the buffer has room for what comes next.
    async fn make_room(&mut self) -> Result<(), Ending> {
        if let Rest::Partial { wants } = self.rest
            && wants > LARGE_FRAME
        {
            self.permit(wants).await?;
            self.buffer.reserve(wants.saturating_sub(self.buffer.len()).max(self.read));
            return Ok(());
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * self.read {
            self.buffer = BytesMut::new();
        }
        let room = self.buffer.capacity() - self.buffer.len();
        if room < self.read.div_ceil(2) {
            self.buffer.reserve(self.read);
        }
        Ok(())
    }

    /// Memory for a large frame, of what all connections have together.
    async fn permit(&mut self, bytes: usize) -> Result<(), Ending> {
        let limits = &self.common.limits;
        let want = u32::try_from(bytes.min(limits.large_frames) / 1024).unwrap_or(u32::MAX);
        if self.permit.as_ref().is_some_and(|permit| permit.num_permits() >= want as usize) {
            return Ok(());
        }
        let semaphore = Arc::clone(&self.common.large_frames);
        let asked = tokio::time::timeout(limits.whole_frame, semaphore.acquire_many_owned(want));
        self.permit = match asked.await {
            Ok(permit) => permit.ok(),
            Err(_elapsed) => return Err(Ending::SlowFrame(limits.whole_frame.as_secs())),
        };
        Ok(())
    }

    /// Reads what has arrived. Whether there is something to cut.
    fn fill(&mut self) -> Result<bool, Ending> {
        let room = self.buffer.capacity() - self.buffer.len();
        let count = match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) if self.buffer.is_empty() => return Err(Ending::Eof),
            Ok(0) => return Err(Ending::EofInFrame),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.clock.active = Instant::now();
        if self.buffer.first() == Some(&TLS_HANDSHAKE) {
            return Err(Ending::Tls);
        }
        self.adapt(count, room);
        match self.rest {
            Rest::Partial { wants } if self.buffer.len() < wants => Ok(false),
            Rest::Partial { .. } | Rest::Empty | Rest::More => Ok(true),
        }
    }

    /// Reads more at once from a busy connection, less from a quiet one.
    fn adapt(&mut self, count: usize, room: usize) {
        let limits = &self.common.limits;
        if count == room {
            self.read = (self.read * 2).min(limits.read_max);
            self.small_reads = 0;
        } else if count < self.read / 4 && self.read > limits.read_min {
            self.small_reads += 1;
            if self.small_reads >= 64 {
                self.small_reads = 0;
                self.read = (self.read / 2).max(limits.read_min);
            }
        } else {
            self.small_reads = 0;
        }
    }

    /// Tells the peer that nothing more comes, and drops what it still sends, so that the kernel does
    /// not throw away the last answers together with the connection.
    async fn linger(&mut self) {
        let farewell = async {
            self.flush()?;
            while !self.out.chain.is_empty() {
                self.stream.writable().await?;
                self.flush()?;
            }
            self.stream.shutdown().await?;
            self.buffer = BytesMut::with_capacity(self.common.limits.read_min);
            while self.stream.read_buf(&mut self.buffer).await? > 0 {
                self.buffer.clear();
            }
            io::Result::Ok(())
        };
        // Whether the peer cares any more is its own affair.
        let _best_effort = tokio::time::timeout(LINGER, farewell).await;
    }
}

/// A frame of more bytes needs a permit before room is made for it.
const LARGE_FRAME: usize = 64 << 10;

/// When the clock is looked at although nothing is due.
const FAR: Duration = Duration::from_secs(3600);

/// The first byte of a TLS handshake; as a length word it would announce more than any frame has.
const TLS_HANDSHAKE: u8 = 0x16;
