//! The words of the domain: names, ids, offsets, limits, permissions and the stored message record.
//!
//! Invariant: pure values only. No I/O, no clock, no async, nothing that knows of a socket or a file.
//! Bytes that come from outside are parsed here into types that prove what they hold.

pub mod ids;
pub mod names;
pub mod perm;

pub use ids::{BrokerId, Epoch, Millis, PhysicalOffset, QueueId, QueueOffset};
pub use names::{Group, NameError, Topic};
pub use perm::Perm;
