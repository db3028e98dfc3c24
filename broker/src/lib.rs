//! The broker: takes messages from producers, keeps them, and gives them to consumers.
//!
//! # Map
//! `dispatch` has one line per request and hands it to a function of `handle`. Decisions are pure and in
//! modules of their own: `check` (sends), `pull`, `parked`, `pending`, `locks`, `config`. `session` is what
//! one connection remembers; `sends` is one batch on its way into the store and back. Tables with files
//! behind them are `topics`, `groups`, `offsets` and `schedule`; `metadata` reads and writes the files.
//! `consumers` and `producers` know who is connected; `registration` keeps NameServers informed.
//!
//! # Architecture invariants
//! No handler waits: what needs the disk or another process goes on in a task and answers through the
//! connection's `Peer`. From a frame to the appender it is three calls. No answer of success leaves
//! before the message is as safe as `flushDiskType` says.

pub mod broker;
pub mod check;
pub mod config;
pub mod consumers;
pub mod dispatch;
pub mod fastjson;
pub mod flushes;
pub mod groups;
pub mod handle;
pub mod held;
pub mod locks;
pub mod metadata;
pub mod metrics;
pub mod offsets;
pub mod parked;
pub mod pending;
pub mod producers;
pub mod pull;
pub mod refusal;
pub mod registration;
pub mod schedule;
pub mod sends;
pub mod session;
mod start;
pub mod system;
pub mod topics;
pub mod unique;

pub use config::Settings;
pub use start::{Running, StartError, start, start_on};
