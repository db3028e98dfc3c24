//! The stored message record: what the CommitLog holds, pulls ship and clients read. Big-endian
//! (`MessageDecoder` and `MessageExtEncoder` of Apache RocketMQ):
//!
//! ```text
//!  0 total size u32   4 magic u32          8 body CRC-32 & 0x7FFFFFFF   12 queue id u32   16 user flag i32
//! 20 queue offset u64 28 own position u64 36 system flag u32           40 born time u64 ms
//! 48 born host: address (4, or 16 if sysflag 0x10), port u32; store time u64 ms; store host (16 if 0x20), port u32;
//!    reconsume times u32; prepared transaction offset u64;
//!    body length u32, body; topic length u8 (magic v1) or u16 (v2), topic; properties length u16, properties
//! ```
//!
//! A record is encoded without knowing where it will be; [`place`] patches queue offset, position and store time in
//! when the appender knows them. The CRC covers the body only, so placing does not change it.
//! Parsing is bounded by the given bytes and never panics, whatever they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    Millis, PhysicalOffset, QueueId, QueueOffset,
    properties::{PROPERTIES_MAX, Properties},
    sysflag::SysFlag,
};

/// Marks a record whose topic length is one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Marks a record whose topic length is two bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Marks the filler at the end of a CommitLog file: 4 bytes of remaining size, then this; the rest is undefined.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes of the filler's head.
pub const BLANK_HEAD: usize = 8;
/// Bytes of the smallest record: IPv4 hosts, magic v1, no body, topic or properties.
pub const RECORD_MIN: usize = 91;
/// Longest topic of a v1 record, in bytes.
const V1_TOPIC_MAX: usize = 127;

const AT_QUEUE_OFFSET: usize = 20;
const AT_POSITION: usize = 28;
const AT_SYS_FLAG: usize = 36;
const AT_BORN_HOST: usize = 48;

/// CRC-32 (IEEE) without its highest bit, as records hold it.
#[must_use]
pub fn body_crc(body: &[u8]) -> u32 {
    if body.is_empty() { 0 } else { crc32fast::hash(body) & 0x7FFF_FFFF }
}

/// A message that is about to be stored: everything but its place. The flags of IPv6 hosts are set by encoding.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Topic, in bytes at most 255 if it is a valid one; at most 65,535 can be written.
    pub topic: &'a str,
    /// The queue.
    pub queue: QueueId,
    /// The user's flag, transported untouched.
    pub flag: i32,
    /// System flag.
    pub sys_flag: SysFlag,
    /// When the producer made it.
    pub born: Millis,
    /// Where the producer is.
    pub born_host: SocketAddr,
    /// Where this broker is.
    pub store_host: SocketAddr,
    /// How often delivery failed before.
    pub reconsume_times: u32,
    /// The half message of a committed one, else 0.
    pub prepared: PhysicalOffset,
    /// Body.
    pub body: &'a [u8],
    /// Property string, at most [`PROPERTIES_MAX`] bytes.
    pub properties: Properties<'a>,
}

/// Why a draft can't be written as a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The topic does not fit its length field.
    #[error("topic of {0} bytes is too long")]
    Topic(usize),
    /// The property string does not fit its length field.
    #[error("properties of {0} bytes are longer than {PROPERTIES_MAX}")]
    Properties(usize),
    /// The record does not fit its length field.
    #[error("body of {0} bytes is too long")]
    Body(usize),
}

const fn host_len(host: &SocketAddr) -> usize {
    match host {
        SocketAddr::V4(_) => 8,
        SocketAddr::V6(_) => 20,
    }
}

