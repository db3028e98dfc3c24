//! Offsets and messages of one broker's queues.

use bytes::Bytes;
use gantry_model::{Group, Millis, OffsetMessageId, QueueId, QueueOffset, Topic};
use gantry_remoting::wire::request::consume::{
    Boundary, GetMaxOffset, OfQueue, OffsetReply, QueryConsumerOffset, SearchOffset,
    StoreTimeReply, UpdateConsumerOffset, ViewMessage,
};
use gantry_remoting::wire::{Header, MaybeNegative, RequestCode, ResponseCode};

use super::{Admin, BrokerAdmin};
use crate::client::unreadable;
use crate::{ClientError, StoredMessage};

impl BrokerAdmin<'_> {
    /// The first message that a queue still has.
    pub async fn min_offset(
        &self,
        topic: &Topic,
        queue: QueueId,
    ) -> Result<QueueOffset, ClientError> {
        let header = OfQueue { topic: topic.as_str(), queue_id: queue };
        let offset = self.offset(RequestCode::GET_MIN_OFFSET, &header).await?;
        Ok(offset.unwrap_or_default())
    }

    /// A queue's end: the offset that the next message gets.
    pub async fn max_offset(
        &self,
        topic: &Topic,
        queue: QueueId,
    ) -> Result<QueueOffset, ClientError> {
        let header = GetMaxOffset { topic: topic.as_str(), queue_id: queue, committed: None };
        let offset = self.offset(RequestCode::GET_MAX_OFFSET, &header).await?;
        Ok(offset.unwrap_or_default())
    }

    /// The message of a queue that stands for `time`: the first one stored then or later, or the last
    /// one stored then or earlier.
    pub async fn offset_at(
        &self,
        (topic, queue): (&Topic, QueueId),
        time: Millis,
        boundary: Boundary,
    ) -> Result<Option<QueueOffset>, ClientError> {
        let header = SearchOffset {
            topic: topic.as_str(),
            queue_id: queue,
            timestamp: MaybeNegative::from(time),
            boundary: Some(boundary),
        };
        self.offset(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &header).await
    }

    /// When a queue's first message was stored; `None` if it is empty.
    pub async fn earliest_store_time(
        &self,
        topic: &Topic,
        queue: QueueId,
    ) -> Result<Option<Millis>, ClientError> {
        let code = RequestCode::GET_EARLIEST_MSG_STORETIME;
        let header = OfQueue { topic: topic.as_str(), queue_id: queue };
        let answer = self.ask(code, &header).await?;
        let reply: StoreTimeReply =
            answer.decode().map_err(|error| unreadable(self.address, code, error))?;
        Ok(reply.timestamp.get())
    }

    /// The next message that a group wants of a queue; `None` if it never said.
    pub async fn committed(
        &self,
        group: &Group,
        topic: &Topic,
        queue: QueueId,
    ) -> Result<Option<QueueOffset>, ClientError> {
        let header = QueryConsumerOffset {
            consumer_group: group.as_str(),
            topic: topic.as_str(),
            queue_id: queue,
            set_zero_if_not_found: Some(false),
        };
        match self.offset(RequestCode::QUERY_CONSUMER_OFFSET, &header).await {
            Err(error) if error.is(ResponseCode::QUERY_NOT_FOUND) => Ok(None),
            answer => answer,
        }
    }

    /// Sets the next message that a group wants of a queue.
    pub async fn commit(
        &self,
        group: &Group,
        (topic, queue): (&Topic, QueueId),
        next: QueueOffset,
    ) -> Result<(), ClientError> {
        let header = UpdateConsumerOffset {
            consumer_group: group.as_str(),
            topic: topic.as_str(),
            queue_id: queue,
            commit_offset: MaybeNegative::from(next),
        };
        self.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await.map(drop)
    }

    async fn offset<'h, H: Header<'h>>(
        &self,
        code: RequestCode,
        header: &H,
    ) -> Result<Option<QueueOffset>, ClientError> {
        let answer = self.ask(code, header).await?;
        let reply: OffsetReply =
            answer.decode().map_err(|error| unreadable(self.address, code, error))?;
        Ok(reply.offset.get())
    }
}

impl Admin {
    /// The message with this offset id, of the broker that the id names.
    pub async fn view_message(&self, id: &str) -> Result<StoredMessage, ClientError> {
        let id: OffsetMessageId =
            id.parse().map_err(|_not_an_id| ClientError::MessageId(id.to_owned()))?;
        let address = id.host.to_string();
        let code = RequestCode::VIEW_MESSAGE_BY_ID;
        let header = ViewMessage { topic: None, offset: id.position };
        let body: Bytes = self.broker(&address).ask(code, &header).await?.body();
        let parsed = StoredMessage::parse(&body);
        parsed.map(|(message, _)| message).map_err(|error| unreadable(&address, code, error))
    }
}
