//! Wakes one background thread. Raising costs the waking side one atomic operation while the thread knows already.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

const RAISED: u8 = 1;
const URGED: u8 = 2;

/// Two flags that one thread waits for: there is work; and, it can't wait.
#[derive(Default)]
pub(crate) struct Signal {
    flags: AtomicU8,
    mutex: Mutex<()>,
    condvar: Condvar,
}

impl Signal {
    /// There is work.
    pub(crate) fn raise(&self) {
        self.set(RAISED);
    }

    /// There is work that ends a pause.
    pub(crate) fn urge(&self) {
        self.set(RAISED | URGED);
    }

    fn set(&self, flags: u8) {
        if self.flags.fetch_or(flags, Ordering::SeqCst) & flags != flags {
            drop(self.mutex.lock());
            self.condvar.notify_one();
        }
    }

    fn wait_for(&self, flags: u8, most: Option<Duration>) {
        let mut guard = self.mutex.lock();
        let missing = |(): &mut ()| self.flags.load(Ordering::SeqCst) & flags == 0;
        match most {
            None => self.condvar.wait_while(&mut guard, missing),
            Some(most) => {
                self.condvar.wait_while_for(&mut guard, missing, most);
            }
        }
    }

    /// Waits for work, at most so long.
    pub(crate) fn wait(&self, most: Option<Duration>) {
        self.wait_for(RAISED | URGED, most);
    }

    /// Waits so long, or until urged.
    pub(crate) fn pause(&self, length: Duration) {
        self.wait_for(URGED, Some(length));
    }

    /// Forgets both flags. What was done before they were set is seen after this.
    pub(crate) fn lower(&self) {
        self.flags.store(0, Ordering::SeqCst);
    }
}