fn push_host(out: &mut Vec<u8>, host: &SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

impl Draft<'_> {
    /// Bytes of the record.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let hosts = host_len(&self.born_host) + host_len(&self.store_host) - 16;
        let v2 = usize::from(self.topic.len() > V1_TOPIC_MAX);
        let variable = self.body.len() + self.topic.len() + self.properties.as_bytes().len();
        RECORD_MIN + hosts + v2 + variable
    }

    /// Appends the record with queue offset, position and store time 0, and says how long it is. On an error nothing
    /// is appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        let len = self.encoded_len();
        let total = u32::try_from(len)
            .ok()
            .filter(|total| *total <= i32::MAX.unsigned_abs())
            .ok_or(EncodeError::Body(self.body.len()))?;
        let body_len =
            u32::try_from(self.body.len()).map_err(|_| EncodeError::Body(self.body.len()))?;
        let topic_len =
            u16::try_from(self.topic.len()).map_err(|_| EncodeError::Topic(self.topic.len()))?;
        let properties = self.properties.as_bytes();
        let properties_len = u16::try_from(properties.len())
            .ok()
            .filter(|len| usize::from(*len) <= PROPERTIES_MAX)
            .ok_or(EncodeError::Properties(properties.len()))?;
        let short_topic = u8::try_from(topic_len).ok().filter(|_| self.topic.len() <= V1_TOPIC_MAX);

        out.reserve(len);
        let mut head = [0_u8; AT_BORN_HOST];
        let magic = if short_topic.is_some() { MAGIC_V1 } else { MAGIC_V2 };
        let words = [total, magic, body_crc(self.body), self.queue.0];
        let (at_start, _) = head.as_chunks_mut::<4>();
        for (slot, word) in at_start.iter_mut().zip(words) {
            *slot = word.to_be_bytes();
        }
        put(&mut head, 16, self.flag.to_be_bytes());
        put(&mut head, AT_SYS_FLAG, self.sys_flag_of_hosts().0.to_be_bytes());
        put(&mut head, 40, self.born.0.to_be_bytes());
        out.extend_from_slice(&head);
        push_host(out, &self.born_host);
        out.extend_from_slice(&[0; 8]);
        push_host(out, &self.store_host);
        out.extend_from_slice(&self.reconsume_times.to_be_bytes());
        out.extend_from_slice(&self.prepared.0.to_be_bytes());
        out.extend_from_slice(&body_len.to_be_bytes());
        out.extend_from_slice(self.body);
        match short_topic {
            Some(len) => out.push(len),
            None => out.extend_from_slice(&topic_len.to_be_bytes()),
        }
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&properties_len.to_be_bytes());
        out.extend_from_slice(properties);
        Ok(len)
    }

    fn sys_flag_of_hosts(&self) -> SysFlag {
        let flag = self.sys_flag.without(SysFlag::BORN_HOST_V6).without(SysFlag::STORE_HOST_V6);
        let of = |host: &SocketAddr, bit| if host.is_ipv6() { bit } else { SysFlag::NONE };
        flag.with(of(&self.born_host, SysFlag::BORN_HOST_V6))
            .with(of(&self.store_host, SysFlag::STORE_HOST_V6))
    }
}

/// Writes `bytes` at `at`; does nothing if they don't fit.
fn put<const N: usize>(record: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(slot) = record.get_mut(at..at + N) {
        slot.copy_from_slice(&bytes);
    }
}

/// Gives an encoded record its place. `record` begins with the record; if it is shorter than one, what fits is written.
pub fn place(record: &mut [u8], offset: QueueOffset, position: PhysicalOffset, stored: Millis) {
    let born_v6 = record.get(AT_SYS_FLAG + 3).is_some_and(|low| low & 0x10 != 0);
    put(record, AT_QUEUE_OFFSET, offset.0.to_be_bytes());
    put(record, AT_POSITION, position.0.to_be_bytes());
    put(record, AT_BORN_HOST + if born_v6 { 20 } else { 8 }, stored.0.to_be_bytes());
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The bytes end before the record does.
    #[error("record of {need} bytes in {have}")]
    Short {
        /// Bytes needed to go on.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The magic code is neither that of a record nor that of a filler.
    #[error("magic code {0:#010x}")]
    Magic(u32),
    /// The lengths inside the record and its total size contradict each other.
    #[error("lengths inside the record don't add up to {total}")]
    Lengths {
        /// The total size that the record claims.
        total: usize,
    },
    /// A number that cannot be negative is, or a port is none.
    #[error("impossible {0}")]
    Field(&'static str),
    /// The body is not what its CRC says.
    #[error("body CRC {stored:#010x}, computed {computed:#010x}")]
    Crc {
        /// In the record.
        stored: u32,
        /// Of the body.
        computed: u32,
    },
    /// The topic is not UTF-8.
    #[error("topic is not UTF-8")]
    Topic,
}

/// Whether parsing compares the body with its CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Compare.
    Crc,
    /// Trust the bytes: they were checked when they were stored.
    Trust,
}

/// What stands at a position of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A message.
    Record(Record<'a>),
    /// The filler up to the end of the file.
    Blank {
        /// Bytes up to the end of the file, its head included.
        len: usize,
    },
}

/// A parsed record; slices refer to the bytes it was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Bytes of the whole record.
    pub len: usize,
    /// CRC of the body, without the highest bit.
    pub crc: u32,
    /// The queue.
    pub queue: QueueId,
    /// The user's flag.
    pub flag: i32,
    /// Place in the queue.
    pub offset: QueueOffset,
    /// Place in the log, as the record says; recycled files hold records of other places.
    pub position: PhysicalOffset,
    /// System flag.
    pub sys_flag: SysFlag,
    /// When the producer made it.
    pub born: Millis,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// When it was stored.
    pub stored: Millis,
    /// The broker that stored it.
    pub store_host: SocketAddr,
    /// How often delivery failed before.
    pub reconsume_times: u32,
    /// The half message of a committed one, else 0.
    pub prepared: PhysicalOffset,
    /// Body.
    pub body: &'a [u8],
    /// Topic.
    pub topic: &'a str,
    /// Properties.
    pub properties: Properties<'a>,
}

