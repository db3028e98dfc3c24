//! Writing commands: one growing buffer per batch, large bodies chained behind it without copying.
//!
//! `Chain` is what leaves in one vectored write: encoded headers and small bodies in buffers, large
//! bodies as they are. `Replies` is a chain of answers only; it drops answers to oneway requests.

use std::{collections::VecDeque, fmt};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Header, HeaderForm, Language, NoFields, ReplyTo, RequestCode, ResponseCode, VERSION,
    field::{FieldError, FieldWriter, json_text},
    frame::Frame,
    head::{ONEWAY, RESPONSE},
};

/// Bodies up to this many bytes are copied behind their header; longer ones are chained. A chained body
/// costs two entries of the vectored write, a copy a few nanoseconds for each 100 bytes.
const COPY_MAX: usize = 2048;

/// A buffer that has grown beyond this is given back once it is empty.
const OPEN_KEPT: usize = 1 << 20;

/// The body of a command.
#[derive(Debug, Clone, Default)]
pub enum Body<'b> {
    /// Nothing.
    #[default]
    Empty,
    /// Copied into the buffer, whatever its length.
    Copied(&'b [u8]),
    /// Chained if it is long.
    Shared(Bytes),
    /// Several parts in order, such as the messages of a pull; long ones are chained.
    Parts(Vec<Bytes>),
}

impl From<Bytes> for Body<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<Vec<u8>> for Body<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(bytes.into())
    }
}

impl From<Vec<Bytes>> for Body<'_> {
    fn from(parts: Vec<Bytes>) -> Self {
        Self::Parts(parts)
    }
}

impl<'b> From<&'b [u8]> for Body<'b> {
    fn from(bytes: &'b [u8]) -> Self {
        Self::Copied(bytes)
    }
}

impl Body<'_> {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Copied(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Parts(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there is not one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub struct Answer<'b, H = NoFields> {
    /// How it went.
    pub code: ResponseCode,
    /// Free text: of a refusal, why. `None` writes none.
    pub remark: Option<&'b str>,
    /// The fields.
    pub header: H,
    /// The body.
    pub body: Body<'b>,
}

impl Answer<'_> {
    /// Success, with neither fields nor body.
    #[must_use]
    pub const fn ok() -> Self {
        Self { code: ResponseCode::SUCCESS, remark: None, header: NoFields, body: Body::Empty }
    }
}

impl<'b> Answer<'b> {
    /// A refusal or an error, and why.
    #[must_use]
    pub const fn refuse(code: ResponseCode, remark: &'b str) -> Self {
        Self { code, remark: Some(remark), header: NoFields, body: Body::Empty }
    }

    /// Success with a body and no fields.
    #[must_use]
    pub fn body(body: impl Into<Body<'b>>) -> Self {
        Self { code: ResponseCode::SUCCESS, remark: None, header: NoFields, body: body.into() }
    }
}

impl<H> Answer<'_, H> {
    /// Success with fields.
    #[must_use]
    pub const fn with(header: H) -> Self {
        Self { code: ResponseCode::SUCCESS, remark: None, header, body: Body::Empty }
    }
}

/// Encoded commands, in the order in which they leave.
#[derive(Debug, Default)]
pub struct Chain {
    /// What is complete and will not be appended to.
    sealed: VecDeque<Bytes>,
    /// What is being written, behind all of `sealed`.
    open: BytesMut,
    sealed_bytes: usize,
}

/// The fixed part of an envelope.
#[derive(Clone, Copy)]
struct Envelope {
    form: HeaderForm,
    language: Language,
    code: i32,
    opaque: i32,
    flag: i32,
}

