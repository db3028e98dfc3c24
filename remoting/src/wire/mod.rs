//! Bytes of the remoting protocol to typed values and back. No socket, no clock, no async.
//!
//! A frame is `length (4) | form (1) | header length (3) | header | body`, big-endian, where `length`
//! counts what follows it. The header has one of two forms: JSON (0) or ROCKETMQ binary (1).

mod binary;
pub mod body;
mod code;
mod encode;
mod field;
mod frame;
#[cfg(test)]
mod golden;
mod head;
mod json;
mod language;
#[cfg(test)]
mod proofs;
pub mod request;
#[cfg(test)]
mod tests;

pub use code::ResponseCode;
pub use encode::{Answer, Body, Chain, Oneway, Replies, RequestLine};
pub use field::{Field, FieldError, FieldWriter, Fields, Header, MaybeNegative, NoFields, Refused};
pub use frame::{BATCH_FRAMES_MAX, Command, FRAME_MAX, Frame, FrameError, Frames, Rest};
pub use head::{HeaderError, HeaderForm, ReplyTo};
pub use language::Language;
pub use request::{RequestCode, RequestError};

/// The version that replies carry: the ordinal of Apache RocketMQ 5.3.3. Java clients remember it per
/// broker and enable SQL92 filters from 232 on.
pub const VERSION: i32 = 479;
