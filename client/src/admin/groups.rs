//! Consumer groups of one broker: settings, members, how far they are.

use gantry_model::{Group, Topic};
use gantry_remoting::wire::body::{
    ConsumeStats, ConsumerConnection, GroupList, SubscriptionGroupConfig, SubscriptionGroupTable,
};
use gantry_remoting::wire::request::admin::{
    DeleteSubscriptionGroup, GetConsumeStats, GetConsumerConnectionList, OfGroup, OfTopic,
};
use gantry_remoting::wire::{NoFields, RequestCode, ResponseCode};

use super::{BrokerAdmin, absent_is_none};
use crate::ClientError;

/// What becomes of a deleted group's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// A group of the same name goes on where this one was.
    Kept,
    /// They are forgotten.
    Deleted,
}

impl BrokerAdmin<'_> {
    /// Creates a group, or gives an existing one these settings.
    pub async fn upsert_group(&self, config: &SubscriptionGroupConfig) -> Result<(), ClientError> {
        let code = RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
        self.give(code, config).await
    }

    /// Deletes a group.
    pub async fn delete_group(&self, group: &Group, offsets: Offsets) -> Result<(), ClientError> {
        let header = DeleteSubscriptionGroup {
            group_name: group.as_str(),
            clean_offset: offsets == Offsets::Deleted,
        };
        self.ask(RequestCode::DELETE_SUBSCRIPTIONGROUP, &header).await.map(drop)
    }

    /// A group's settings; `None` if the broker does not have it.
    pub async fn group(
        &self,
        group: &Group,
    ) -> Result<Option<SubscriptionGroupConfig>, ClientError> {
        let header = OfGroup { group: group.as_str() };
        absent_is_none(
            self.body(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &header).await,
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
        )
    }

    /// All groups and their settings.
    pub async fn groups(&self) -> Result<SubscriptionGroupTable, ClientError> {
        self.body(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &NoFields).await
    }

    /// How far a group is in each queue, of all its topics or of one.
    pub async fn consume_stats(
        &self,
        group: &Group,
        topic: Option<&Topic>,
    ) -> Result<ConsumeStats, ClientError> {
        let header = GetConsumeStats {
            consumer_group: group.as_str(),
            topic: topic.map(Topic::as_str),
            topic_list: None,
        };
        self.body(RequestCode::GET_CONSUME_STATS, &header).await
    }

    /// A group's members and their subscriptions; `None` while nobody is online.
    pub async fn consumer_connection(
        &self,
        group: &Group,
    ) -> Result<Option<ConsumerConnection>, ClientError> {
        let header = GetConsumerConnectionList { consumer_group: group.as_str() };
        let answer = self.body(RequestCode::GET_CONSUMER_CONNECTION_LIST, &header).await;
        absent_is_none(answer, ResponseCode::CONSUMER_NOT_ONLINE)
    }

    /// The groups that consume a topic, or have.
    pub async fn groups_of(&self, topic: &Topic) -> Result<Vec<String>, ClientError> {
        let header = OfTopic { topic: topic.as_str() };
        let code = RequestCode::QUERY_TOPIC_CONSUME_BY_WHO;
        self.body::<GroupList, _>(code, &header).await.map(|list| list.group_list)
    }
}
