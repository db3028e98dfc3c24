//! Request frames, encoded once and patched for each use.
//!
//! The generator has its own encoder on purpose: it is a black-box client, and it must cost as
//! little as possible beside the server that it measures. What changes from one request to the
//! next (the opaque, the unique keys, a stamp in the body) has a fixed width in every form.

use std::fmt::Write as _;

/// How the header of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text, as Java clients send it by default.
    Json,
    /// The fixed part of 21 bytes and length-prefixed pairs (`ROCKETMQ`).
    Binary,
}

/// The lowest opaque: from here on every opaque that we use has ten decimal digits.
pub(crate) const OPAQUE_BASE: i32 = 1_000_000_000;

const UNIQUE_KEY_DIGITS: usize = 32;
const UNIQUE_KEY_TAIL: usize = 12;

/// One request, ready to be copied into a connection's buffer.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    form: Form,
    opaque_at: usize,
    /// Where the changing last hexadecimal digits of each unique key are.
    keys_at: Vec<usize>,
    /// Where the body's stamp (8 bytes, big-endian nanoseconds) is, if the body has room.
    stamp_at: Option<usize>,
    /// Messages in this request.
    pub(crate) messages: u64,
    /// Where the ten digits of the changing queue offset are, in a pull request.
    offset_at: Option<usize>,
}

impl Template {
    /// A request with `fields` as its header and `body` behind it.
    pub(crate) fn new(form: Form, code: i16, fields: &[(&str, String)], body: &[u8]) -> Self {
        let (header, opaque) = match form {
            Form::Json => json_header(code, fields),
            Form::Binary => binary_header(code, fields),
        };
        let mut bytes = Vec::with_capacity(8 + header.len() + body.len());
        bytes.extend(word(4 + header.len() + body.len()));
        let kind: u32 = if form == Form::Binary { 1 << 24 } else { 0 };
        bytes.extend((kind | u32::try_from(header.len()).unwrap_or(0)).to_be_bytes());
        bytes.extend(header);
        bytes.extend(body);
        let opaque_at = 8 + opaque;
        Self {
            bytes,
            form,
            opaque_at,
            keys_at: vec![],
            stamp_at: None,
            messages: 1,
            offset_at: None,
        }
    }

    /// Copies the request to the end of `out` as number `sequence`, with `opaque` and `stamp`.
    pub(crate) fn emit(&self, out: &mut Vec<u8>, opaque: i32, sequence: u64, stamp: u64) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        match self.form {
            Form::Json => digits(out, start + self.opaque_at, 10, u64::from(opaque.unsigned_abs())),
            Form::Binary => put(out, start + self.opaque_at, &opaque.to_be_bytes()),
        }
        for (index, at) in (0_u64..).zip(&self.keys_at) {
            hexadecimal(out, start + at, sequence * self.messages + index);
        }
        if let Some(at) = self.stamp_at {
            put(out, start + at, &stamp.to_be_bytes());
        }
    }

    /// As [`Template::emit`] for a pull request that asks from `offset` on.
    pub(crate) fn emit_from(&self, out: &mut Vec<u8>, opaque: i32, offset: u64) {
        let start = out.len();
        self.emit(out, opaque, 0, 0);
        if let Some(at) = self.offset_at {
            digits(out, start + at, 10, offset);
        }
    }
}

/// What a send request is made of.
#[derive(Clone, Debug)]
pub(crate) struct SendShape<'a> {
    pub(crate) topic: &'a str,
    pub(crate) queue: u32,
    pub(crate) form: Form,
    /// Bytes of each message's body.
    pub(crate) size: usize,
    /// Messages in one request; more than one makes a batch request.
    pub(crate) batch: usize,
}

