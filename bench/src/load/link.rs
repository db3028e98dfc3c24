//! A non-blocking connection with its buffers, and the wait for several of them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frame::{Form, OPAQUE_BASE, Template};
use super::reply::Reply;

const READ_AT_ONCE: usize = 512 * 1024;
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One connection to a server.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    input: Vec<u8>,
    input_from: usize,
    input_to: usize,
    /// What is to be written; callers append whole requests.
    pub(crate) output: Vec<u8>,
    output_from: usize,
}

impl Link {
    /// Connects; everything after this is non-blocking.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            input: vec![0; READ_AT_ONCE],
            input_from: 0,
            input_to: 0,
            output: Vec::with_capacity(READ_AT_ONCE),
            output_from: 0,
        })
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while let Some(rest) = self.output.get(self.output_from..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(written) => self.output_from += written,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).context("writing"),
            }
        }
        self.output.clear();
        self.output_from = 0;
        Ok(())
    }

    /// Reads once what has arrived; false when there was nothing.
    pub(crate) fn fill(&mut self) -> Result<bool> {
        self.make_room();
        let Some(free) = self.input.get_mut(self.input_to..) else { return Ok(false) };
        match self.stream.read(free) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(read) => {
                self.input_to += read;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(e) => Err(e).context("reading"),
        }
    }

    /// The next whole frame of what was read, without its length word.
    pub(crate) fn frame(&mut self) -> Result<Option<&[u8]>> {
        let arrived = self.input.get(self.input_from..self.input_to).unwrap_or_default();
        let Some((length, rest)) = arrived.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            bail!("a frame of {length} bytes");
        }
        let frame = rest.get(..length);
        if frame.is_some() {
            self.input_from += 4 + length;
        }
        Ok(frame)
    }

    /// Sends one request and waits for its answer: for what is not measured.
    pub(crate) fn call(&mut self, request: &Template, patience: Duration) -> Result<(i32, String)> {
        self.answer(request, patience, |reply| Ok((reply.code, reply.text())))
    }

    /// As [`Link::call`] for a request whose answer is a number in its header.
    pub(crate) fn ask(&mut self, request: &Template, field: &str) -> Result<i64> {
        self.answer(request, Duration::from_secs(5), |reply| {
            if reply.code != 0 {
                bail!("refused: {}", reply.text());
            }
            reply.number(field).with_context(|| format!("no {field} in {}", reply.text()))
        })
    }

    fn answer<T>(
        &mut self,
        request: &Template,
        patience: Duration,
        read: impl Fn(&Reply<'_>) -> Result<T>,
    ) -> Result<T> {
        let opaque = OPAQUE_BASE - 1;
        request.emit(&mut self.output, opaque, 0, 0);
        self.flush()?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = self.answer_to(opaque, &read)? {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no answer within {patience:?}");
            }
            wait(std::slice::from_ref(self), left)?;
            self.flush()?;
            self.fill()?;
        }
    }

    fn answer_to<T>(
        &mut self,
        opaque: i32,
        read: impl Fn(&Reply<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        while let Some(frame) = self.frame()? {
            let reply = Reply::parse(frame)?;
            if reply.opaque == opaque {
                return read(&reply).map(Some);
            }
        }
        Ok(None)
    }

    fn make_room(&mut self) {
        if self.input_from == self.input_to {
            (self.input_from, self.input_to) = (0, 0);
        }
        if self.input.len() - self.input_to < READ_AT_ONCE / 2 {
            self.input.copy_within(self.input_from..self.input_to, 0);
            self.input_to -= self.input_from;
            self.input_from = 0;
            let needed = self.input_to + READ_AT_ONCE;
            if self.input.len() < needed {
                self.input.resize(needed, 0);
            }
        }
    }
}

/// Waits until one of the connections can be read (or written, where output is left), or until
/// the time is over; to the microsecond, as an open loop needs it.
pub(crate) fn wait(links: &[Link], at_most: Duration) -> Result<()> {
    let mut fds: Vec<PollFd<'_>> = links
        .iter()
        .map(|link| {
            let mut interest = PollFlags::IN;
            if !link.output.is_empty() {
                interest |= PollFlags::OUT;
            }
            PollFd::new(&link.stream, interest)
        })
        .collect();
    let limit = Timespec::try_from(at_most).context("a wait too long for the kernel")?;
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e).context("poll"),
    }
}

/// Creates `topic` with `queues` queues on the broker behind `address`.
pub(crate) fn create_topic(address: SocketAddr, topic: &str, queues: u32) -> Result<()> {
    let fields = [
        ("topic", topic.to_owned()),
        ("defaultTopic", "TBW102".to_owned()),
        ("readQueueNums", queues.to_string()),
        ("writeQueueNums", queues.to_string()),
        ("perm", "6".to_owned()),
        ("topicFilterType", "SINGLE_TAG".to_owned()),
        ("topicSysFlag", "0".to_owned()),
        ("order", "false".to_owned()),
    ];
    let request = Template::new(Form::Json, 17, &fields, &[]);
    let (code, text) = Link::open(address)?.call(&request, Duration::from_secs(10))?;
    if code != 0 {
        bail!("creating topic {topic}: {text}");
    }
    Ok(())
}

/// The sum of the ends of a topic's queues: how many messages it has taken.
pub(crate) fn messages_in(address: SocketAddr, topic: &str, queues: u32) -> Result<u64> {
    let mut link = Link::open(address)?;
    let mut sum = 0;
    for queue in 0..queues {
        let fields = [("topic", topic.to_owned()), ("queueId", queue.to_string())];
        let end = link.ask(&Template::new(Form::Json, 30, &fields, &[]), "offset")?;
        sum += u64::try_from(end).context("a negative offset")?;
    }
    Ok(sum)
}
