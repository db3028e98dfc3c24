//! Typed fields of a header: text on the wire, checked values behind `decode`.
//!
//! All values are texts, in both header forms. An empty number counts as absent, because the binary form
//! cannot tell the two apart. Of a name that occurs twice the later one counts, as in Java's maps.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use gantry_model::{BrokerId, Epoch, Millis, Perm, PhysicalOffset, QueueId, QueueOffset};

use super::head::{HeaderForm, Pair};

/// Why a header's fields are refused. The text is the remark of the answer, whose code is
/// [`super::ResponseCode::SYSTEM_ERROR`], as Java answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A field that the request cannot do without.
    #[error("the custom field <{name}> is null")]
    Missing {
        /// The wire's name of the field.
        name: &'static str,
    },
    /// A value that its type excludes.
    #[error("the custom field <{name}> must be {want}, got \"{got}\"")]
    Value {
        /// The wire's name of the field.
        name: &'static str,
        /// What is accepted.
        want: &'static str,
        /// The beginning of what came.
        got: String,
    },
}

/// Most characters of a refused value that are repeated to the client.
const GOT_MAX: usize = 64;

impl FieldError {
    fn value(name: &'static str, want: &'static str, got: &[u8]) -> Self {
        let got = String::from_utf8_lossy(got.get(..GOT_MAX).unwrap_or(got)).into_owned();
        Self::Value { name, want, got }
    }
}

/// The fields of one header: names and values, in the order of the wire.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'b> {
    block: &'b [u8],
    pairs: &'b [Pair],
}

impl<'b> Fields<'b> {
    pub(super) fn new(block: &'b [u8], pairs: &'b [Pair]) -> Self {
        Self { block, pairs }
    }

    /// Names and values as they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        let block = self.block;
        self.pairs.iter().map(move |pair| (pair.key.of(block), pair.value.of(block)))
    }

    /// Reads one field alone. `None` if it is absent.
    pub fn one<F: Field<'b>>(&self, name: &'static str) -> Result<Option<F>, FieldError> {
        match self.iter().filter(|(key, _)| *key == name.as_bytes()).last() {
            Some((_, value)) => F::parse(value)
                .map(Some)
                .map_err(|Refused(want)| FieldError::value(name, want, value)),
            None => Ok(None),
        }
    }
}

/// What a field's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// A type that a header's field can have.
pub trait Field<'b>: Sized {
    /// What an absent field means; `None` if it must not be absent.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// Checks a value.
    fn parse(value: &'b [u8]) -> Result<Self, Refused>;

    /// Writes the value under its name; nothing if the value stands for an absent field.
    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>);
}

/// A header's fields as one type: what `headers!` makes.
pub trait Header<'b>: Sized {
    /// Checks the fields; names that the type does not have are ignored.
    fn decode(fields: Fields<'b>) -> Result<Self, FieldError>;

    /// Writes the fields.
    fn encode(&self, out: &mut FieldWriter<'_>);
}

/// The header of commands without fields of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoFields;

impl Header<'_> for NoFields {
    fn decode(_: Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self)
    }

    fn encode(&self, _: &mut FieldWriter<'_>) {}
}

/// Reads what `headers!` found for one field.
#[inline]
pub(super) fn read<'b, F: Field<'b>>(
    name: &'static str,
    value: Option<&'b [u8]>,
) -> Result<F, FieldError> {
    let Some(value) = value else {
        return F::absent().ok_or(FieldError::Missing { name });
    };
    F::parse(value).map_err(|Refused(want)| FieldError::value(name, want, value))
}

/// The wire's name of a field as text; only for literals, which are ASCII.
pub(super) const fn name(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(name) => name,
        Err(_) => panic!("a field's name must be UTF-8"),
    }
}

/// A decimal integer of any sign; `None` if it is none or exceeds 64 bits.
#[inline]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    // 19 digits fit 64 bits without a sign.
    let mut magnitude = 0_u64;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(value);
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

