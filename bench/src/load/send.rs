//! Sending: closed loop (as fast as answers come) and open loop (at a fixed rate).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use super::frame::{Form, OPAQUE_BASE, SendShape, Template, send};
use super::link::{Link, wait};
use super::reply::Reply;

/// What a run of sends looks like.
#[derive(Clone, Debug)]
pub(crate) struct SendLoad {
    pub(crate) topic: String,
    pub(crate) queues: u32,
    pub(crate) form: Form,
    pub(crate) size: usize,
    pub(crate) batch: usize,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
}

/// When the next request leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many unanswered requests on each connection at any time.
    Closed {
        /// Requests in flight on one connection.
        depth: usize,
    },
    /// So many requests a second, whether or not answers come. Latency counts from when the
    /// request was due.
    Open {
        /// Requests a second.
        rate: f64,
    },
}

/// What a run of sends came to.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Acknowledged messages.
    pub(crate) messages: u64,
    /// Answers with another code than 0.
    pub(crate) refused: u64,
    /// The first refusal, as the server put it.
    pub(crate) refusal: Option<String>,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Nanoseconds from (due) request to answer.
    pub(crate) latency: Histogram<u64>,
}

/// Requests that one connection can have unanswered; beyond it an open loop has failed.
const SLOTS: usize = 1 << 16;
/// How long the last answers may take.
const DRAIN: Duration = Duration::from_secs(10);

struct Lane {
    sent_at: Vec<u64>,
    sent: usize,
    answered: usize,
}

struct Run<'a> {
    load: &'a SendLoad,
    templates: Vec<Template>,
    links: Vec<Link>,
    lanes: Vec<Lane>,
    start: Instant,
    sequence: u64,
    sent: Sent,
}

/// Sends until `duration` is over, and waits for the last answers.
pub(crate) fn run(address: SocketAddr, load: &SendLoad, duration: Duration) -> Result<Sent> {
    let mut run = Run::open(address, load)?;
    match load.pace {
        Pace::Closed { depth } => run.closed(depth, duration)?,
        Pace::Open { rate } => run.open_loop(rate, duration)?,
    }
    run.drain()?;
    run.sent.seconds = run.start.elapsed().as_secs_f64();
    Ok(run.sent)
}

/// Sends until `messages` are acknowledged: fills a backlog.
pub(crate) fn fill(address: SocketAddr, load: &SendLoad, messages: u64) -> Result<u64> {
    let mut run = Run::open(address, load)?;
    let Pace::Closed { depth } = load.pace else { bail!("a backlog is filled in a closed loop") };
    while run.sequence * (load.batch as u64) < messages {
        run.turn(depth)?;
        wait(&run.links, Duration::from_millis(100))?;
    }
    run.drain()?;
    Ok(run.sent.messages)
}

impl<'a> Run<'a> {
    fn open(address: SocketAddr, load: &'a SendLoad) -> Result<Self> {
        let templates = (0..load.queues)
            .map(|queue| {
                let SendLoad { topic, form, size, batch, .. } = load;
                send(&SendShape { topic, queue, form: *form, size: *size, batch: *batch })
            })
            .collect();
        let links = (0..load.connections).map(|_| Link::open(address)).collect::<Result<_>>()?;
        let lanes = (0..load.connections)
            .map(|_| Lane { sent_at: vec![0; SLOTS], sent: 0, answered: 0 })
            .collect();
        let latency = Histogram::new_with_bounds(1_000, 100_000_000_000, 3)?;
        let sent = Sent { messages: 0, refused: 0, refusal: None, seconds: 0.0, latency };
        Ok(Self { load, templates, links, lanes, start: Instant::now(), sequence: 0, sent })
    }

    fn closed(&mut self, depth: usize, duration: Duration) -> Result<()> {
        while self.start.elapsed() < duration {
            self.turn(depth)?;
            wait(&self.links, Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// One look at every connection: take its answers, fill it up again, write.
    fn turn(&mut self, depth: usize) -> Result<()> {
        for lane in 0..self.links.len() {
            self.answers(lane)?;
            let now = self.now();
            while self.unanswered(lane) < depth {
                self.emit(lane, now)?;
            }
            self.link(lane)?.flush()?;
        }
        Ok(())
    }

    fn open_loop(&mut self, rate: f64, duration: Duration) -> Result<()> {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let mut due = Duration::ZERO;
        let mut lane = 0;
        while due < duration {
            let now = self.start.elapsed();
            while due <= now && due < duration {
                self.emit(lane, nanoseconds(due))?;
                self.link(lane)?.flush()?;
                lane = (lane + 1) % self.links.len();
                due += interval;
            }
            for lane in 0..self.links.len() {
                self.answers(lane)?;
                self.link(lane)?.flush()?;
            }
            wait(&self.links, due.saturating_sub(self.start.elapsed()))?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        let deadline = Instant::now() + DRAIN;
        while (0..self.links.len()).any(|lane| self.unanswered(lane) > 0) {
            if Instant::now() > deadline {
                bail!("requests without an answer after {DRAIN:?}");
            }
            for lane in 0..self.links.len() {
                self.link(lane)?.flush()?;
                self.answers(lane)?;
            }
            wait(&self.links, Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn emit(&mut self, lane: usize, at: u64) -> Result<()> {
        let templates = self.templates.len() as u64;
        let which = usize::try_from(self.sequence % templates)?;
        let template = self.templates.get(which).context("a template per queue")?;
        let state = self.lanes.get_mut(lane).context("a lane per link")?;
        let link = self.links.get_mut(lane).context("a link")?;
        let slot = state.sent % SLOTS;
        if state.sent - state.answered >= SLOTS {
            bail!("{SLOTS} requests without an answer: the server does not keep up");
        }
        template.emit(&mut link.output, OPAQUE_BASE + i32::try_from(slot)?, self.sequence, at);
        if let Some(sent_at) = state.sent_at.get_mut(slot) {
            *sent_at = at;
        }
        state.sent += 1;
        self.sequence += 1;
        Ok(())
    }

    fn answers(&mut self, lane: usize) -> Result<()> {
        let link = self.links.get_mut(lane).context("a link")?;
        let state = self.lanes.get_mut(lane).context("a lane per link")?;
        if !link.fill()? {
            return Ok(());
        }
        let now = nanoseconds(self.start.elapsed());
        while let Some(frame) = link.frame()? {
            let reply = Reply::parse(frame)?;
            let slot = usize::try_from(reply.opaque - OPAQUE_BASE)?;
            let sent_at = state.sent_at.get(slot).context("an answer to nothing")?;
            self.sent.latency.saturating_record(now.saturating_sub(*sent_at));
            state.answered += 1;
            if reply.code == 0 {
                self.sent.messages += self.load.batch as u64;
            } else {
                self.sent.refused += 1;
                self.sent.refusal.get_or_insert_with(|| reply.text());
            }
        }
        Ok(())
    }

    fn link(&mut self, lane: usize) -> Result<&mut Link> {
        self.links.get_mut(lane).context("a link")
    }

    fn unanswered(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.sent - lane.answered)
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

/// A duration as whole nanoseconds.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
