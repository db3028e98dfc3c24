//! What a server must withstand: kills, restarts, and peers that send anything at all. Each case has a server of its own.

mod bad_input;
mod foreign_store;
mod kill;
mod restart;