impl<'a> Record<'a> {
    /// Parses the record at the start of `bytes`, which may go on behind it.
    pub fn parse(bytes: &'a [u8], check: Check) -> Result<Self, ParseError> {
        match Unit::parse(bytes, check)? {
            Unit::Record(record) => Ok(record),
            Unit::Blank { .. } => Err(ParseError::Magic(MAGIC_BLANK)),
        }
    }
}

impl<'a> Unit<'a> {
    /// Parses what stands at the start of `bytes`, which may go on behind it.
    pub fn parse(bytes: &'a [u8], check: Check) -> Result<Self, ParseError> {
        let mut cursor = Cursor { rest: bytes, total: bytes.len() };
        let short = ParseError::Short { need: BLANK_HEAD, have: bytes.len() };
        let (Ok(total), Ok(magic)) = (cursor.u32(), cursor.u32()) else { return Err(short) };
        let total = usize::try_from(total).map_err(|_| ParseError::Field("total size"))?;
        let v2 = match magic {
            MAGIC_V1 => false,
            MAGIC_V2 => true,
            MAGIC_BLANK if total >= BLANK_HEAD => return Ok(Self::Blank { len: total }),
            other => return Err(ParseError::Magic(other)),
        };
        if total < RECORD_MIN {
            return Err(ParseError::Lengths { total });
        }
        let inside = bytes
            .get(BLANK_HEAD..total)
            .ok_or(ParseError::Short { need: total, have: bytes.len() })?;
        let record = Cursor { rest: inside, total }.record(v2)?;
        if check == Check::Crc {
            let computed = body_crc(record.body);
            if record.crc != computed {
                return Err(ParseError::Crc { stored: record.crc, computed });
            }
        }
        Ok(Self::Record(record))
    }
}

/// Reads forward; every read is bounded by what is left.
struct Cursor<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (head, rest) =
            self.rest.split_first_chunk().ok_or(ParseError::Lengths { total: self.total })?;
        self.rest = rest;
        Ok(*head)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], ParseError> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or(ParseError::Lengths { total: self.total })?;
        self.rest = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, ParseError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A 64-bit number that Java holds signed and that is never negative.
    fn natural(&mut self, what: &'static str) -> Result<u64, ParseError> {
        u64::try_from(i64::from_be_bytes(self.array()?)).map_err(|_| ParseError::Field(what))
    }

    fn host(&mut self, v6: bool) -> Result<SocketAddr, ParseError> {
        let ip = if v6 {
            IpAddr::V6(Ipv6Addr::from(self.array::<16>()?))
        } else {
            IpAddr::V4(Ipv4Addr::from(self.array::<4>()?))
        };
        let port = u16::try_from(self.u32()?).map_err(|_| ParseError::Field("port"))?;
        Ok(SocketAddr::new(ip, port))
    }

    /// Everything behind total size and magic code.
    fn record(mut self, v2: bool) -> Result<Record<'a>, ParseError> {
        let crc = self.u32()?;
        let queue = QueueId(self.u32()?);
        let flag = i32::from_be_bytes(self.array()?);
        let offset = QueueOffset(self.natural("queue offset")?);
        let position = PhysicalOffset(self.natural("position")?);
        let sys_flag = SysFlag(self.u32()?);
        let born = Millis(self.natural("born time")?);
        let born_host = self.host(sys_flag.has(SysFlag::BORN_HOST_V6))?;
        let stored = Millis(self.natural("store time")?);
        let store_host = self.host(sys_flag.has(SysFlag::STORE_HOST_V6))?;
        let reconsume_times = self.u32()?;
        let prepared = PhysicalOffset(self.natural("prepared transaction offset")?);
        let body_len = self.u32()?;
        let body = self.slice(usize::try_from(body_len).unwrap_or(usize::MAX))?;
        let topic_len = if v2 {
            u16::from_be_bytes(self.array()?)
        } else {
            u16::from_be_bytes([0, self.array::<1>()?[0]])
        };
        let topic = self.slice(usize::from(topic_len))?;
        let properties_len = u16::from_be_bytes(self.array()?);
        let properties = self.slice(usize::from(properties_len))?;
        if !self.rest.is_empty() {
            return Err(ParseError::Lengths { total: self.total });
        }
        Ok(Record {
            len: self.total,
            crc,
            queue,
            flag,
            offset,
            position,
            sys_flag,
            born,
            born_host,
            stored,
            store_host,
            reconsume_times,
            prepared,
            body,
            topic: std::str::from_utf8(topic).map_err(|_| ParseError::Topic)?,
            properties: Properties::new(properties),
        })
    }
}

