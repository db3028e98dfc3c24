//! Reading a queue: units, tag codes, places in the log, adjacent records in one piece.
//!
//! With [`Wait::Never`] nothing here touches the disk: what is not in memory gives [`ReadError::Blocks`], and the caller
//! does the same again with [`Wait::Disk`] on a thread that may wait. A record is never handed out unless the bytes at its
//! place say that they are it.

use std::{io, path::PathBuf};

use bytes::Bytes;
use gantry_model::{
    PhysicalOffset, QueueOffset,
    record::{Check, MAGIC_V1, MAGIC_V2, Record},
};

use crate::{
    disk::Wait,
    log::{Log, Window},
    queue::{QueueHandle, RawUnit, Unit},
    queues::Queues,
};

/// Units looked at in one pull at least (`maxFilterMessageSize` 16,000 / 20).
const SCAN_UNITS: u64 = 800;
/// Units read at once.
const CHUNK: usize = 64;

/// Pieces shorter than this are copied together: a slice of its own costs more, in reference counts and in the socket.
const SHORT: u64 = 4096;
/// Room for short pieces at first at most.
const SHORT_ROOM: usize = 64 << 10;

/// How much one pull may give.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages.
    pub messages: u32,
    /// Bytes of records; one message is given however long it is.
    pub bytes: u64,
    /// Records that end behind this position are not to be seen yet.
    pub visible: PhysicalOffset,
}

/// Chooses messages. Any `FnMut(i64) -> bool` over tag codes is one.
pub trait Select {
    /// Whether a message with this code may be wanted.
    fn code(&mut self, tags: i64) -> bool;

    /// Whether [`Self::record`] wants to see the records whose code passed. It makes a pull read each record by itself.
    fn looks_inside(&self) -> bool {
        false
    }

    /// Whether this message is wanted.
    fn record(&mut self, _record: &Record<'_>) -> bool {
        true
    }
}

impl<F: FnMut(i64) -> bool> Select for F {
    fn code(&mut self, tags: i64) -> bool {
        self(tags)
    }
}

/// What became of a pull; the names are those of Apache RocketMQ's `GetMessageStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    /// At least one message.
    Found,
    /// Messages were looked at, none was wanted.
    NoMatchedMessage,
    /// The records are no longer in the log.
    MessageWasRemoving,
    /// The offset is the next one to be written.
    OffsetOverflowOne,
    /// The offset is behind that.
    OffsetOverflowBadly,
    /// The offset is before the first message.
    OffsetTooSmall,
    /// Nothing was ever written to the queue.
    NoMessageInQueue,
}

/// The outcome of a pull.
#[derive(Debug, Clone)]
pub struct Pull {
    /// What became of it.
    pub status: PullStatus,
    /// Where to go on.
    pub next: QueueOffset,
    /// The queue's first offset.
    pub min: QueueOffset,
    /// The queue's end.
    pub max: QueueOffset,
    /// Records, one behind the other; adjacent ones share a piece.
    pub pieces: Vec<Bytes>,
    /// Messages in the pieces.
    pub count: u32,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk is needed: do the same again where waiting is allowed.
    #[error("reading needs the disk")]
    Blocks,
    /// The disk failed.
    #[error("reading {what}")]
    Io {
        /// The queue or position.
        what: String,
        /// The disk's error.
        #[source]
        source: io::Error,
    },
    /// No record begins there.
    #[error("no message at position {0}")]
    NoRecord(PhysicalOffset),
    /// Bytes of the log are not what they were when they were written.
    #[error("{file} is damaged at byte {offset}")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Byte in the file.
        offset: u64,
    },
}

impl ReadError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::WouldBlock {
            return Self::Blocks;
        }
        Self::Io { what: what.into(), source }
    }
}

/// A run of adjacent records.
#[derive(Clone, Copy)]
struct Piece {
    at: u64,
    len: u64,
}

/// A message in the piece.
#[derive(Clone, Copy)]
struct Taken {
    offset: u64,
    size: u32,
}

struct Gather<'a> {
    log: &'a Log,
    wait: Wait,
    pull: Pull,
    piece: Option<Piece>,
    /// The messages in the piece, to check them.
    taken: Vec<Taken>,
    /// Short pieces, one behind the other, that go behind those in `pull`.
    short: Vec<u8>,
    /// Messages that the pull can give at most.
    most: usize,
    window: Window,
    bytes: u64,
}

