//! What every binary of the project shares: named tasks that end on shutdown, logs, signals, health,
//! the admin port, metrics of the process, properties files and durable small files.
//!
//! Invariant: no word of the domain. Nothing here knows what a topic, a broker or a message is.

pub mod admin;
pub mod durable;
pub mod health;
pub mod metrics;
pub mod properties;
pub mod settings;
pub mod shutdown;
pub mod signal;
pub mod tasks;
pub mod telemetry;

pub use health::{Health, Latch};
pub use tasks::{Stragglers, Tasks};
