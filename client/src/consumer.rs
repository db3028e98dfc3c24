//! Reading queues and keeping a group's offsets.

use std::time::Duration;

use gantry_model::{BrokerId, Group, Millis, QueueOffset, Topic};
use gantry_remoting::wire::request::consume::{
    Boundary, OffsetReply, PullMessage, PullReply, QueryConsumerOffset, SearchOffset,
    UpdateConsumerOffset,
};
use gantry_remoting::wire::{Body, Header, MaybeNegative, RequestCode, ResponseCode};

use crate::client::{Client, master, succeeded, unreadable};
use crate::queue::{Queue, Use, queues};
use crate::{ClientError, StoredMessage};

/// The request brings its subscription along.
const SUBSCRIPTION: i32 = 4;
/// The broker may hold the request until something arrives.
const SUSPEND: i32 = 2;

/// Answers without messages that say where to go on.
const NOTHING: [ResponseCode; 3] = [
    ResponseCode::PULL_NOT_FOUND,
    ResponseCode::PULL_RETRY_IMMEDIATELY,
    ResponseCode::PULL_OFFSET_MOVED,
];

/// Reads queues that its owner has assigned to it, for one consumer group.
///
/// It takes no part in the sharing of queues among a group's members: use it where the owner decides
/// who reads what.
///
/// ```no_run
/// use gantry_client::{Client, Consumer, Group, Settings, Topic, Wanted};
///
/// # async fn example() -> Result<(), gantry_client::ClientError> {
/// let (tasks, stop) = Default::default();
/// let client = Client::new(Settings::new("localhost:9876"), &tasks, &stop);
/// let consumer = Consumer::new(&client, Group::new("billing")?);
/// for queue in consumer.queues(&Topic::new("Orders")?).await? {
///     let from = consumer.committed(&queue).await?.unwrap_or_default();
///     let pulled = consumer.pull(&queue, from, &Wanted::default()).await?;
///     for message in &pulled.messages {
///         println!("{:?}", message.body);
///     }
///     consumer.commit(&queue, pulled.next).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    group: Group,
}

/// What a pull asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Most messages; brokers give at most 32 by default.
    pub messages: u32,
    /// How long the broker may wait for the first one; zero is not at all.
    pub wait: Duration,
    /// Only messages with one of these tags, `a || b`; `*` is all.
    pub tags: String,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { messages: 32, wait: Duration::ZERO, tags: "*".to_owned() }
    }
}

/// What a pull brought.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The messages; none if there are none (yet).
    pub messages: Vec<StoredMessage>,
    /// From where to pull next. Not always behind the last message: messages that a filter drops
    /// count, and an offset outside of the queue is corrected.
    pub next: QueueOffset,
    /// The first message that the queue still has.
    pub min: QueueOffset,
    /// The queue's end.
    pub max: QueueOffset,
}

impl Consumer {
    /// A consumer that uses `client`'s connections.
    #[must_use]
    pub fn new(client: &Client, group: Group) -> Self {
        Self { client: client.clone(), group }
    }

    /// The queues that a topic's messages can be read from.
    pub async fn queues(&self, topic: &Topic) -> Result<Vec<Queue>, ClientError> {
        Ok(queues(topic, &*self.client.route(topic).await?, Use::Read))
    }

    /// Reads from `from` on.
    pub async fn pull(
        &self,
        queue: &Queue,
        from: QueueOffset,
        wanted: &Wanted,
    ) -> Result<Pulled, ClientError> {
        let code = RequestCode::PULL_MESSAGE;
        let suspend = if wanted.wait.is_zero() { 0 } else { SUSPEND };
        let header = PullMessage {
            consumer_group: self.group.as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.id,
            queue_offset: MaybeNegative::from(from),
            max_msg_nums: wanted.messages,
            sys_flag: SUBSCRIPTION | suspend,
            commit_offset: MaybeNegative::from(QueueOffset::ZERO),
            suspend_timeout: millis(wanted.wait),
            subscription: Some(&wanted.tags),
            sub_version: 0,
            expression_type: Some("TAG"),
            max_msg_bytes: None,
            request_source: None,
            proxy_forward_client_id: None,
        };
        let address = self.address(queue).await?;
        let timeout = self.client.settings().timeout + wanted.wait;
        let answer = self.client.exchange(&address, (code, &header, Body::Empty), timeout).await?;
        let found = !NOTHING.contains(&answer.code());
        let answer = if found { succeeded(answer, &address, code)? } else { answer };
        let reply: PullReply = answer.decode().map_err(|e| unreadable(&address, code, e))?;
        let messages = if found {
            StoredMessage::parse_all(&answer.body()).map_err(|e| unreadable(&address, code, e))?
        } else {
            vec![]
        };
        let PullReply { next_begin_offset, min_offset, max_offset, .. } = reply;
        Ok(Pulled { messages, next: next_begin_offset, min: min_offset, max: max_offset })
    }

    /// The next message that the group wants of a queue; `None` if it never said.
    pub async fn committed(&self, queue: &Queue) -> Result<Option<QueueOffset>, ClientError> {
        let header = QueryConsumerOffset {
            consumer_group: self.group.as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.id,
            set_zero_if_not_found: Some(false),
        };
        match self.offset(queue, RequestCode::QUERY_CONSUMER_OFFSET, &header).await {
            Err(error) if error.is(ResponseCode::QUERY_NOT_FOUND) => Ok(None),
            answer => answer,
        }
    }

    /// Stores the next message that the group wants of a queue.
    pub async fn commit(&self, queue: &Queue, next: QueueOffset) -> Result<(), ClientError> {
        let header = UpdateConsumerOffset {
            consumer_group: self.group.as_str(),
            topic: queue.topic.as_str(),
            queue_id: queue.id,
            commit_offset: MaybeNegative::from(next),
        };
        let address = self.address(queue).await?;
        let code = RequestCode::UPDATE_CONSUMER_OFFSET;
        self.client.ask(&address, code, &header, Body::Empty).await.map(drop)
    }

    /// The first message of a queue that was stored at `time` or later.
    pub async fn offset_at(
        &self,
        queue: &Queue,
        time: Millis,
    ) -> Result<Option<QueueOffset>, ClientError> {
        let header = SearchOffset {
            topic: queue.topic.as_str(),
            queue_id: queue.id,
            timestamp: MaybeNegative::from(time),
            boundary: Some(Boundary::Lower),
        };
        self.offset(queue, RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &header).await
    }

    async fn offset<'h, H: Header<'h>>(
        &self,
        queue: &Queue,
        code: RequestCode,
        header: &H,
    ) -> Result<Option<QueueOffset>, ClientError> {
        let address = self.address(queue).await?;
        let answer = self.client.ask(&address, code, header, Body::Empty).await?;
        let reply: OffsetReply = answer.decode().map_err(|e| unreadable(&address, code, e))?;
        Ok(reply.offset.get())
    }

    /// The group's master, or another replica while it has none.
    async fn address(&self, queue: &Queue) -> Result<String, ClientError> {
        let route = self.client.route(&queue.topic).await?;
        if let Ok(master) = master(&route, &queue.broker) {
            return Ok(master.to_owned());
        }
        let group = route.broker_datas.iter().find(|data| data.broker_name == queue.broker);
        let mut replicas: Vec<(&BrokerId, &String)> =
            group.map(|data| data.broker_addrs.iter().collect()).unwrap_or_default();
        replicas.sort();
        let first = replicas.first().map(|(_, address)| (*address).clone());
        first.ok_or_else(|| ClientError::NoMaster { broker: queue.broker.clone() })
    }
}

fn millis(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
