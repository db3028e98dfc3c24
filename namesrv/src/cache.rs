//! Encoded routes, kept for the next client that asks for the same topic.
//!
//! An entry is only as good as its stamp: the tables are asked whether it still holds. Bounded in bytes;
//! at the bound everything is dropped, since what is in use comes back at once.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::FixedState;
use parking_lot::Mutex;

use crate::{
    limits,
    routes::{Name, Stamp},
};

/// How a route is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// JSON as everybody reads it.
    Standard,
    /// As fastjson writes it for clients before 4.9.4: numbers as keys stand bare.
    Fastjson,
}

#[derive(Default)]
struct Entry {
    stamp: Option<Stamp>,
    standard: Option<Bytes>,
    fastjson: Option<Bytes>,
}

impl Entry {
    fn body(&mut self, dialect: Dialect) -> &mut Option<Bytes> {
        match dialect {
            Dialect::Standard => &mut self.standard,
            Dialect::Fastjson => &mut self.fastjson,
        }
    }

    fn bytes(&self) -> usize {
        [&self.standard, &self.fastjson].into_iter().flatten().map(Bytes::len).sum()
    }
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Name, Entry, FixedState>,
    bytes: usize,
}

/// The encoded routes.
#[derive(Default)]
pub(crate) struct RouteCache {
    kept: Mutex<Kept>,
}

impl RouteCache {
    /// A topic's route as it was encoded under this very stamp.
    #[must_use]
    pub(crate) fn find(&self, topic: &str, stamp: Stamp, dialect: Dialect) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        let entry = kept.entries.get_mut(topic)?;
        if entry.stamp != Some(stamp) {
            return None;
        }
        entry.body(dialect).clone()
    }

    /// Keeps a route that was encoded from what had this stamp.
    pub(crate) fn keep(&self, topic: &str, stamp: Stamp, dialect: Dialect, body: Bytes) {
        let mut kept = self.kept.lock();
        if kept.bytes + body.len() > limits::ROUTE_CACHE_BYTES {
            *kept = Kept::default();
        }
        let mut entry = kept.entries.remove(topic).unwrap_or_default();
        kept.bytes -= entry.bytes();
        if entry.stamp != Some(stamp) {
            entry = Entry { stamp: Some(stamp), ..Entry::default() };
        }
        *entry.body(dialect) = Some(body);
        kept.bytes += entry.bytes();
        kept.entries.insert(topic.into(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Routes;

    fn stamps() -> (Stamp, Stamp) {
        let mut routes = Routes::default();
        let from = crate::routes::testing::registration();
        routes.register(&from, crate::routes::Policy::default(), gantry_model::Millis(1)).unwrap();
        let before = routes.stamp("orders").unwrap();
        routes.touch();
        (before, routes.stamp("orders").unwrap())
    }

    #[test]
    fn a_route_is_found_under_its_stamp_and_dialect_only() {
        let (old, new) = stamps();
        let cache = RouteCache::default();
        cache.keep("orders", old, Dialect::Standard, Bytes::from_static(b"standard"));
        cache.keep("orders", old, Dialect::Fastjson, Bytes::from_static(b"fast"));
        assert_eq!(cache.find("orders", old, Dialect::Standard).unwrap(), "standard");
        assert_eq!(cache.find("orders", old, Dialect::Fastjson).unwrap(), "fast");
        assert_eq!(cache.find("orders", new, Dialect::Standard), None);
        assert_eq!(cache.find("other", old, Dialect::Standard), None);
        cache.keep("orders", new, Dialect::Standard, Bytes::from_static(b"new"));
        assert_eq!(cache.find("orders", new, Dialect::Fastjson), None);
        assert_eq!(cache.kept.lock().bytes, 3);
    }

    #[test]
    fn the_bound_is_kept() {
        let (stamp, _) = stamps();
        let cache = RouteCache::default();
        let body = Bytes::from(vec![0; limits::ROUTE_CACHE_BYTES / 4]);
        for topic in ["a", "b", "c", "d", "e"] {
            cache.keep(topic, stamp, Dialect::Standard, body.clone());
            assert!(cache.kept.lock().bytes <= limits::ROUTE_CACHE_BYTES);
        }
        assert!(cache.find("e", stamp, Dialect::Standard).is_some());
    }
}
