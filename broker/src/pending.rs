//! Replies to sends that wait until their messages are on the disk (SYNC_FLUSH).
//!
//! Kept in the order of the positions they wait for; [`PendingReplies::flushed`] gives out the ready
//! prefix, [`PendingReplies::overdue`] those that waited too long. A reply leaves exactly once. Bounded
//! by what connections may have in flight, and by [`PENDING_MAX`].

use std::collections::VecDeque;

use gantry_model::{Millis, PhysicalOffset};

/// Most replies that wait at one time; at the bound a send is refused before it is stored.
pub const PENDING_MAX: usize = 1_000_000;

#[derive(Debug)]
struct Pending<R> {
    end: PhysicalOffset,
    deadline: Millis,
    reply: R,
}

/// Replies in the order of the log positions that they wait for.
#[derive(Debug)]
pub struct PendingReplies<R> {
    queue: VecDeque<Pending<R>>,
}

impl<R> Default for PendingReplies<R> {
    fn default() -> Self {
        Self { queue: VecDeque::new() }
    }
}

impl<R> PendingReplies<R> {
    /// Adds a reply that may leave once the log is flushed up to `end`. Batches may come slightly out of
    /// order when their callbacks race; each is put at its place.
    pub fn add(&mut self, end: PhysicalOffset, deadline: Millis, reply: R) {
        let at = match self.queue.back() {
            Some(last) if end < last.end => self.queue.partition_point(|other| other.end <= end),
            _ => self.queue.len(),
        };
        self.queue.insert(at, Pending { end, deadline, reply });
    }

    /// Takes the replies that may leave when the log is on the disk up to `flushed`.
    pub fn flushed(&mut self, flushed: PhysicalOffset) -> impl Iterator<Item = R> + '_ {
        let ready = self.queue.partition_point(|pending| pending.end <= flushed);
        self.queue.drain(..ready).map(|pending| pending.reply)
    }

    /// Takes the replies whose time is over; they are answered with FLUSH_DISK_TIMEOUT. Deadlines grow
    /// with positions (up to racing callbacks), so the front decides.
    pub fn overdue(&mut self, now: Millis) -> Vec<R> {
        let mut late = Vec::new();
        while self.queue.front().is_some_and(|pending| pending.deadline <= now) {
            late.extend(self.queue.pop_front().map(|pending| pending.reply));
        }
        late
    }

    /// When the first reply's time is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.queue.front().map(|pending| pending.deadline)
    }

    /// How many replies wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no reply waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(entries: &[(u64, u64, char)]) -> PendingReplies<char> {
        let mut pending = PendingReplies::default();
        for &(end, deadline, reply) in entries {
            pending.add(PhysicalOffset(end), Millis(deadline), reply);
        }
        pending
    }

    #[test]
    fn replies_leave_when_their_own_end_is_flushed() {
        let mut pending = pending(&[(10, 5, 'a'), (20, 5, 'b'), (30, 5, 'c')]);
        assert_eq!(pending.flushed(PhysicalOffset(9)).collect::<Vec<_>>(), []);
        assert_eq!(pending.flushed(PhysicalOffset(20)).collect::<Vec<_>>(), ['a', 'b']);
        assert_eq!(pending.flushed(PhysicalOffset(20)).collect::<Vec<_>>(), []);
        assert_eq!(pending.flushed(PhysicalOffset(99)).collect::<Vec<_>>(), ['c']);
    }

    #[test]
    fn a_batch_whose_callback_came_late_is_put_in_order() {
        let mut pending = pending(&[(30, 5, 'c'), (10, 5, 'a'), (20, 5, 'b')]);
        assert_eq!(pending.flushed(PhysicalOffset(25)).collect::<Vec<_>>(), ['a', 'b']);
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn late_replies_are_given_out_once() {
        let mut pending = pending(&[(10, 5, 'a'), (20, 6, 'b')]);
        assert_eq!(pending.overdue(Millis(5)), ['a']);
        assert_eq!(pending.next_deadline(), Some(Millis(6)));
        assert_eq!(pending.flushed(PhysicalOffset(20)).collect::<Vec<_>>(), ['b']);
        assert!(pending.is_empty());
    }
}