/// Pulls from `from` on.
pub(crate) fn pull(
    (queues, log): (&Queues, &Log),
    queue: &QueueHandle,
    from: QueueOffset,
    limits: Limits,
    (select, wait): (&mut dyn Select, Wait),
) -> Result<Pull, ReadError> {
    let failed = |e| ReadError::io(format!("queue {queue:?}"), e);
    let max = queue.end();
    let min = QueueOffset(queues.min(log, queue, wait).map_err(failed)?);
    let outside = |status, next| Pull { status, next, min, max, pieces: Vec::new(), count: 0 };
    if max == QueueOffset::ZERO {
        return Ok(outside(PullStatus::NoMessageInQueue, QueueOffset::ZERO));
    }
    if from < min {
        return Ok(outside(PullStatus::OffsetTooSmall, min));
    }
    if from >= max {
        let badly = from > max;
        let status =
            if badly { PullStatus::OffsetOverflowBadly } else { PullStatus::OffsetOverflowOne };
        return Ok(outside(status, max));
    }
    let mut gather = Gather {
        log,
        wait,
        pull: outside(PullStatus::OffsetOverflowOne, from),
        piece: None,
        taken: Vec::new(),
        short: Vec::new(),
        most: usize::try_from((max.0 - from.0).min(u64::from(limits.messages))).unwrap_or(1),
        window: Window::default(),
        bytes: 0,
    };
    let scan_end = max.0.min(from.0 + SCAN_UNITS.max(u64::from(limits.messages)));
    let mut chunk: [RawUnit; CHUNK] = [[0; 20]; CHUNK];
    let mut at = from.0;
    'scan: while at < scan_end {
        let room = CHUNK.min(usize::try_from(scan_end - at).unwrap_or(CHUNK));
        let n = queues
            .files
            .units(queue, at, chunk.get_mut(..room).unwrap_or_default(), wait)
            .map_err(failed)?;
        for raw in chunk.iter().take(n) {
            if !gather.look(at, Unit::decode(raw), limits, select)? {
                break 'scan;
            }
            at += 1;
        }
        if n == 0 {
            break;
        }
    }
    gather.finish()
}

impl Gather<'_> {
    /// Looks at the unit of offset `at`. False: it is not taken any more.
    fn look(
        &mut self,
        at: u64,
        unit: Unit,
        limits: Limits,
        select: &mut dyn Select,
    ) -> Result<bool, ReadError> {
        let end = unit.position.saturating_add(u64::from(unit.size));
        if unit.is_message() && end > limits.visible.0 {
            return Ok(false);
        }
        let next = QueueOffset(at + 1);
        if !unit.is_message() || unit.position < self.log.min() {
            self.pass(next, PullStatus::MessageWasRemoving);
            return Ok(true);
        }
        if !select.code(unit.tags) {
            self.pass(next, PullStatus::NoMatchedMessage);
            return Ok(true);
        }
        let full = self.pull.count >= limits.messages
            || (self.pull.count > 0 && self.bytes + u64::from(unit.size) > limits.bytes);
        if full {
            return Ok(false);
        }
        if select.looks_inside() && !self.wanted(unit, select)? {
            self.pass(next, PullStatus::NoMatchedMessage);
            return Ok(true);
        }
        if !self.take(at, unit)? {
            return Ok(false);
        }
        self.pull.next = next;
        self.pull.status = PullStatus::Found;
        Ok(self.pull.count < limits.messages)
    }

    /// Goes on without the message.
    fn pass(&mut self, next: QueueOffset, status: PullStatus) {
        self.pull.next = next;
        if self.pull.count == 0 {
            self.pull.status = status;
        }
    }

    fn wanted(&self, unit: Unit, select: &mut dyn Select) -> Result<bool, ReadError> {
        let bytes = read(self.log, unit.position, u64::from(unit.size), self.wait)?;
        match Record::parse(&bytes, Check::Trust) {
            Ok(record) => Ok(select.record(&record)),
            Err(_) => Err(damaged(self.log, unit.position)),
        }
    }

    /// Adds the message of offset `at`. False: a damaged one before it ends the pull.
    fn take(&mut self, at: u64, unit: Unit) -> Result<bool, ReadError> {
        let size = u64::from(unit.size);
        let file = |position| position / self.log.segment_size;
        let joins = self.piece.is_some_and(|piece| {
            piece.at + piece.len == unit.position && file(piece.at) == file(unit.position)
        });
        if !joins {
            if !self.flush()? {
                return Ok(false);
            }
            self.piece = Some(Piece { at: unit.position, len: 0 });
        }
        if let Some(piece) = &mut self.piece {
            piece.len += size;
        }
        self.pull.count += 1;
        self.bytes += size;
        self.taken.push(Taken { offset: at, size: unit.size });
        Ok(true)
    }

    /// Reads the piece and checks that it is the records that the units promised. False: one is damaged; the pull ends before
    /// it, or skips it if it is the first.
    fn flush(&mut self) -> Result<bool, ReadError> {
        let Some(piece) = self.piece.take() else { return Ok(true) };
        let mut taken = std::mem::take(&mut self.taken);
        let damaged = if piece.len < SHORT {
            let start = self.short.len();
            self.copy(piece)?;
            let bytes = self.short.get(start..).unwrap_or_default();
            let (good, damaged) = check(bytes, &taken, piece.at);
            self.short.truncate(start + good);
            damaged
        } else {
            self.seal();
            let bytes = read(self.log, piece.at, piece.len, self.wait)?;
            let (good, damaged) = check(&bytes, &taken, piece.at);
            self.pull.pieces.extend(Some(bytes.slice(..good)).filter(|good| !good.is_empty()));
            damaged
        };
        if let Some((index, one, position)) = damaged {
            let damage = self::damaged(self.log, position);
            tracing::error!(%damage, "a message can't be read");
            self.end_before(one, taken.len() - index);
            return Ok(false);
        }
        taken.clear();
        self.taken = taken;
        Ok(true)
    }

    fn copy(&mut self, piece: Piece) -> Result<(), ReadError> {
        let len = usize::try_from(piece.len).unwrap_or(usize::MAX);
        if self.short.capacity() == 0 {
            let room = len.saturating_mul(self.most).min(SHORT_ROOM);
            self.short.reserve(room.max(len));
        }
        let how = (self.wait, &mut self.window);
        let copied = self.log.copy(piece.at, len, how, &mut self.short);
        copied.map_err(|e| ReadError::io(format!("{len} bytes at position {}", piece.at), e))
    }

    /// Puts the short pieces behind the others.
    fn seal(&mut self) {
        if !self.short.is_empty() {
            self.pull.pieces.push(std::mem::take(&mut self.short).into());
        }
    }

    /// Ends the pull before a message that can't be read, or skips it if it is the first; so many were taken for good.
    fn end_before(&mut self, damaged: Taken, lost: usize) {
        self.pull.count -= u32::try_from(lost).unwrap_or(self.pull.count);
        self.pull.next = QueueOffset(damaged.offset);
        if self.pull.count == 0 {
            self.pass(QueueOffset(damaged.offset + 1), PullStatus::MessageWasRemoving);
        }
    }

    fn finish(mut self) -> Result<Pull, ReadError> {
        let _whole = self.flush()?;
        self.seal();
        Ok(self.pull)
    }
}

