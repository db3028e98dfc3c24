//! The envelope of a command, without its typed fields: what both header forms have in common.

use super::Language;

/// How a header is written. A reply has the form of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum HeaderForm {
    /// A JSON object; what Java clients send unless told otherwise.
    #[default]
    Json = 0,
    /// The ROCKETMQ form. Its code is a signed 16-bit number: POP's codes do not fit.
    Binary = 1,
}

/// Why a header could not be read. The connection is closed: what follows cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header ends within a value.
    #[error("the header ends within a value")]
    Truncated,
    /// Something else was expected at this place.
    #[error("the header has an unexpected byte at {at}")]
    Unexpected {
        /// Bytes from the header's start.
        at: usize,
    },
    /// An envelope number is no 32-bit integer.
    #[error("the header's number at {at} is no 32-bit integer")]
    Number {
        /// Bytes from the header's start.
        at: usize,
    },
    /// Values are nested deeper than any client nests them.
    #[error("the header is nested too deeply")]
    Nested,
    /// More fields than a header may have.
    #[error("the header has more than {max} fields")]
    Fields {
        /// Fields allowed.
        max: usize,
    },
}

/// Most fields of one header. Java clients send about 15.
pub(super) const FIELDS_MAX: usize = 256;

/// A range of the block of bytes that frames were cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// `None` if an end lies beyond 4 GiB, which frame limits exclude.
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    pub(super) fn of(self, block: &[u8]) -> &[u8] {
        block.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub(super) fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// One field of a header: where its name and its value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: Span,
    pub(super) value: Span,
}

pub(super) const RESPONSE: i32 = 1;
pub(super) const ONEWAY: i32 = 2;

/// A scanned header: numbers by value, texts as ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) form: HeaderForm,
    pub(super) language: Language,
    pub(super) code: i32,
    pub(super) version: i32,
    pub(super) opaque: i32,
    pub(super) flag: i32,
    pub(super) remark: Span,
    /// A range of the batch's pairs, not of its bytes.
    pub(super) pairs: Span,
    pub(super) body: Span,
}

/// Where an answer belongs: the request's correlation id, its header form, and whether anybody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    pub(super) opaque: i32,
    pub(super) form: HeaderForm,
    pub(super) oneway: bool,
}

impl ReplyTo {
    /// Whether the peer wants no answer; answers to it are dropped when they are written.
    #[must_use]
    pub const fn is_oneway(self) -> bool {
        self.oneway
    }
}
