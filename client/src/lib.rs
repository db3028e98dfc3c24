//! Client of the RocketMQ remoting protocol: producer, consumer of assigned queues, administration.
//!
//! It works with Gantry and with Apache RocketMQ. [`Client`] holds the connections; [`Producer`],
//! [`Consumer`] and [`Admin`] share them. Everything runs on the caller's tokio runtime: connections
//! are tasks in the caller's `TaskTracker` and end with its `CancellationToken`.
//!
//! # Architecture invariants
//! Every call has a time-out and ends in a value or a [`ClientError`]; nothing is retried silently but
//! what [`Producer::send`] says. No address is kept that was not resolved from a route or a name just
//! before a connection was made.

pub mod admin;
mod client;
mod consumer;
mod error;
mod message;
mod producer;
mod queue;

pub use admin::{Admin, BrokerAdmin};
pub use client::{Client, Settings};
pub use consumer::{Consumer, Pulled, Wanted};
pub use error::ClientError;
pub use gantry_model::{Group, Millis, QueueId, QueueOffset, Topic};
pub use gantry_remoting::wire::{ResponseCode, body};
pub use message::{BODY_MAX, Message, StoredMessage};
pub use producer::{Producer, Receipt, Stored};
pub use queue::Queue;
