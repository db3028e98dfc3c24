//! What is handed to the appender and what comes back: encoded records with their queues, all in one buffer, so that
//! storing them is one copy and one write.

use gantry_model::{
    Draft, Millis, PhysicalOffset, QueueOffset,
    record::{EncodeError, place},
};

use crate::queue::QueueHandle;

/// Messages that are stored together, one behind the other.
#[derive(Debug, Default)]
pub struct Batch {
    /// Who is to make them durable where every write is flushed.
    pub flusher: Flusher,
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

/// Who makes a batch durable under [`crate::Flush::Sync`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Flusher {
    /// The store's thread, with whatever else has come by then.
    #[default]
    Thread,
    /// The caller of [`crate::Store::append`] before it returns, if the disk has been quick lately and nobody else is
    /// flushing; else the thread. For a caller who knows that nobody else is appending: it spares two hand-offs between
    /// threads, which cost more than the flush itself.
    Caller,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) queue: QueueHandle,
    pub(crate) len: u32,
    pub(crate) tags: Tags,
    /// Whether it takes a place in its queue.
    pub(crate) queued: bool,
    pub(crate) offset: QueueOffset,
    pub(crate) position: PhysicalOffset,
}

/// What a queue holds beside a message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// This code: the tags hash, 0 for none.
    Code(i64),
    /// The store time and this much later: what the delay topic's queues hold.
    StoredPlus(Millis),
}

impl Tags {
    pub(crate) fn code(self, stored: Millis) -> i64 {
        match self {
            Self::Code(code) => code,
            Self::StoredPlus(delay) => i64::try_from(stored.plus(delay.0).0).unwrap_or(i64::MAX),
        }
    }
}

impl Batch {
    /// An empty batch with room for `bytes` of records.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Encodes a message behind the others. The queue's topic and id are those of the draft. Properties that end with a
    /// NUL byte are refused: that is how recovery knows a torn record.
    pub fn push(
        &mut self,
        queue: &QueueHandle,
        draft: &Draft<'_>,
        tags: Tags,
    ) -> Result<(), EncodeError> {
        if draft.properties.as_bytes().last() == Some(&0) {
            return Err(EncodeError::Properties(draft.properties.as_bytes().len()));
        }
        let len = draft.encode(&mut self.bytes)?;
        self.entries.push(Entry {
            queue: queue.clone(),
            len: u32::try_from(len).map_err(|_| EncodeError::Body(draft.body.len()))?,
            tags,
            queued: draft.sys_flag.is_queued(),
            offset: QueueOffset::ZERO,
            position: PhysicalOffset::ZERO,
        });
        Ok(())
    }

    /// Messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the messages and keeps the room.
    pub fn clear(&mut self) {
        self.flusher = Flusher::default();
        self.bytes.clear();
        self.entries.clear();
    }

    /// Gives the message `index`, whose record begins at byte `at`, its place.
    pub(crate) fn place(&mut self, index: usize, at: usize, position: u64, stored: Millis) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let record = self.bytes.get_mut(at..).unwrap_or_default();
        entry.offset = if entry.queued { entry.queue.assign() } else { QueueOffset::ZERO };
        entry.position = PhysicalOffset(position);
        place(record, entry.offset, entry.position, stored);
    }
}

/// Where one message is.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Its queue.
    pub queue: &'a QueueHandle,
    /// Its place in the queue; 0 if it has none.
    pub offset: QueueOffset,
    /// Its place in the log.
    pub position: PhysicalOffset,
    /// The position behind it: it is durable when `flushed` is at least this.
    pub end: PhysicalOffset,
}

/// Why messages were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No room on the disk. Heals by itself when there is.
    #[error("the disk is full")]
    DiskFull,
    /// Queue entries can't be written as fast as messages come.
    #[error("the store is too busy")]
    Busy,
    /// A record longer than `record_max` or than a file of the log.
    #[error("the message is too large")]
    TooLarge,
    /// A write or flush has failed: the store takes nothing any more.
    #[error("the store has failed and takes no messages")]
    Failed,
    /// The store was shut down.
    #[error("the store is shut down")]
    ShutDown,
}

/// A batch after the appender had it. The first [`Self::stored_len`] messages are stored, the others refused.
#[derive(Debug)]
pub struct Appended {
    pub(crate) batch: Batch,
    pub(crate) stored: Millis,
    pub(crate) count: usize,
    pub(crate) refusal: Option<Refusal>,
}

impl Appended {
    /// The messages that were stored, in their order.
    pub fn placed(&self) -> impl ExactSizeIterator<Item = Placed<'_>> {
        let stored = self.batch.entries.get(..self.count).unwrap_or_default();
        stored.iter().map(|entry| Placed {
            queue: &entry.queue,
            offset: entry.offset,
            position: entry.position,
            end: entry.position.plus(u64::from(entry.len)),
        })
    }

    /// How many messages were stored.
    #[must_use]
    pub const fn stored_len(&self) -> usize {
        self.count
    }

    /// The position behind the last stored message; none if none was.
    #[must_use]
    pub fn end(&self) -> Option<PhysicalOffset> {
        self.placed().last().map(|placed| placed.end)
    }

    /// When they were stored.
    #[must_use]
    pub const fn stored(&self) -> Millis {
        self.stored
    }

    /// Why the messages behind the stored ones were refused.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// The batch, emptied, to be filled again.
    #[must_use]
    pub fn recycle(self) -> Batch {
        let mut batch = self.batch;
        batch.clear();
        batch
    }
}

/// Called with the outcome of a batch that another thread has appended. Must not block.
pub type Completion = Box<dyn FnOnce(Appended) + Send>;