macro_rules! integers {
    ($($type:ty: $want:literal, $max:expr, |$n:ident| $of:expr, |$v:ident| $to:expr;)*) => {$(
        impl Field<'_> for $type {
            #[inline]
            fn parse(value: &[u8]) -> Result<Self, Refused> {
                let $n = integer(value).ok_or(Refused($want))?;
                if $n > $max {
                    return Err(Refused($want));
                }
                $of.ok_or(Refused($want))
            }

            fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
                let $v = self;
                out.number(name, $to);
            }
        }
    )*};
}

const I32_MAX: i64 = i32::MAX as i64;

integers! {
    i32: "a 32-bit integer", I32_MAX, |n| i32::try_from(n).ok(), |v| i64::from(*v);
    i64: "a 64-bit integer", i64::MAX, |n| Some(n), |v| *v;
    u16: "an integer from 0 to 65535", 65535, |n| u16::try_from(n).ok(), |v| i64::from(*v);
    u32: "an integer from 0 to 2147483647", I32_MAX, |n| u32::try_from(n).ok(), |v| i64::from(*v);
    u64: "an integer from 0 on", i64::MAX, |n| u64::try_from(n).ok(), |v| v.cast_signed();
    QueueId: "a queue's number from 0 on", I32_MAX,
        |n| u32::try_from(n).ok().map(QueueId), |v| i64::from(v.0);
    QueueOffset: "an offset from 0 on", i64::MAX,
        |n| u64::try_from(n).ok().map(QueueOffset), |v| v.0.cast_signed();
    PhysicalOffset: "a byte offset from 0 on", i64::MAX,
        |n| u64::try_from(n).ok().map(PhysicalOffset), |v| v.0.cast_signed();
    BrokerId: "a broker's id from 0 on", i64::MAX,
        |n| u64::try_from(n).ok().map(BrokerId), |v| v.0.cast_signed();
    Epoch: "an epoch from 0 on", I32_MAX,
        |n| u32::try_from(n).ok().map(Epoch), |v| i64::from(v.0);
    Millis: "milliseconds from 0 on", i64::MAX,
        |n| u64::try_from(n).ok().map(Millis), |v| v.0.cast_signed();
    Perm: "a permission from 0 to 7", 7,
        |n| u32::try_from(n).ok().and_then(|bits| Perm::try_from(bits).ok()),
        |v| i64::from(v.bits());
}

/// A number for which the protocol gives every negative value one meaning, such as a queue id below 0
/// in a send, which leaves the choice to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MaybeNegative<T> {
    /// Below 0; the wire's value is kept for answers that repeat it.
    Negative(i64),
    /// 0 or more.
    Of(T),
}

impl<T> MaybeNegative<T> {
    /// The value, unless negative.
    #[must_use]
    pub fn get(self) -> Option<T> {
        match self {
            Self::Negative(_) => None,
            Self::Of(value) => Some(value),
        }
    }
}

impl<T> From<T> for MaybeNegative<T> {
    fn from(value: T) -> Self {
        Self::Of(value)
    }
}

/// In JSON bodies it is a plain number.
impl<T: serde::Serialize> serde::Serialize for MaybeNegative<T> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Negative(number) => out.serialize_i64(*number),
            Self::Of(value) => value.serialize(out),
        }
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for MaybeNegative<T> {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        use serde::de::IntoDeserializer;
        let number: i64 = serde::Deserialize::deserialize(source)?;
        match u64::try_from(number) {
            Ok(value) => T::deserialize(value.into_deserializer()).map(Self::Of),
            Err(_negative) => Ok(Self::Negative(number)),
        }
    }
}

impl<'b, T: Field<'b>> Field<'b> for MaybeNegative<T> {
    #[inline]
    fn parse(value: &'b [u8]) -> Result<Self, Refused> {
        if value.first() == Some(&b'-') {
            let number = integer(value).ok_or(Refused("an integer"))?;
            if number < 0 {
                return Ok(Self::Negative(number));
            }
        }
        T::parse(value).map(Self::Of)
    }

    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
        match self {
            Self::Negative(number) => out.number(name, *number),
            Self::Of(value) => value.put(name, out),
        }
    }
}

