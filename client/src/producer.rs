//! Sending messages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use gantry_model::record::{BatchElement, encode_batch_element};
use gantry_model::{Group, Millis, Properties, QueueOffset, Topic, properties::name};
use gantry_remoting::wire::request::send::{SendMessageV2, SendReply};
use gantry_remoting::wire::{Body, Command, MaybeNegative, RequestCode, ResponseCode};

use crate::client::{Client, master, unreadable};
use crate::message::BODY_MAX;
use crate::queue::{Queue, Use, queues};
use crate::{ClientError, Message};

/// How often a message is sent before its failure is the caller's, as Java's producer has it.
const ATTEMPTS: usize = 3;

/// Sends messages of one producer group.
///
/// A send whose failure [`ClientError::is_unknown`] may have stored the message all the same. `send`
/// tries such a message again, so it may be stored twice; `send_to` tries once.
///
/// ```no_run
/// use gantry_client::{Client, Group, Message, Producer, Settings, Topic};
///
/// # async fn example() -> Result<(), gantry_client::ClientError> {
/// let (tasks, stop) = Default::default();
/// let client = Client::new(Settings::new("localhost:9876"), &tasks, &stop);
/// let producer = Producer::new(&client, Group::new("shop")?);
/// let receipt = producer.send(&Message::new(Topic::new("Orders")?, "paid").tag("paid")).await?;
/// println!("stored as {} of {}", receipt.offset.0, receipt.queue);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Producer {
    client: Client,
    group: Group,
    turn: AtomicUsize,
}

/// How safely a message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// As the broker is configured.
    Fully,
    /// The broker has it; its disk did not confirm in time.
    FlushTimedOut,
    /// The broker has it; no slave was there to take it.
    WithoutSlave,
    /// The broker has it; slaves did not confirm in time.
    SlaveTimedOut,
}

/// Where a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// How safely it is stored.
    pub stored: Stored,
    /// The queue.
    pub queue: Queue,
    /// Its place in the queue; of a batch, the first one's.
    pub offset: QueueOffset,
    /// The broker's id of it; of a batch, all of them with commas between.
    pub offset_id: String,
    /// The producer's id of it; of a batch, the first one's.
    pub unique_key: String,
}

struct Prepared<'m> {
    topic: &'m Topic,
    code: RequestCode,
    body: bytes::Bytes,
    properties: String,
    flag: i32,
    unique_key: String,
}

impl Producer {
    /// A producer that uses `client`'s connections.
    #[must_use]
    pub fn new(client: &Client, group: Group) -> Self {
        Self { client: client.clone(), group, turn: AtomicUsize::new(0) }
    }

    /// Sends a message to the topic's queues in turn. What one broker refuses or does not answer is
    /// sent to another, up to three times in all.
    pub async fn send(&self, message: &Message) -> Result<Receipt, ClientError> {
        self.deliver(&single(message)?).await
    }

    /// Sends messages of one topic in one request: they are stored in one queue, one behind the
    /// other, or not at all.
    pub async fn send_batch(&self, messages: &[Message]) -> Result<Receipt, ClientError> {
        self.deliver(&batch(messages)?).await
    }

    /// Sends a message to this queue, once.
    pub async fn send_to(&self, queue: &Queue, message: &Message) -> Result<Receipt, ClientError> {
        let prepared = single(message)?;
        let route = self.client.route(&queue.topic).await?;
        self.attempt(&prepared, queue, master(&route, &queue.broker)?).await
    }

    /// Sends a message that nobody acknowledges.
    pub async fn send_oneway(&self, message: &Message) -> Result<(), ClientError> {
        let prepared = single(message)?;
        let route = self.client.route(prepared.topic).await?;
        let queues = queues(prepared.topic, &route, Use::Write);
        let queue = self.choose(&queues, None).ok_or_else(|| no_route(prepared.topic))?;
        let address = master(&route, &queue.broker)?;
        let body = Body::Shared(prepared.body.clone());
        self.client.tell(address, prepared.code, &self.header(&prepared, queue), body).await
    }

