//! The messages of one batch on their way into the store, and the answers that they will get.
//!
//! A `Sends` is filled by the connection's task, handed to the appender, and completed by whoever
//! appended it; it carries all that the answers need, so that nothing is looked up again. Nothing is
//! allocated per message: texts lie one behind the other in one string.

use std::{ops::Range, sync::Arc};

use gantry_model::{
    Draft, OffsetMessageId, PhysicalOffset, QueueId, QueueOffset, record::EncodeError,
};
use gantry_remoting::{
    net::Peer,
    wire::{Answer, Body, Replies, ReplyTo, ResponseCode, request::send::SendReply},
};
use gantry_store::{Appended, Batch, QueueHandle, Refusal as StoreRefusal, Tags};

use crate::{broker::Broker, config::FlushDisk, metrics::TopicIn, refusal::Refusal};

/// What kind of request brought the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A send that waits for what `flushDiskType` says.
    Send,
    /// A send with `WAIT=false`.
    NoWait,
    /// A send-back, which is answered without fields and does not wait for the disk.
    SendBack,
}

/// One request.
#[derive(Debug)]
struct Request {
    to: ReplyTo,
    kind: Kind,
    queue: QueueId,
    messages: usize,
    /// Where in `texts` the client's id of the message is.
    unique: Range<usize>,
}

/// What the answers of a batch need.
#[derive(Debug, Default)]
struct Requests {
    list: Vec<Request>,
    texts: String,
    counts: Vec<Count>,
    /// The generation that topics.json must have before there are answers.
    topics: u64,
}

/// Messages of one topic.
#[derive(Debug)]
struct Count {
    topic: TopicIn,
    messages: u64,
    bytes: u64,
}

/// A batch being made.
#[derive(Debug, Default)]
pub struct Sends {
    batch: Batch,
    requests: Requests,
}

/// Where one message came to lie.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: QueueOffset,
    position: PhysicalOffset,
}

impl Sends {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.list.is_empty()
    }

    /// Bytes of records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Encodes one message behind the others. A request's messages come one after the other and are
    /// followed by [`Sends::close`]; between a failure and that nothing else is pushed.
    pub fn push(
        &mut self,
        queue: &QueueHandle,
        draft: &Draft<'_>,
        tags: Tags,
    ) -> Result<(), EncodeError> {
        self.batch.push(queue, draft, tags)
    }

    /// Ends a request of so many messages, all of them pushed.
    pub fn close(
        &mut self,
        to: ReplyTo,
        kind: Kind,
        (queue, messages): (QueueId, usize),
        unique: &str,
    ) {
        let Requests { list, texts, .. } = &mut self.requests;
        let start = texts.len();
        texts.push_str(unique);
        list.push(Request { to, kind, queue, messages, unique: start..texts.len() });
    }

    /// Holds the answers until topics.json has this generation.
    pub fn hold_until(&mut self, generation: u64) {
        self.requests.topics = self.requests.topics.max(generation);
    }

    /// Counts messages of a topic for the metrics, which learn of them when they are stored.
    pub fn count(&mut self, topic: &TopicIn, messages: u64, bytes: u64) {
        match self.requests.counts.last_mut() {
            Some(last) if last.topic.is(topic) => {
                last.messages += messages;
                last.bytes += bytes;
            }
            _ => self.requests.counts.push(Count { topic: topic.clone(), messages, bytes }),
        }
    }

    /// Stores everything and leaves this empty. The answers leave through `peer`: before this returns,
    /// or later if another thread appends the batch or the disk is waited for.
    pub fn store(&mut self, broker: &Arc<Broker>, peer: &Peer) {
        let mut batch = std::mem::take(&mut self.batch);
        if broker.flush == FlushDisk::Sync {
            batch.flusher = broker.flushes.sent(peer.id());
        }
        let mut requests = Some(std::mem::take(&mut self.requests));
        let appended = broker.store.append(batch, || {
            let (broker, peer) = (Arc::clone(broker), peer.clone());
            let requests = requests.take().unwrap_or_default();
            Box::new(move |appended| {
                requests.complete(&broker, &peer, &appended);
            })
        });
        if let (Some(appended), Some(requests)) = (appended, requests) {
            self.requests = requests.complete(broker, peer, &appended);
            self.batch = appended.recycle();
        }
    }
}