/// Absent counts as false, as Java's primitive fields do; anything but "true" is false.
impl Field<'_> for bool {
    fn absent() -> Option<Self> {
        Some(false)
    }

    #[inline]
    fn parse(value: &[u8]) -> Result<Self, Refused> {
        Ok(value.eq_ignore_ascii_case(b"true"))
    }

    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
        out.text(name, if *self { "true" } else { "false" });
    }
}

impl<'b> Field<'b> for &'b str {
    #[inline]
    fn parse(value: &'b [u8]) -> Result<Self, Refused> {
        std::str::from_utf8(value).map_err(|_| Refused("UTF-8"))
    }

    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
        out.text(name, self);
    }
}

impl<'b> Field<'b> for Cow<'b, str> {
    fn parse(value: &'b [u8]) -> Result<Self, Refused> {
        <&str>::parse(value).map(Cow::Borrowed)
    }

    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
        out.text(name, self);
    }
}

impl<'b, T: Field<'b>> Field<'b> for Option<T> {
    fn absent() -> Option<Self> {
        Some(None)
    }

    #[inline]
    fn parse(value: &'b [u8]) -> Result<Self, Refused> {
        if value.is_empty() { Ok(None) } else { T::parse(value).map(Some) }
    }

    fn put(&self, name: &'static [u8], out: &mut FieldWriter<'_>) {
        if let Some(value) = self {
            value.put(name, out);
        }
    }
}

/// Where a header's fields are written, in the form of the command they belong to.
#[derive(Debug)]
pub struct FieldWriter<'o> {
    form: HeaderForm,
    out: &'o mut BytesMut,
    any: bool,
}

impl<'o> FieldWriter<'o> {
    pub(super) fn new(form: HeaderForm, out: &'o mut BytesMut) -> Self {
        Self { form, out, any: false }
    }

    /// Writes a text. The name must be plain ASCII.
    pub fn text(&mut self, name: &[u8], value: &str) {
        match self.form {
            HeaderForm::Json => {
                self.json_name(name);
                json_text(self.out, value);
            }
            HeaderForm::Binary => self.binary(name, value.as_bytes()),
        }
        self.any = true;
    }

    /// Writes a number.
    pub fn number(&mut self, name: &[u8], value: i64) {
        let mut digits = itoa::Buffer::new();
        let value = digits.format(value);
        match self.form {
            HeaderForm::Json => {
                self.json_name(name);
                self.out.put_u8(b'"');
                self.out.put_slice(value.as_bytes());
                self.out.put_u8(b'"');
            }
            HeaderForm::Binary => self.binary(name, value.as_bytes()),
        }
        self.any = true;
    }

    fn json_name(&mut self, name: &[u8]) {
        self.out.put_slice(if self.any { b",\"" } else { b"\"" });
        self.out.put_slice(name);
        self.out.put_slice(b"\":");
    }

    fn binary(&mut self, name: &[u8], value: &[u8]) {
        // Names are literals and values parts of a frame: neither can exceed its length word.
        self.out.put_u16(u16::try_from(name.len()).unwrap_or(0));
        self.out.put_slice(name);
        self.out.put_u32(u32::try_from(value.len()).unwrap_or(0));
        self.out.put_slice(value);
    }
}

/// Writes a text as JSON string. Control characters (the separators of property strings) are escaped.
pub(super) fn json_text(out: &mut BytesMut, text: &str) {
    out.put_u8(b'"');
    // Most texts have nothing to escape; looking at all bytes without a branch takes vectors.
    if text.bytes().fold(false, |any, byte| any | needs_escape(byte)) {
        escaped(out, text.as_bytes());
    } else {
        out.put_slice(text.as_bytes());
    }
    out.put_u8(b'"');
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn escaped(out: &mut BytesMut, mut rest: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.put_slice(plain);
        let Some((byte, tail)) = special.split_first() else { break };
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            other => {
                out.put_slice(b"\\u00");
                for nibble in [other >> 4, other & 15] {
                    out.put_u8(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
            }
        }
        rest = tail;
    }
    out.put_slice(rest);
}
