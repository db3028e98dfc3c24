//! Cutting what a connection has received into whole frames, without copying.
//!
//! `Frames` is the one thing a connection keeps for it: after its vectors have grown once, a round of
//! cutting allocates nothing. A `Frame` is a view of one command within it; what must outlive the round
//! becomes a `Command`.

use bytes::{Bytes, BytesMut};

use super::{
    Field, FieldError, Fields, Header, HeaderError, HeaderForm, Language, ReplyTo, ResponseCode,
    binary,
    head::{Head, ONEWAY, Pair, RESPONSE, Span},
    json,
};

/// Most bytes of one frame, its length word included, as `frameMaxLength` of Apache RocketMQ.
pub const FRAME_MAX: usize = 16 * 1024 * 1024;

/// Most frames cut in one round, so that one connection neither holds a worker for long nor keeps much
/// memory for their heads.
pub const BATCH_FRAMES_MAX: usize = 256;

/// Why what arrived is no frame. Nothing behind it can be trusted, so the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length word counts more than allowed.
    #[error("a frame of {length} bytes is longer than the {max} allowed")]
    TooLong {
        /// Bytes the frame says it has, its length word included.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The length word counts less than the word that follows it.
    #[error("a frame of {length} bytes behind its length word cannot hold a header")]
    TooShort {
        /// Bytes the length word counts.
        length: usize,
    },
    /// The header is longer than the frame.
    #[error("a header of {header} bytes does not fit a frame with {room} bytes of room")]
    HeaderTooLong {
        /// Bytes of the header.
        header: usize,
        /// Bytes that the frame has for it.
        room: usize,
    },
    /// Neither JSON (0) nor ROCKETMQ (1).
    #[error("header form {0} is neither JSON (0) nor ROCKETMQ (1)")]
    Form(u8),
    /// The header cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// What is left in the buffer after a round of cutting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Empty,
    /// The beginning of a frame.
    Partial {
        /// Bytes of the whole frame, or 4 while its length word is incomplete.
        wants: usize,
    },
    /// Possibly whole frames: cut again after this round's are served.
    More,
}

/// The frames of one round, and the memory to cut them in.
#[derive(Debug, Default)]
pub struct Frames {
    block: Bytes,
    pairs: Vec<Pair>,
    requests: Vec<Head>,
    responses: Vec<Head>,
}

impl Frames {
    /// Takes all whole frames (at most [`BATCH_FRAMES_MAX`]) out of `buffer`; those of the round before
    /// are forgotten. On an error the frames before the broken one are there all the same.
    pub fn cut(&mut self, buffer: &mut BytesMut) -> Result<Rest, FrameError> {
        self.clear();
        let mut at = 0;
        let rest = loop {
            if self.len() >= BATCH_FRAMES_MAX {
                break Ok(Rest::More);
            }
            match self.one(buffer, at) {
                Ok(Step::Whole(next)) => at = next,
                Ok(Step::Partial(wants)) if at == buffer.len() && wants == 4 => {
                    break Ok(Rest::Empty);
                }
                Ok(Step::Partial(wants)) => break Ok(Rest::Partial { wants }),
                Err(error) => break Err(error),
            }
        };
        if at > 0 {
            self.block = buffer.split_to(at).freeze();
        }
        rest
    }

    /// Lets go of the frames, so that their memory can be used for what arrives next.
    pub fn clear(&mut self) {
        self.block = Bytes::new();
        self.pairs.clear();
        self.requests.clear();
        self.responses.clear();
    }

    fn one(&mut self, buffer: &mut [u8], at: usize) -> Result<Step, FrameError> {
        let rest = buffer.get(at..).unwrap_or_default();
        let Some(word) = rest.first_chunk::<4>() else { return Ok(Step::Partial(4)) };
        let length = u32::from_be_bytes(*word) as usize;
        if length.saturating_add(4) > FRAME_MAX {
            return Err(FrameError::TooLong { length: length.saturating_add(4), max: FRAME_MAX });
        }
        if length < 4 {
            return Err(FrameError::TooShort { length });
        }
        let (Some(frame), Some(mark)) = (rest.get(..length + 4), rest.get(4..8)) else {
            return Ok(Step::Partial(length + 4));
        };
        let [form, high, mid, low] = *mark else { return Ok(Step::Partial(length + 4)) };
        let header = u32::from_be_bytes([0, high, mid, low]) as usize;
        if header > length - 4 {
            return Err(FrameError::HeaderTooLong { header, room: length - 4 });
        }
        let end = at + frame.len();
        let (start, body) = (at + 8, at + 8 + header);
        let block = buffer.get_mut(..body).unwrap_or_default();
        let from = self.pairs.len();
        let scanned = match form {
            0 => json::scan(block, start, &mut self.pairs),
            1 => binary::scan(block, start, &mut self.pairs),
            other => return Err(FrameError::Form(other)),
        };
        let mut head = scanned?;
        head.pairs = Span::new(from, self.pairs.len()).unwrap_or_default();
        head.body = Span::new(body, end).unwrap_or_default();
        let list = if head.flag & RESPONSE == 0 { &mut self.requests } else { &mut self.responses };
        list.push(head);
        Ok(Step::Whole(end))
    }