impl Chain {
    /// Bytes that have not left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sealed_bytes + self.open.len()
    }

    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a request. A code that does not fit 16 bits goes out as JSON whatever `line` says.
    pub fn request<'h, H: Header<'h>>(&mut self, line: RequestLine, header: &H, body: Body<'_>) {
        let RequestLine { code: RequestCode(code), opaque, form, oneway } = line;
        let form = if i16::try_from(code).is_ok() { form } else { HeaderForm::Json };
        let flag = if oneway == Oneway::Yes { ONEWAY } else { 0 };
        let envelope = Envelope { form, language: Language::Rust, code, opaque, flag };
        self.command(envelope, None, header, body);
    }

    /// Appends an answer, whether or not anybody waits for it.
    fn answer<'h, H: Header<'h>>(&mut self, to: ReplyTo, answer: Answer<'_, H>) {
        let envelope = Envelope {
            form: to.form,
            language: Language::Java,
            code: answer.code.0,
            opaque: to.opaque,
            flag: RESPONSE,
        };
        self.command(envelope, answer.remark, &answer.header, answer.body);
    }

    fn command<'h, H: Header<'h>>(
        &mut self,
        envelope: Envelope,
        remark: Option<&str>,
        header: &H,
        body: Body<'_>,
    ) {
        let start = self.open.len();
        self.open.reserve(256);
        self.open.put_u64(0);
        match envelope.form {
            HeaderForm::Json => self.json_header(envelope, remark, header),
            HeaderForm::Binary => self.binary_header(envelope, remark, header),
        }
        let header_len = self.open.len() - start - 8;
        let length = 4 + header_len + body.len();
        let mut word = [0; 8];
        let (front, back) = word.split_at_mut(4);
        // Both lengths are far below their fields' limits: bodies are bounded by a pull's limits.
        front.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        let mark = u32::try_from(header_len).unwrap_or(u32::MAX) & 0x00FF_FFFF;
        back.copy_from_slice(&(mark | u32::from(envelope.form as u8) << 24).to_be_bytes());
        if let Some(place) = self.open.get_mut(start..start + 8) {
            place.copy_from_slice(&word);
        }
        match body {
            Body::Empty => {}
            Body::Copied(bytes) => self.open.put_slice(bytes),
            Body::Shared(bytes) => self.part(bytes),
            Body::Parts(parts) => parts.into_iter().for_each(|part| self.part(part)),
        }
    }

    fn part(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            self.open.put_slice(&bytes);
            return;
        }
        self.seal();
        self.sealed_bytes += bytes.len();
        self.sealed.push_back(bytes);
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.sealed_bytes += self.open.len();
            self.sealed.push_back(self.open.split().freeze());
        }
    }

    fn json_header<'h, H: Header<'h>>(
        &mut self,
        envelope: Envelope,
        remark: Option<&str>,
        header: &H,
    ) {
        let mut digits = itoa::Buffer::new();
        let out = &mut self.open;
        out.put_slice(b"{\"code\":");
        out.put_slice(digits.format(envelope.code).as_bytes());
        out.put_slice(b",\"extFields\":{");
        header.encode(&mut FieldWriter::new(HeaderForm::Json, out));
        out.put_slice(b"},\"flag\":");
        out.put_slice(digits.format(envelope.flag).as_bytes());
        out.put_slice(b",\"language\":\"");
        out.put_slice(envelope.language.name().as_bytes());
        out.put_slice(b"\",\"opaque\":");
        out.put_slice(digits.format(envelope.opaque).as_bytes());
        if let Some(remark) = remark {
            out.put_slice(b",\"remark\":");
            json_text(out, remark);
        }
        out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
        out.put_slice(digits.format(VERSION).as_bytes());
        out.put_u8(b'}');
    }

    fn binary_header<'h, H: Header<'h>>(
        &mut self,
        envelope: Envelope,
        remark: Option<&str>,
        header: &H,
    ) {
        let out = &mut self.open;
        // Requests whose code does not fit are written as JSON; response codes all fit.
        out.put_i16(i16::try_from(envelope.code).unwrap_or(i16::MAX));
        out.put_u8(envelope.language as u8);
        out.put_i16(i16::try_from(VERSION).unwrap_or(i16::MAX));
        out.put_i32(envelope.opaque);
        out.put_i32(envelope.flag);
        let remark = remark.unwrap_or_default();
        out.put_u32(u32::try_from(remark.len()).unwrap_or(0));
        out.put_slice(remark.as_bytes());
        let at = out.len();
        out.put_u32(0);
        header.encode(&mut FieldWriter::new(HeaderForm::Binary, out));
        let fields = u32::try_from(out.len() - at - 4).unwrap_or(0);
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&fields.to_be_bytes());
        }
    }

    /// Appends everything of another chain.
    pub fn append(&mut self, mut other: Self) {
        if other.sealed.is_empty() && other.open.len() <= COPY_MAX {
            self.open.put_slice(&other.open);
            return;
        }
        other.seal();
        self.seal();
        self.sealed_bytes += other.sealed_bytes;
        self.sealed.append(&mut other.sealed);
    }

    /// The first bytes to be written, in at most `slices.len()` parts; how many parts there are.
    pub fn slices<'c>(&'c self, slices: &mut [std::io::IoSlice<'c>]) -> usize {
        let parts = self.sealed.iter().map(|bytes| &**bytes);
        let open = (!self.open.is_empty()).then_some(&*self.open);
        let mut count = 0;
        for (place, part) in slices.iter_mut().zip(parts.chain(open)) {
            *place = std::io::IoSlice::new(part);
            count += 1;
        }
        count
    }

    /// Forgets the first `written` bytes: they have left.
    pub fn advance(&mut self, mut written: usize) {
        use bytes::Buf;
        while let Some(front) = self.sealed.front_mut() {
            if written < front.len() {
                front.advance(written);
                self.sealed_bytes -= written;
                return;
            }
            written -= front.len();
            self.sealed_bytes -= front.len();
            self.sealed.pop_front();
        }
        if self.open.len() <= written {
            self.open.clear();
            if OPEN_KEPT < self.open.capacity() {
                self.open = BytesMut::new();
            }
        } else {
            self.open.advance(written);
        }
    }

    /// All bytes in one piece, for tests and tools.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        for part in &self.sealed {
            all.extend_from_slice(part);
        }
        all.extend_from_slice(&self.open);
        all
    }
}