/// A send request in the letters form (310), or a batch (320), as Java clients send them: with
/// a unique key and `WAIT` among the properties.
pub(crate) fn send(shape: &SendShape<'_>) -> Template {
    let properties = format!("UNIQ_KEY\u{1}{}\u{2}WAIT\u{1}true\u{2}", unique_key(shape.queue));
    let batched = shape.batch > 1;
    let fields = [
        ("a", "bench".to_owned()),
        ("b", shape.topic.to_owned()),
        ("c", "TBW102".to_owned()),
        ("d", "8".to_owned()),
        ("e", shape.queue.to_string()),
        ("f", "0".to_owned()),
        ("g", born().to_string()),
        ("h", "0".to_owned()),
        ("i", if batched { "WAIT\u{1}true\u{2}".to_owned() } else { properties.clone() }),
        ("j", "0".to_owned()),
        ("k", "false".to_owned()),
        ("m", batched.to_string()),
    ];
    let body = filler(shape.size);
    if !batched {
        let mut template = Template::new(shape.form, 310, &fields, &body);
        template.keys_at = keys(&template.bytes);
        template.stamp_at = (shape.size >= 8).then(|| template.bytes.len() - shape.size);
        return template;
    }
    let mut packed = Vec::new();
    for _ in 0..shape.batch {
        packed.extend(element(&body, properties.as_bytes()));
    }
    let mut template = Template::new(shape.form, 320, &fields, &packed);
    template.keys_at = keys(&template.bytes);
    template.messages = shape.batch as u64;
    template
}

/// A pull request for up to `count` messages of one queue. With `suspend`, milliseconds, the
/// broker holds it until something arrives.
pub(crate) fn pull(topic: &str, queue: u32, count: u32, suspend: Option<u32>) -> Template {
    let flags = 4 + if suspend.is_some() { 2 } else { 0 };
    let fields = [
        ("consumerGroup", "bench".to_owned()),
        ("topic", topic.to_owned()),
        ("queueId", queue.to_string()),
        ("queueOffset", "0000000000".to_owned()),
        ("maxMsgNums", count.to_string()),
        ("sysFlag", flags.to_string()),
        ("commitOffset", "0".to_owned()),
        ("suspendTimeoutMillis", suspend.unwrap_or(0).to_string()),
        ("subscription", "*".to_owned()),
        ("subVersion", "0".to_owned()),
        ("expressionType", "TAG".to_owned()),
    ];
    let mut template = Template::new(Form::Json, 11, &fields, &[]);
    template.offset_at = memchr::memmem::find(&template.bytes, b"0000000000");
    template
}

fn json_header(code: i16, fields: &[(&str, String)]) -> (Vec<u8>, usize) {
    let mut text = format!("{{\"code\":{code},\"extFields\":{{");
    for (index, (name, value)) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let value = value.replace('\u{1}', "\\u0001").replace('\u{2}', "\\u0002");
        let written = write!(text, "{comma}\"{name}\":\"{value}\"");
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    text.push_str("},\"flag\":0,\"language\":\"JAVA\",\"opaque\":");
    let opaque = text.len();
    text.push_str("1000000000,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":479}");
    (text.into_bytes(), opaque)
}

fn binary_header(code: i16, fields: &[(&str, String)]) -> (Vec<u8>, usize) {
    let mut pairs = Vec::new();
    for (name, value) in fields {
        pairs.extend(u16::try_from(name.len()).unwrap_or(0).to_be_bytes());
        pairs.extend(name.as_bytes());
        pairs.extend(word(value.len()));
        pairs.extend(value.as_bytes());
    }
    let mut header = Vec::new();
    header.extend(code.to_be_bytes());
    header.push(0); // JAVA
    header.extend(479_i16.to_be_bytes());
    let opaque = header.len();
    header.extend(OPAQUE_BASE.to_be_bytes());
    header.extend(0_u32.to_be_bytes()); // flag
    header.extend(0_u32.to_be_bytes()); // remark
    header.extend(word(pairs.len()));
    header.extend(pairs);
    (header, opaque)
}

