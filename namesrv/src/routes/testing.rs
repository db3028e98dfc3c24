//! A registration for tests of this crate.

use gantry_model::{BrokerId, Millis, Perm};

use super::{DataVersion, Link, Queues, Registration};

pub(crate) const QUEUES: Queues = Queues { read: 4, write: 4, perm: Perm::READ_WRITE, sys_flag: 0 };

/// The master of group `a` in cluster `c`, with topics `orders` and `a`.
pub(crate) fn registration() -> Registration<'static> {
    Registration {
        cluster: "c",
        group: "a",
        addr: "m:1",
        id: BrokerId(0),
        ha: Some("ha"),
        zone: None,
        timeout: Millis(10_000),
        acting_master: None,
        epoch: None,
        version: DataVersion { state: 0, timestamp: Millis(1), counter: 1 },
        topics: vec![("orders", QUEUES), ("a", QUEUES)],
        mappings: vec![],
        filter_servers: None,
        link: Link(0),
    }
}
