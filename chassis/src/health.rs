//! Whether the process is alive and ready, for probes.
//!
//! Ready means that no latch is held: each part of the process takes a latch before it starts and
//! releases it when it can serve. Live means that nobody has declared the process broken.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The health of a process. Clones share it.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
}

#[derive(Default)]
struct State {
    next: u64,
    held: BTreeMap<u64, String>,
    broken: Option<String>,
}

/// One condition for readiness. Dropping it leaves it as it is: a part that died is not ready.
pub struct Latch {
    health: Health,
    id: u64,
    name: String,
}

impl Health {
    /// A process that is live and, until a latch is taken, ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a latch: the process is not ready until it is released. `name` says what is awaited.
    #[must_use]
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let name = name.into();
        let mut state = self.state.lock();
        state.next += 1;
        let id = state.next;
        state.held.insert(id, name.clone());
        drop(state);
        Latch { health: self.clone(), id, name }
    }

    /// What the process still waits for; empty when it is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let state = self.state.lock();
        state.broken.iter().cloned().chain(state.held.values().cloned()).collect()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.state.lock();
        state.held.is_empty() && state.broken.is_none()
    }

    /// Returns when nothing is missing.
    pub async fn until_ready(&self) {
        loop {
            // Registered before the look, so that a release in between wakes it.
            let released = self.released.notified();
            if self.is_ready() {
                return;
            }
            released.await;
        }
    }

    /// Declares that only a restart helps. The first reason is kept.
    pub fn declare_broken(&self, reason: impl Into<String>) {
        self.state.lock().broken.get_or_insert_with(|| reason.into());
    }

    /// Why only a restart helps, if so.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.state.lock().broken.clone()
    }
}

impl Latch {
    /// The condition holds.
    pub fn release(&self) {
        self.health.state.lock().held.remove(&self.id);
        self.health.released.notify_waiters();
    }

    /// The condition holds no longer.
    pub fn hold(&self) {
        self.health.state.lock().held.insert(self.id, self.name.clone());
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latch").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_latch_is_released() {
        let health = Health::new();
        assert!(health.is_ready());
        let (store, routes) = (health.latch("store"), health.latch("routes"));
        assert_eq!(health.missing(), ["store", "routes"]);
        store.release();
        assert_eq!(health.missing(), ["routes"]);
        routes.release();
        assert!(health.is_ready());
        store.hold();
        assert_eq!(health.missing(), ["store"]);
    }

    #[tokio::test]
    async fn the_last_release_is_awaited() {
        let health = Health::new();
        let (store, routes) = (health.latch("store"), health.latch("routes"));
        let releases = async {
            store.release();
            tokio::task::yield_now().await;
            routes.release();
        };
        tokio::join!(health.until_ready(), releases);
        assert!(health.is_ready());
    }

    #[test]
    fn a_latch_that_is_dropped_stays_held() {
        let health = Health::new();
        drop(health.latch("store"));
        assert!(!health.is_ready());
    }

    #[test]
    fn the_first_reason_for_a_restart_is_kept() {
        let health = Health::new();
        health.declare_broken("fsync failed");
        health.declare_broken("later");
        assert_eq!(health.broken().as_deref(), Some("fsync failed"));
        assert!(!health.is_ready());
    }
}
