//! Pulling: a backlog as fast as it comes, and the tail while somebody sends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use super::frame::{Form, OPAQUE_BASE, SendShape, Template, pull, send};
use super::link::{Link, wait};
use super::reply::{Reply, records};
use super::send::nanoseconds;

/// Messages asked for at once, as the official push consumer does.
const MESSAGES_AT_ONCE: u32 = 32;
/// How long a drained queue may stay without anything before the run has failed.
const STUCK: Duration = Duration::from_secs(15);

const FOUND: i32 = 0;
const NOT_FOUND: i32 = 19;
const RETRY: i32 = 20;

/// What was read.
#[derive(Debug)]
pub(crate) struct Pulled {
    /// Messages, each checked: place in its queue, checksum.
    pub(crate) messages: u64,
    /// Bytes of the pull replies' bodies.
    pub(crate) bytes: u64,
    /// From the first request on.
    pub(crate) seconds: f64,
    /// Nanoseconds from a message's due time to its arrival; empty for a backlog.
    pub(crate) latency: Histogram<u64>,
}

struct Reader {
    templates: Vec<Template>,
    next: Vec<u64>,
    pulled: Pulled,
}

/// Reads `messages` messages of `topic`, one pull in flight for each queue, the queues spread
/// over `connections`.
pub(crate) fn backlog(
    address: SocketAddr,
    topic: &str,
    queues: u32,
    messages: u64,
    connections: usize,
) -> Result<Pulled> {
    let mut reader = Reader::new(topic, queues, None)?;
    let mut links = (0..connections).map(|_| Link::open(address)).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    for queue in 0..queues as usize {
        let link = links.get_mut(queue % connections).context("a link")?;
        reader.ask(queue, link)?;
    }
    let mut moved = Instant::now();
    while reader.pulled.messages < messages {
        if moved.elapsed() > STUCK {
            bail!("{} of {messages} messages, then nothing", reader.pulled.messages);
        }
        wait(&links, Duration::from_millis(100))?;
        for link in &mut links {
            if reader.take(link, |_, _| ())? {
                moved = Instant::now();
            }
        }
    }
    reader.pulled.seconds = start.elapsed().as_secs_f64();
    Ok(reader.pulled)
}

/// Sends `rate` messages of 1 KiB a second over one connection and reads them over another with
/// held pulls; latency is from when a message was due to be sent to when it was read.
pub(crate) fn tail(
    address: SocketAddr,
    topic: &str,
    queues: u32,
    rate: f64,
    duration: Duration,
) -> Result<Pulled> {
    let templates: Vec<Template> = (0..queues)
        .map(|queue| send(&SendShape { topic, queue, form: Form::Json, size: 1024, batch: 1 }))
        .collect();
    let mut reader = Reader::new(topic, queues, Some(15_000))?;
    let mut links = [Link::open(address)?, Link::open(address)?];
    let [producer, consumer] = &mut links;
    for queue in 0..queues as usize {
        reader.ask(queue, consumer)?;
    }
    producer.flush()?;
    let start = Instant::now();
    let interval = Duration::from_secs_f64(1.0 / rate);
    let (mut due, mut sequence) = (Duration::ZERO, 0_u64);
    let mut latency = Histogram::new_with_bounds(1_000, 100_000_000_000, 3)?;
    while reader.pulled.messages < sequence || due < duration {
        let [producer, consumer] = &mut links;
        while due <= start.elapsed() && due < duration {
            let which = usize::try_from(sequence % templates.len() as u64)?;
            let template = templates.get(which).context("a template per queue")?;
            let slot = i32::try_from(sequence % 0x10000)?;
            template.emit(&mut producer.output, OPAQUE_BASE + slot, sequence, nanoseconds(due));
            producer.flush()?;
            sequence += 1;
            due += interval;
        }
        producer.flush()?;
        acknowledged(producer)?;
        reader.take(consumer, |_, body| {
            let stamp = body.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b));
            latency.saturating_record(nanoseconds(start.elapsed()).saturating_sub(stamp));
        })?;
        if start.elapsed() > duration + STUCK {
            bail!("{} of {sequence} messages came", reader.pulled.messages);
        }
        let left = due.saturating_sub(start.elapsed());
        wait(&links, if due < duration { left } else { Duration::from_millis(100) })?;
    }
    reader.pulled.seconds = start.elapsed().as_secs_f64();
    reader.pulled.latency = latency;
    Ok(reader.pulled)
}

fn acknowledged(producer: &mut Link) -> Result<()> {
    if producer.fill()? {
        while let Some(frame) = producer.frame()? {
            let reply = Reply::parse(frame)?;
            if reply.code != 0 {
                bail!("a send was refused: {}", reply.text());
            }
        }
    }
    Ok(())
}

impl Reader {
    fn new(topic: &str, queues: u32, suspend: Option<u32>) -> Result<Self> {
        let templates = (0..queues).map(|q| pull(topic, q, MESSAGES_AT_ONCE, suspend)).collect();
        let latency = Histogram::new_with_bounds(1_000, 100_000_000_000, 3)?;
        let pulled = Pulled { messages: 0, bytes: 0, seconds: 0.0, latency };
        Ok(Self { templates, next: vec![0; queues as usize], pulled })
    }

    fn ask(&self, queue: usize, link: &mut Link) -> Result<()> {
        let template = self.templates.get(queue).context("a template per queue")?;
        let next = self.next.get(queue).context("an offset per queue")?;
        template.emit_from(&mut link.output, OPAQUE_BASE + i32::try_from(queue)?, *next);
        link.flush()
    }

    /// Takes what arrived, checks it, asks for more; false when nothing had arrived.
    fn take(&mut self, link: &mut Link, mut each: impl FnMut(i64, &[u8])) -> Result<bool> {
        link.flush()?;
        if !link.fill()? {
            return Ok(false);
        }
        let mut asked = Vec::new();
        while let Some(frame) = link.frame()? {
            let reply = Reply::parse(frame)?;
            let queue = usize::try_from(reply.opaque - OPAQUE_BASE)?;
            self.check(queue, &reply, &mut each)?;
            asked.push(queue);
        }
        for queue in asked {
            self.ask(queue, link)?;
        }
        Ok(true)
    }

    fn check(
        &mut self,
        queue: usize,
        reply: &Reply<'_>,
        each: &mut impl FnMut(i64, &[u8]),
    ) -> Result<()> {
        let next = self.next.get_mut(queue).context("an answer for an unknown queue")?;
        match reply.code {
            FOUND => {}
            NOT_FOUND | RETRY => return Ok(()),
            _ => bail!("a pull was refused: {}", reply.text()),
        }
        let mut wrong = None;
        self.pulled.messages += records(reply.body, |record| {
            if i64::try_from(*next) != Ok(record.queue_offset) {
                wrong = Some(format!("offset {} where {next} was due", record.queue_offset));
            }
            if !record.intact {
                wrong = Some(format!("offset {next} has a wrong checksum"));
            }
            *next += 1;
            each(record.queue_offset, record.body);
        })?;
        self.pulled.bytes += reply.body.len() as u64;
        match wrong {
            Some(wrong) => bail!("queue {queue}: {wrong}"),
            None => Ok(()),
        }
    }
}
