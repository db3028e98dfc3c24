//! Free loopback ports for servers that have to come back to the same port after a restart.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::Context;

/// Ports below those that the kernel gives to outgoing connections.
const FIRST: u16 = 12_000;
const LAST: u16 = 31_000;
/// A broker's neighbours: Java's listens on port - 2 (fast) and port + 1 (replication) too.
const STEP: u16 = 8;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port P such that P - 2 to P + 4 were free.
///
/// # Errors
/// When no such port is left.
pub(super) fn free() -> anyhow::Result<u16> {
    // Test processes run at the same time: each begins elsewhere.
    let spread = u16::try_from(std::process::id() * 97 % 2_000)?;
    (0..2_000)
        .map(|_| {
            let nth = (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % ((LAST - FIRST) / STEP);
            FIRST + nth * STEP + 2
        })
        .find(|port| {
            (port - 2..port + 5).all(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).is_ok())
        })
        .context("no free ports")
}