    /// How many frames the round has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len() + self.responses.len()
    }

    /// Whether the round has no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the round's frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.block.len()
    }

    /// The round's requests, in the order of their arrival.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        self.requests.iter().map(|head| self.view(head))
    }

    /// The round's answers to requests of this side.
    pub fn responses(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        self.responses.iter().map(|head| self.view(head))
    }

    fn view<'b>(&'b self, head: &'b Head) -> Frame<'b> {
        Frame { block: &self.block, pairs: &self.pairs, head }
    }
}

enum Step {
    /// A frame that ends here.
    Whole(usize),
    /// So many bytes are wanted in all.
    Partial(usize),
}

/// One command within a round.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'b> {
    block: &'b Bytes,
    pairs: &'b [Pair],
    head: &'b Head,
}

impl<'b> Frame<'b> {
    /// The request code, or an answer's response code.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.head.code
    }

    /// The correlation id.
    #[must_use]
    pub fn opaque(&self) -> i32 {
        self.head.opaque
    }

    /// The version of the peer's library: the ordinal of Java's `MQVersion`.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.head.version
    }

    /// The language of the peer's library.
    #[must_use]
    pub fn language(&self) -> Language {
        self.head.language
    }

    /// How the header is written.
    #[must_use]
    pub fn form(&self) -> HeaderForm {
        self.head.form
    }

    /// Whether nobody waits for an answer.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.head.flag & ONEWAY != 0
    }

    /// Whether this answers a request of this side.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.head.flag & RESPONSE != 0
    }

    /// The free text of the header; empty if there is none or if it is no UTF-8.
    #[must_use]
    pub fn remark(&self) -> &'b str {
        std::str::from_utf8(self.head.remark.of(self.block)).unwrap_or_default()
    }

    /// Where the answer belongs. Cheap to keep for later.
    #[must_use]
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo { opaque: self.head.opaque, form: self.head.form, oneway: self.is_oneway() }
    }

    /// The header's own fields, as they are.
    #[must_use]
    pub fn fields(&self) -> Fields<'b> {
        let range = self.head.pairs.start as usize..self.head.pairs.end as usize;
        Fields::new(self.block, self.pairs.get(range).unwrap_or_default())
    }

    /// Reads the header's fields as `H`.
    pub fn decode<H: Header<'b>>(&self) -> Result<H, FieldError> {
        H::decode(self.fields())
    }

    /// Reads one field alone. `None` if it is absent.
    pub fn field<F: Field<'b>>(&self, name: &'static str) -> Result<Option<F>, FieldError> {
        self.fields().one(name)
    }

    /// The body. Empty if there is none.
    #[must_use]
    pub fn body(&self) -> &'b [u8] {
        self.head.body.of(self.block)
    }

    /// The body, to keep: it shares the memory of the whole round.
    #[must_use]
    pub fn shared_body(&self) -> Bytes {
        if self.head.body.is_empty() {
            return Bytes::new();
        }
        self.block.slice(self.head.body.start as usize..self.head.body.end as usize)
    }

    /// The command, to keep: it shares the memory of the whole round.
    #[must_use]
    pub fn to_command(&self) -> Command {
        let range = self.head.pairs.start as usize..self.head.pairs.end as usize;
        let pairs: Box<[Pair]> = self.pairs.get(range).unwrap_or_default().into();
        let mut head = *self.head;
        head.pairs = Span::new(0, pairs.len()).unwrap_or_default();
        Command { block: self.block.clone(), pairs, head }
    }
}

/// One command that outlives its round: usually an answer that somebody waits for.
#[derive(Debug, Clone)]
pub struct Command {
    block: Bytes,
    pairs: Box<[Pair]>,
    head: Head,
}

impl Command {
    /// The same view that servers have of a request.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame { block: &self.block, pairs: &self.pairs, head: &self.head }
    }

    /// An answer's code.
    #[must_use]
    pub fn code(&self) -> ResponseCode {
        ResponseCode(self.head.code)
    }

    /// The free text of the header: of a refusal, why.
    #[must_use]
    pub fn remark(&self) -> &str {
        self.frame().remark()
    }

    /// Reads the header's fields as `H`.
    pub fn decode<'c, H: Header<'c>>(&'c self) -> Result<H, FieldError> {
        self.frame().decode()
    }

    /// The body. Empty if there is none.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.frame().shared_body()
    }
}