/// One message of a batch body: size, magic, CRC and flag (all three left to the broker), body,
/// properties.
fn element(body: &[u8], properties: &[u8]) -> Vec<u8> {
    let size = 4 * 4 + 4 + body.len() + 2 + properties.len();
    let mut element = Vec::with_capacity(size);
    element.extend(word(size));
    element.extend([0; 12]);
    element.extend(word(body.len()));
    element.extend(body);
    element.extend(u16::try_from(properties.len()).unwrap_or(0).to_be_bytes());
    element.extend(properties);
    element
}

fn unique_key(queue: u32) -> String {
    format!("7F000001{:04X}{queue:08X}{:012X}", std::process::id() & 0xFFFF, 0)
}

/// Where the changing digits of each unique key stand in an encoded request. In JSON text the
/// separator is an escape of six characters.
fn keys(bytes: &[u8]) -> Vec<usize> {
    const NAME: &[u8] = b"UNIQ_KEY";
    memchr::memmem::find_iter(bytes, NAME)
        .map(|at| {
            let escaped = bytes.get(at + NAME.len()) == Some(&b'\\');
            let separator = if escaped { 6 } else { 1 };
            at + NAME.len() + separator + UNIQUE_KEY_DIGITS - UNIQUE_KEY_TAIL
        })
        .collect()
}

/// Text that does not repeat soon, as a body.
fn filler(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            b'a' + u8::try_from((state >> 33) % 26).unwrap_or(0)
        })
        .collect()
}

fn born() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis())
}

fn word(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes()
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = out.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

fn digits(out: &mut [u8], at: usize, width: usize, mut value: u64) {
    let Some(slot) = out.get_mut(at..at + width) else { return };
    for digit in slot.iter_mut().rev() {
        *digit = b"0123456789".get((value % 10) as usize).copied().unwrap_or(b'0');
        value /= 10;
    }
}

fn hexadecimal(out: &mut [u8], at: usize, mut value: u64) {
    let Some(slot) = out.get_mut(at..at + UNIQUE_KEY_TAIL) else { return };
    for digit in slot.iter_mut().rev() {
        *digit = b"0123456789ABCDEF".get((value & 15) as usize).copied().unwrap_or(b'0');
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(form: Form, batch: usize) -> SendShape<'static> {
        SendShape { topic: "t", queue: 3, form, size: 16, batch }
    }

    #[test]
    fn both_forms_carry_the_opaque_the_key_and_the_stamp() {
        for form in [Form::Json, Form::Binary] {
            let mut out = Vec::new();
            send(&shape(form, 1)).emit(&mut out, OPAQUE_BASE + 7, 0xABC, 42);
            let length = u32::from_be_bytes(out[..4].try_into().unwrap()) as usize;
            assert_eq!(length + 4, out.len());
            assert!(memchr::memmem::find(&out, b"000000000ABC").is_some());
            assert_eq!(out[out.len() - 16..out.len() - 8], 42_u64.to_be_bytes());
            let opaque: &[u8] = match form {
                Form::Json => b"\"opaque\":1000000007,",
                Form::Binary => &(OPAQUE_BASE + 7).to_be_bytes(),
            };
            assert!(memchr::memmem::find(&out, opaque).is_some());
        }
    }

    #[test]
    fn each_message_of_a_batch_has_its_own_key() {
        let mut out = Vec::new();
        send(&shape(Form::Json, 2)).emit(&mut out, OPAQUE_BASE, 8, 0);
        assert!(memchr::memmem::find(&out, b"000000000010").is_some());
        assert!(memchr::memmem::find(&out, b"000000000011").is_some());
    }

    #[test]
    fn a_pull_asks_from_its_offset() {
        let mut out = Vec::new();
        pull("t", 1, 32, None).emit_from(&mut out, OPAQUE_BASE, 12_345);
        assert!(memchr::memmem::find(&out, b"\"queueOffset\":\"0000012345\"").is_some());
    }
}