impl Requests {
    /// Answers what can be answered and parks what waits for the disk. Returns the emptied vectors.
    fn complete(self, broker: &Arc<Broker>, peer: &Peer, appended: &Appended) -> Self {
        self.count(broker, appended);
        let places: Vec<Place> = appended
            .placed()
            .map(|placed| Place { offset: placed.offset, position: placed.position })
            .collect();
        let answers = Answers { requests: self, places, refusal: appended.refusal() };
        let (topics, end) = (answers.requests.topics, appended.end());
        if answers.places.is_empty() || broker.held.is_saved(topics) {
            return answers.give(broker, peer, end);
        }
        broker.held.add(broker, topics, Stored { peer: peer.clone(), answers, end });
        Self::default()
    }

    fn count(&self, broker: &Broker, appended: &Appended) {
        if appended.refusal().is_some() {
            broker.metrics.failed(self.list.len());
            return;
        }
        for count in &self.counts {
            count.topic.add(count.messages, count.bytes);
            broker.metrics.stored(count.messages, count.bytes);
        }
    }

    fn emptied(mut self) -> Self {
        self.list.clear();
        self.texts.clear();
        self.counts.clear();
        self.topics = 0;
        self
    }
}

/// Which requests of a batch are answered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    /// Those that do not wait for the disk, and refused ones.
    NotWaiting,
    /// Those that did.
    Waiting,
}

#[derive(Debug)]
struct Answers {
    requests: Requests,
    /// Of the messages that were stored: a prefix of all.
    places: Vec<Place>,
    refusal: Option<StoreRefusal>,
}

/// A batch that is in the log, for messages to a topic that is not yet in topics.json.
#[derive(Debug)]
pub struct Stored {
    peer: Peer,
    answers: Answers,
    end: Option<PhysicalOffset>,
}

impl Stored {
    /// Answers: with SUCCESS the batch goes on as any other, else that is the answer to all of it.
    pub fn answer(self, broker: &Broker, code: ResponseCode) {
        let Self { peer, answers, end } = self;
        if code == ResponseCode::SUCCESS {
            answers.give(broker, &peer, end);
            return;
        }
        // A client that is gone gets no answer.
        let _gone = peer.reply(|out| answers.write(broker, out, Part::All, code));
    }
}

/// Answers that wait for the disk.
#[derive(Debug)]
pub struct Unflushed {
    peer: Peer,
    answers: Answers,
}

impl Unflushed {
    /// Answers: with SUCCESS when the messages are on the disk, else with FLUSH_DISK_TIMEOUT.
    pub fn release(&self, broker: &Broker, code: ResponseCode) {
        // A client that is gone gets no answer; its messages are stored all the same.
        let _gone = self.peer.reply(|out| self.answers.write(broker, out, Part::Waiting, code));
    }
}

impl Answers {
    /// Answers what can be answered and parks what waits for the disk. Returns the emptied vectors.
    fn give(self, broker: &Broker, peer: &Peer, end: Option<PhysicalOffset>) -> Requests {
        let waits = broker.flush == FlushDisk::Sync
            && self.requests.list.iter().any(|request| request.kind == Kind::Send);
        let first = if waits { Part::NotWaiting } else { Part::All };
        // A client that is gone gets no answer; its messages are stored all the same.
        let _gone = peer.reply(|out| self.write(broker, out, first, ResponseCode::SUCCESS));
        match end {
            Some(end) if waits => {
                broker.flushes.add(broker, end, Unflushed { peer: peer.clone(), answers: self });
                Requests::default()
            }
            _ => self.requests.emptied(),
        }
    }

