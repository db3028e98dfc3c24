//! The protocol on tokio: one task for each connection, on either side of it.
//!
//! A task reads what has arrived, has all whole frames served at once by a [`Service`], and writes all
//! answers in one vectored write. Answers that come later, and requests to the peer, go through
//! [`Peer`], which wakes the task. Nothing in a task waits for anything but its socket, its `Peer` and
//! the clock; a `Service` must not block.
//!
//! Bounded: connections, bytes of a frame, bytes waiting to be written (per connection and in total),
//! bytes of large frames under way, requests in flight, and the time a peer may take for anything.

mod client;
mod connection;
mod ending;
mod limits;
mod peer;
mod server;
#[cfg(test)]
mod tests;

pub use client::{ConnectError, NoRequests, Pool, resolve};
pub use limits::Limits;
pub use peer::{Answered, CallError, Closed, Peer};
pub use server::{Server, bind};

use crate::wire::{Frames, Replies};

/// What serves a connection's requests.
pub trait Service: Send + Sync + 'static {
    /// What the service keeps for one connection.
    type Session: Send + 'static;

    /// A connection stands.
    fn open(&self, peer: &Peer) -> Self::Session;

    /// Serves all whole frames that had arrived: [`Frames::requests`]. Immediate answers go to `out`,
    /// later ones through the session's [`Peer`]. Must not block. Each request that is not oneway must
    /// be answered once, sooner or later: a drain waits for it.
    fn batch(&self, session: &mut Self::Session, frames: &Frames, out: &mut Replies);

    /// The connection is gone; nothing can be sent any more.
    fn close(&self, session: Self::Session, peer: &Peer);
}