    /// The queues that a topic's messages can go to.
    pub async fn queues(&self, topic: &Topic) -> Result<Vec<Queue>, ClientError> {
        Ok(queues(topic, &*self.client.route(topic).await?, Use::Write))
    }

    async fn deliver(&self, prepared: &Prepared<'_>) -> Result<Receipt, ClientError> {
        let mut avoided: Option<String> = None;
        let mut last = no_route(prepared.topic);
        for attempt in 0..ATTEMPTS {
            let route = if attempt == 0 {
                self.client.route(prepared.topic).await?
            } else {
                self.client.fresh_route(prepared.topic).await?
            };
            let queues = queues(prepared.topic, &route, Use::Write);
            let Some(queue) = self.choose(&queues, avoided.as_deref()) else { return Err(last) };
            match self.attempt(prepared, queue, master(&route, &queue.broker)?).await {
                Err(error) if error.may_work_elsewhere() => {
                    avoided = Some(queue.broker.clone());
                    last = error;
                }
                done => return done,
            }
        }
        Err(last)
    }

    async fn attempt(
        &self,
        prepared: &Prepared<'_>,
        queue: &Queue,
        address: &str,
    ) -> Result<Receipt, ClientError> {
        let body = Body::Shared(prepared.body.clone());
        let header = self.header(prepared, queue);
        let timeout = self.client.settings().timeout;
        let answer = self.client.exchange(address, (prepared.code, &header, body), timeout).await?;
        receipt(&answer, prepared, queue, address)
    }

    /// The next queue in turn, on another broker than `avoided` if there is one.
    fn choose<'q>(&self, queues: &'q [Queue], avoided: Option<&str>) -> Option<&'q Queue> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let turns = || (0..queues.len()).filter_map(|n| queues.get((first + n) % queues.len()));
        turns().find(|queue| avoided != Some(queue.broker.as_str())).or_else(|| turns().next())
    }

    fn header<'h>(&'h self, prepared: &'h Prepared<'_>, queue: &'h Queue) -> SendMessageV2<'h> {
        SendMessageV2 {
            producer_group: self.group.as_str(),
            topic: prepared.topic.as_str(),
            default_topic: Some(gantry_model::names::AUTO_CREATE_TOPIC),
            default_topic_queue_nums: Some(4),
            queue_id: MaybeNegative::from(queue.id),
            sys_flag: 0,
            born_timestamp: now(),
            flag: prepared.flag,
            properties: Some(&prepared.properties),
            reconsume_times: Some(0),
            unit_mode: false,
            max_reconsume_times: None,
            batch: prepared.code == RequestCode::SEND_BATCH_MESSAGE,
            broker_name: Some(&queue.broker),
        }
    }
}

fn single(message: &Message) -> Result<Prepared<'_>, ClientError> {
    let (properties, unique_key) = message.encoded()?;
    Ok(Prepared {
        topic: &message.topic,
        code: RequestCode::SEND_MESSAGE_V2,
        body: message.body.clone(),
        properties,
        flag: message.flag,
        unique_key,
    })
}

fn batch(messages: &[Message]) -> Result<Prepared<'_>, ClientError> {
    let refused = |reason: &str| ClientError::Message(reason.to_owned());
    let first = messages.first().ok_or_else(|| refused("an empty batch"))?;
    let mut body = Vec::new();
    let mut unique_key = None;
    for message in messages {
        if message.topic != first.topic {
            return Err(refused("a batch of several topics"));
        }
        if message.properties.iter().any(|(there, _)| there == name::DELAY) {
            return Err(refused("a batch can't be delayed"));
        }
        let (properties, key) = message.encoded()?;
        unique_key.get_or_insert(key);
        let properties = Properties::new(properties.as_bytes());
        let element = BatchElement { flag: message.flag, body: &message.body, properties };
        encode_batch_element(&mut body, &element)
            .map_err(|error| ClientError::Message(error.to_string()))?;
    }
    if body.len() > BODY_MAX {
        return Err(ClientError::Message(format!("a batch of {} bytes", body.len())));
    }
    Ok(Prepared {
        topic: &first.topic,
        code: RequestCode::SEND_BATCH_MESSAGE,
        body: body.into(),
        properties: "WAIT\u{1}true\u{2}".to_owned(),
        flag: 0,
        unique_key: unique_key.unwrap_or_default(),
    })
}

