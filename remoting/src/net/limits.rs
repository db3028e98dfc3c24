//! Bounds of connections. Sizes are bytes.

use std::time::Duration;

/// What a connection may take of memory and time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// Without a byte in either direction for so long, a connection is closed
    /// (`serverChannelMaxIdleTimeSeconds` of Apache RocketMQ). `None`: never.
    pub idle: Option<Duration>,
    /// From the first byte of a frame to its last.
    pub whole_frame: Duration,
    /// With so many bytes to be written, a connection is not read from.
    pub unsent: usize,
    /// With so many more bytes in its outbox, a connection is closed: its peer does not read. More than
    /// the answers to one batch can have, which may be 256 pulls.
    pub unsent_max: usize,
    /// With so many bytes to be written on all connections together, those that have some are not read
    /// from.
    pub unsent_total: usize,
    /// A peer that takes nothing of what is to be written for so long is given up.
    pub stalled_write: Duration,
    /// Requests that are not answered yet; with more, a connection is not read from.
    pub in_flight: usize,
    /// Memory for frames above 64 KiB that are under way, on all connections together. At least one
    /// frame of the greatest length.
    pub large_frames: usize,
    /// How much is read at once, to begin with.
    pub read_min: usize,
    /// How much is read at once from a busy connection.
    pub read_max: usize,
    /// How long a drain waits for answers that are still to come.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            idle: Some(Duration::from_secs(120)),
            whole_frame: Duration::from_secs(60),
            unsent: 4 << 20,
            unsent_max: 256 << 20,
            unsent_total: 256 << 20,
            stalled_write: Duration::from_secs(30),
            in_flight: 65_536,
            large_frames: 256 << 20,
            read_min: 16 << 10,
            read_max: 256 << 10,
            drain: Duration::from_secs(10),
        }
    }
}

/// How long a connection that was shut down is read from and what comes is dropped, so that the kernel
/// does not reset it before the peer has read the last answers.
pub(super) const LINGER: Duration = Duration::from_millis(500);
