//! The broker's disk: segments, log, appender, consume queues, recovery. No network.
//!
//! Life of a message: the broker encodes it into a [`Batch`] with its [`QueueHandle`]; [`Store::append`] gives it its place and
//! writes the batch with one positioned write; the queue's unit is made from the batch; replies and parked pulls go on right
//! then. The store's threads make the log durable and write the units to their files later.
//!
//! Invariants: nothing that was flushed is lost or changed; nothing is read that was not wholly written; the checkpoint
//! is never ahead of the queue files; after a failed flush nothing is written.

mod appender;
mod background;
mod batch;
mod checkpoint;
pub mod disk;
mod files;
mod layout;
mod log;
mod outcome;
mod queue;
mod queues;
mod read;
mod recovery;
mod retention;
mod scan;
mod search;
mod settings;
mod signal;
mod store;

pub use batch::{Appended, Batch, Completion, Flusher, Placed, Refusal, Tags};
pub use outcome::{Cut, OpenError, Recovery};
pub use queue::{Queue, QueueHandle};
pub use read::{Limits, Pull, PullStatus, ReadError, Select};
pub use search::Boundary;
pub use settings::{Flush, Settings, code_of};
pub use store::{Background, Condition, Listener, Store};
