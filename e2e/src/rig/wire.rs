//! A raw remoting connection: frames with JSON headers as text, or any bytes at all. For what no official client would
//! send, and for asking a server whether it is ready.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::tap::{Meaning, decode};

/// How long a server may take to answer, or to hang up.
const PATIENCE: Duration = Duration::from_secs(10);

/// One raw connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

/// What became of a connection after something was sent.
#[derive(Debug)]
pub enum Outcome {
    /// A frame came back.
    Reply(Box<Meaning>),
    /// The server hung up.
    Closed,
    /// Neither, for as long as was waited.
    Silence,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends a request and waits for the reply.
    ///
    /// # Errors
    /// When the connection closes or stays silent instead.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<Meaning> {
        self.send(&request.frame())?;
        match self.outcome(PATIENCE)? {
            Outcome::Reply(reply) => {
                ensure!(reply.opaque == request.opaque, "the reply to another request");
                Ok(*reply)
            }
            other @ (Outcome::Closed | Outcome::Silence) => {
                anyhow::bail!("{other:?} instead of a reply to {request:?}")
            }
        }
    }

    /// Sends bytes as they are. A peer that has hung up meanwhile is no error: [`Self::outcome`] tells.
    ///
    /// # Errors
    /// When the peer does not take them.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if is_hang_up(&error) => Ok(()),
            written => written.context("the server takes no more bytes"),
        }
    }

    /// What comes next: a frame, the end, or nothing within `limit`.
    ///
    /// # Errors
    /// When what comes back is no frame.
    pub fn outcome(&mut self, limit: Duration) -> anyhow::Result<Outcome> {
        self.stream.set_read_timeout(Some(limit))?;
        let mut word = [0; 4];
        match self.stream.read_exact(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_hang_up(&error) => {
                return Ok(Outcome::Closed);
            }
            Err(error) if is_silence(&error) => return Ok(Outcome::Silence),
            read => read?,
        }
        let length = usize::try_from(u32::from_be_bytes(word))?;
        ensure!(length < 64 << 20, "a reply of {length} bytes");
        let mut frame = word.to_vec();
        frame.resize(4 + length, 0);
        self.stream.read_exact(frame.get_mut(4..).unwrap_or_default())?;
        Ok(Outcome::Reply(Box::new(decode(&frame)?)))
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A request with a JSON header, as a client of 5.5.0 would write it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request code.
    pub code: i32,
    /// Correlation id.
    pub opaque: i64,
    /// The custom header, as a JSON object.
    pub fields: Value,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(code: i32, fields: Value) -> Self {
        Self { code, opaque: 1, fields, body: Vec::new() }
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The JSON header alone.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        json!({
            "code": self.code, "language": "JAVA", "version": 513, "opaque": self.opaque, "flag": 0,
            "serializeTypeCurrentRPC": "JSON", "extFields": self.fields,
        })
        .to_string()
        .into_bytes()
    }

    /// The whole frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        frame(&self.header(), &self.body)
    }
}

/// A frame around any header (said to be JSON) and body.
#[must_use]
pub fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    [&word(4 + header.len() + body.len()), &word(header.len()), header, body].concat()
}