/// How many of the bytes, from position `at` of the log, are the records that were taken; and the first that is not: which,
/// and its position.
fn check(bytes: &[u8], taken: &[Taken], at: u64) -> (usize, Option<(usize, Taken, u64)>) {
    let mut within = 0;
    for (index, one) in taken.iter().enumerate() {
        let position = at + within as u64;
        if !is_record(bytes.get(within..).unwrap_or_default(), one.size, position) {
            return (within, Some((index, *one, position)));
        }
        within += one.size as usize;
    }
    (within, None)
}

/// Whether the bytes begin with a record of this size at this place: size, magic code and position agree.
fn is_record(bytes: &[u8], size: u32, position: u64) -> bool {
    let head = bytes.first_chunk::<36>().map(|head| head.split_at(28));
    let Some((head, own)) = head else { return false };
    let magic = head.get(4..8);
    own == position.to_be_bytes()
        && head.starts_with(&size.to_be_bytes())
        && (magic == Some(&MAGIC_V1.to_be_bytes()) || magic == Some(&MAGIC_V2.to_be_bytes()))
}

fn read(log: &Log, at: u64, len: u64, wait: Wait) -> Result<Bytes, ReadError> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    log.read(at, len, wait).map_err(|e| ReadError::io(format!("{len} bytes at position {at}"), e))
}

fn damaged(log: &Log, position: u64) -> ReadError {
    match log.segment_of(position) {
        Some(segment) => {
            ReadError::Damaged { file: segment.path.clone(), offset: position - segment.base }
        }
        None => ReadError::NoRecord(PhysicalOffset(position)),
    }
}

/// The record at a position, with its own length, CRC checked: whoever asks by position may ask for any.
pub(crate) fn message_at(log: &Log, at: PhysicalOffset, wait: Wait) -> Result<Bytes, ReadError> {
    let none = ReadError::NoRecord(at);
    if at.0 < log.min() || at.0 + 8 > log.written() {
        return Err(none);
    }
    let head = read(log, at.0, 8, wait)?;
    let size = head.first_chunk().map_or(0, |size| u32::from_be_bytes(*size));
    let end = at.0 + u64::from(size);
    let in_file =
        log.segment_of(at.0).is_some_and(|segment| end <= segment.base + log.segment_size);
    if end > log.written() || !in_file {
        return Err(none);
    }
    let bytes = read(log, at.0, u64::from(size), wait)?;
    match Record::parse(&bytes, Check::Crc) {
        Ok(record) if record.position == at => Ok(bytes),
        _ => Err(none),
    }
}
