//! Ids for messages that come without a `UNIQ_KEY` of their own, in the shape of Java's
//! `MessageClientIDSetter`: address (4 or 16 bytes), process id (2), a random number in the place of the class
//! loader's hash (4), milliseconds (4), a counter (2), as upper-case hex.

use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};

use gantry_model::Millis;

/// Makes ids that no other process makes.
#[derive(Debug)]
pub struct UniqueIds {
    prefix: String,
    counter: AtomicU32,
}

impl UniqueIds {
    /// Ids of the broker at this address.
    #[must_use]
    pub fn new(host: SocketAddr) -> Self {
        let mut prefix = String::new();
        let mut hex = |bytes: &[u8]| {
            for byte in bytes {
                // Writing to a String cannot fail.
                let _infallible = write!(prefix, "{byte:02X}");
            }
        };
        match host.ip() {
            IpAddr::V4(ip) => hex(&ip.octets()),
            IpAddr::V6(ip) => hex(&ip.octets()),
        }
        let [_, _, high, low] = std::process::id().to_be_bytes();
        hex(&[high, low]);
        let [a, b, c, d, ..] = RandomState::new().hash_one(host).to_be_bytes();
        hex(&[a, b, c, d]);
        Self { prefix, counter: AtomicU32::new(0) }
    }

    /// Appends a new id to `out`.
    pub fn write(&self, now: Millis, out: &mut String) {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) & 0xFFFF;
        let time = now.0 & 0xFFFF_FFFF;
        // Writing to a String cannot fail.
        let _infallible = write!(out, "{}{time:08X}{counter:04X}", self.prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_javas_length_and_differ() {
        let ids = UniqueIds::new("192.168.0.1:10911".parse().unwrap());
        let (mut first, mut second) = (String::new(), String::new());
        ids.write(Millis(1_700_000_000_000), &mut first);
        ids.write(Millis(1_700_000_000_000), &mut second);
        assert_eq!(first.len(), 32);
        assert!(first.starts_with("C0A80001"));
        assert_ne!(first, second);
    }
}
