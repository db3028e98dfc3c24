//! The words of the domain: names, ids, offsets, limits, permissions and the stored message record.
//!
//! Invariant: pure values only. No I/O, no clock, no async, nothing that knows of a socket or a file.
//! Bytes that come from outside are parsed here into types that prove what they hold.

pub mod ids;
pub mod message_id;
pub mod names;
pub mod perm;
pub mod properties;
pub mod record;
pub mod sysflag;
pub mod tags;

pub use ids::{BrokerId, Epoch, Millis, PhysicalOffset, QueueId, QueueOffset};
pub use message_id::OffsetMessageId;
pub use names::{Group, NameError, Topic};
pub use perm::Perm;
pub use properties::Properties;
pub use record::{Draft, Record};
pub use sysflag::SysFlag;
