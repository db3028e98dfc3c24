//! The broker over real sockets.

mod admin;
mod clients;
mod messages;
mod names;
mod rig;