/// One message of a batch request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchElement<'a> {
    /// The user's flag.
    pub flag: i32,
    /// Body.
    pub body: &'a [u8],
    /// Properties.
    pub properties: Properties<'a>,
}

/// The messages of a batch request's body: repeated `total u32, magic u32, CRC u32, flag i32, body length u32, body,
/// properties length u16, properties`. Magic and CRC are written as 0 and not looked at. Ends behind the first error.
#[derive(Debug, Clone)]
pub struct BatchBody<'a> {
    rest: &'a [u8],
}

/// Bytes of a batch element besides body and properties.
const ELEMENT_MIN: usize = 22;

impl<'a> BatchBody<'a> {
    /// Reads `body` from its start.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn element(&mut self) -> Result<BatchElement<'a>, ParseError> {
        let have = self.rest.len();
        let total = self.rest.first_chunk().map(|total| u32::from_be_bytes(*total));
        let total = total.ok_or(ParseError::Short { need: ELEMENT_MIN, have })?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let (element, rest) =
            self.rest.split_at_checked(total).ok_or(ParseError::Short { need: total, have })?;
        let mut cursor = Cursor { rest: element, total };
        let _total_magic_crc = cursor.array::<12>()?;
        let flag = i32::from_be_bytes(cursor.array()?);
        let body_len = cursor.u32()?;
        let body = cursor.slice(usize::try_from(body_len).unwrap_or(usize::MAX))?;
        let properties_len = u16::from_be_bytes(cursor.array()?);
        let properties = Properties::new(cursor.slice(usize::from(properties_len))?);
        if !cursor.rest.is_empty() {
            return Err(ParseError::Lengths { total });
        }
        self.rest = rest;
        Ok(BatchElement { flag, body, properties })
    }
}

impl<'a> Iterator for BatchBody<'a> {
    type Item = Result<BatchElement<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let element = self.element();
        if element.is_err() {
            self.rest = &[];
        }
        Some(element)
    }
}

/// Appends one element of a batch request's body. Fails without appending if a length does not fit its field.
pub fn encode_batch_element(
    out: &mut Vec<u8>,
    element: &BatchElement<'_>,
) -> Result<(), EncodeError> {
    let properties = element.properties.as_bytes();
    let properties_len = u16::try_from(properties.len())
        .ok()
        .filter(|len| usize::from(*len) <= PROPERTIES_MAX)
        .ok_or(EncodeError::Properties(properties.len()))?;
    let too_long = EncodeError::Body(element.body.len());
    let body_len = u32::try_from(element.body.len()).map_err(|_| too_long)?;
    let total =
        u32::try_from(ELEMENT_MIN + element.body.len() + properties.len()).map_err(|_| too_long)?;
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&element.flag.to_be_bytes());
    out.extend_from_slice(&body_len.to_be_bytes());
    out.extend_from_slice(element.body);
    out.extend_from_slice(&properties_len.to_be_bytes());
    out.extend_from_slice(properties);
    Ok(())
}