/// The envelope of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine {
    /// What is asked.
    pub code: RequestCode,
    /// The correlation id, which the answer repeats.
    pub opaque: i32,
    /// How the header is written.
    pub form: HeaderForm,
    /// Whether nobody waits for the answer.
    pub oneway: Oneway,
}

/// Whether a request is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oneway {
    /// Nobody waits for an answer.
    Yes,
    /// The sender waits.
    No,
}

/// Encoded answers: of one batch, or one that comes later.
#[derive(Debug, Default)]
pub struct Replies {
    pub(crate) chain: Chain,
    /// Answers written, for the count of requests in flight.
    pub(crate) count: usize,
}

impl Replies {
    /// Answers a request. Nothing is written for a oneway request.
    pub fn reply<'h, H: Header<'h>>(&mut self, to: ReplyTo, answer: Answer<'_, H>) {
        if !to.oneway {
            self.count += 1;
            self.chain.answer(to, answer);
        }
    }

    /// Answers with success and nothing else.
    pub fn ok(&mut self, to: ReplyTo) {
        self.reply(to, Answer::ok());
    }

    /// Refuses a request, or says what went wrong.
    pub fn refuse(&mut self, to: ReplyTo, code: ResponseCode, remark: impl fmt::Display) {
        if !to.oneway {
            self.reply(to, Answer::refuse(code, &remark.to_string()));
        }
    }

    /// Answers a request whose code this process does not serve, in Java's words.
    pub fn unsupported(&mut self, frame: &Frame<'_>) {
        let code = frame.code();
        let remark = format_args!(" request type {code} not supported");
        self.refuse(frame.reply_to(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark);
    }

    /// Answers a request whose fields are refused.
    pub fn bad_field(&mut self, to: ReplyTo, error: &FieldError) {
        self.refuse(to, ResponseCode::SYSTEM_ERROR, error);
    }

    /// How many answers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Forgets all answers, and keeps the memory.
    pub fn clear(&mut self) {
        let len = self.chain.len();
        self.chain.advance(len);
        self.count = 0;
    }

    /// The answers' bytes.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Appends the answers of another.
    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        self.chain.append(other.chain);
    }
}
