//! What a case stands on: a server (ours, or Apache RocketMQ's as the oracle when `GANTRY_PEER=java`) in a directory of
//! its own on free loopback ports, and official clients under remote control.

mod guardian;
mod peer;
mod port;
mod program;
mod server;
mod stage;
pub mod wire;

use std::time::Duration;

pub use peer::{Call, Client, Event, Peer};
pub use program::Program;
pub use server::{Server, Setup, is_oracle};
pub use stage::{Stage, consume, keys, places, produce, whole_queues};

/// Waits a little between two looks at something that can't be awaited, such as another process's state.
pub(crate) fn pause(time: Duration) {
    std::thread::park_timeout(time);
}