    fn write(&self, broker: &Broker, out: &mut Replies, part: Part, code: ResponseCode) {
        let mut rest = self.places.as_slice();
        let mut id = String::with_capacity(64);
        for request in &self.requests.list {
            let stored = rest.split_at_checked(request.messages);
            let waits = request.kind == Kind::Send && stored.is_some();
            let places = match stored {
                Some((own, others)) => {
                    rest = others;
                    Some(own)
                }
                // What of a batch request was stored before the refusal stays stored, without an answer
                // of success: to the client it is a send whose outcome is unknown.
                None => {
                    rest = &[];
                    None
                }
            };
            if (part == Part::Waiting && !waits) || (part == Part::NotWaiting && waits) {
                continue;
            }
            match places {
                Some(places) => self.success(broker, out, (request, places, code), &mut id),
                None => refuse(out, request.to, self.refusal),
            }
        }
    }

    fn success(
        &self,
        broker: &Broker,
        out: &mut Replies,
        (request, places, code): (&Request, &[Place], ResponseCode),
        id: &mut String,
    ) {
        if request.kind == Kind::SendBack {
            // Java's consumers know only success and failure here; after a failure they keep the message.
            match code {
                ResponseCode::SUCCESS => out.ok(request.to),
                _ => {
                    out.refuse(request.to, ResponseCode::SYSTEM_ERROR, "topics.json is not written")
                }
            }
            return;
        }
        id.clear();
        for (at, place) in places.iter().enumerate() {
            if at != 0 {
                id.push(',');
            }
            OffsetMessageId { host: broker.host, position: place.position }.write_to(id);
        }
        let unique = self.requests.texts.get(request.unique.clone());
        let header = SendReply {
            msg_id: id,
            queue_id: request.queue,
            queue_offset: places.first().map_or(QueueOffset::ZERO, |place| place.offset),
            transaction_id: unique.filter(|unique| !unique.is_empty()),
            batch_uniq_id: None,
            recall_handle: None,
            region: Some(&broker.fixed.region),
            trace_on: Some(broker.fixed.trace_on),
        };
        out.reply(request.to, Answer { code, remark: None, header, body: Body::Empty });
    }
}

/// What the store's refusal is called on the wire.
fn refuse(out: &mut Replies, to: ReplyTo, refusal: Option<StoreRefusal>) {
    let refusal = store_refusal(refusal.unwrap_or(StoreRefusal::Failed));
    out.refuse(to, refusal.code, refusal.remark);
}

/// The code and the sentence for a refusal of the store.
#[must_use]
pub fn store_refusal(refusal: StoreRefusal) -> Refusal {
    match refusal {
        StoreRefusal::DiskFull => Refusal::new(
            ResponseCode::SERVICE_NOT_AVAILABLE,
            "service not available now: the broker's disk is full; messages can be read, and are taken \
             again as soon as there is room",
        ),
        StoreRefusal::Failed | StoreRefusal::ShutDown => Refusal::new(
            ResponseCode::SERVICE_NOT_AVAILABLE,
            format_args!("service not available now: {refusal}"),
        ),
        StoreRefusal::Busy => Refusal::new(
            ResponseCode::SYSTEM_BUSY,
            "[PC_SYNCHRONIZED]broker busy, start flow control for a while",
        ),
        StoreRefusal::TooLarge => {
            Refusal::illegal("the message is too large for a file of the log")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_code_and_says_what_helps() {
        let full = store_refusal(StoreRefusal::DiskFull);
        assert_eq!(full.code.0, 14);
        assert!(full.remark.contains("disk is full"));
        assert_eq!(store_refusal(StoreRefusal::Busy).code.0, 2);
        assert_eq!(store_refusal(StoreRefusal::TooLarge).code.0, 13);
        assert_eq!(store_refusal(StoreRefusal::ShutDown).code.0, 14);
    }
}