fn receipt(
    answer: &Command,
    prepared: &Prepared<'_>,
    queue: &Queue,
    address: &str,
) -> Result<Receipt, ClientError> {
    let stored = match answer.code() {
        ResponseCode::SUCCESS => Stored::Fully,
        ResponseCode::FLUSH_DISK_TIMEOUT => Stored::FlushTimedOut,
        ResponseCode::SLAVE_NOT_AVAILABLE => Stored::WithoutSlave,
        ResponseCode::FLUSH_SLAVE_TIMEOUT => Stored::SlaveTimedOut,
        code => {
            return Err(ClientError::Refused {
                address: address.to_owned(),
                request: prepared.code,
                code,
                remark: answer.remark().to_owned(),
            });
        }
    };
    let reply: SendReply<'_> =
        answer.decode().map_err(|error| unreadable(address, prepared.code, error))?;
    Ok(Receipt {
        stored,
        queue: Queue { id: reply.queue_id, ..queue.clone() },
        offset: reply.queue_offset,
        offset_id: reply.msg_id.to_owned(),
        unique_key: prepared.unique_key.clone(),
    })
}

fn no_route(topic: &Topic) -> ClientError {
    ClientError::NoRoute { topic: topic.to_string() }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use gantry_model::QueueId;
    use gantry_model::record::BatchBody;

    use super::*;

    fn message(topic: &str, body: &'static str) -> Message {
        Message::new(Topic::new(topic).unwrap(), body)
    }

    #[test]
    fn a_batch_holds_its_messages_in_order() {
        let messages = [message("T", "one").tag("x"), message("T", "two")];
        let prepared = batch(&messages).unwrap();
        let elements: Vec<_> = BatchBody::new(&prepared.body).map(Result::unwrap).collect();
        assert_eq!(elements[0].body, b"one");
        assert_eq!(elements[0].properties.get(name::TAGS), Some("x"));
        assert_eq!(elements[1].body, b"two");
    }

    #[test]
    fn a_batch_that_no_broker_would_take_is_refused_here() {
        assert!(batch(&[]).is_err());
        assert!(batch(&[message("T", "a"), message("U", "b")]).is_err());
        assert!(batch(&[message("T", "a").delay_level(3)]).is_err());
    }

    #[test]
    fn queues_come_in_turn_and_avoid_a_broker_that_failed() {
        let (tasks, stop) = Default::default();
        let client = Client::new(crate::Settings::new(""), &tasks, &stop);
        let producer = Producer::new(&client, Group::new("g").unwrap());
        let topic = Topic::new("T").unwrap();
        let queue = |broker: &str, id| Queue {
            topic: topic.clone(),
            broker: broker.to_owned(),
            id: QueueId(id),
        };
        let queues = [queue("a", 0), queue("b", 0), queue("a", 1)];
        let chosen: Vec<_> = (0..4).filter_map(|_| producer.choose(&queues, None)).collect();
        assert_eq!(chosen, [&queues[0], &queues[1], &queues[2], &queues[0]]);
        assert!((0..3).all(|_| producer.choose(&queues, Some("a")) == Some(&queues[1])));
        assert_eq!(producer.choose(&queues[..1], Some("a")), Some(&queues[0]));
        assert_eq!(producer.choose(&[], None), None);
    }
}
