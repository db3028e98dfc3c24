//! The load generator: one thread, frames encoded beforehand, every answer checked.

pub(crate) mod frame;
pub(crate) mod link;
pub(crate) mod pull;
pub(crate) mod reply;
pub(crate) mod send;
