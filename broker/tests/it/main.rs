//! The broker over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets anything unexpected is to fail right there"
)]

mod admin;
mod clients;
mod durable_topics;
mod full_disk;
mod messages;
mod names;
mod rig;
