//! Topics of one broker: settings, and where their queues begin and end.

use gantry_model::{Topic, names::AUTO_CREATE_TOPIC};
use gantry_remoting::wire::body::{TopicConfig, TopicConfigTable, TopicStats};
use gantry_remoting::wire::request::admin::{CreateTopic, OfTopic};
use gantry_remoting::wire::{NoFields, RequestCode, ResponseCode};

use super::{BrokerAdmin, absent_is_none};
use crate::ClientError;

impl BrokerAdmin<'_> {
    /// Creates a topic, or gives an existing one these settings. Attributes that are not named stay.
    pub async fn upsert_topic(&self, config: &TopicConfig) -> Result<(), ClientError> {
        let changes: Vec<String> =
            config.attributes.iter().map(|(name, value)| format!("+{name}={value}")).collect();
        let changes = changes.join(",");
        let header = CreateTopic {
            topic: &config.topic_name,
            default_topic: Some(AUTO_CREATE_TOPIC),
            read_queue_nums: config.read_queue_nums,
            write_queue_nums: config.write_queue_nums,
            perm: config.perm,
            topic_filter_type: Some(config.topic_filter_type.name()),
            topic_sys_flag: Some(config.topic_sys_flag),
            order: config.order,
            attributes: (!changes.is_empty()).then_some(changes.as_str()),
            force: false,
        };
        self.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &header).await.map(drop)
    }

    /// Deletes a topic with its messages. Deleting one that is not there succeeds.
    pub async fn delete_topic(&self, topic: &Topic) -> Result<(), ClientError> {
        let header = OfTopic { topic: topic.as_str() };
        self.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &header).await.map(drop)
    }

    /// A topic's settings; `None` if the broker does not have it.
    pub async fn topic(&self, topic: &Topic) -> Result<Option<TopicConfig>, ClientError> {
        let header = OfTopic { topic: topic.as_str() };
        let answer = self.body(RequestCode::GET_TOPIC_CONFIG, &header).await;
        absent_is_none(answer, ResponseCode::TOPIC_NOT_EXIST)
    }

    /// All topics and their settings.
    pub async fn topics(&self) -> Result<TopicConfigTable, ClientError> {
        self.body(RequestCode::GET_ALL_TOPIC_CONFIG, &NoFields).await
    }

    /// Where each of a topic's queues begins and ends.
    pub async fn topic_stats(&self, topic: &Topic) -> Result<TopicStats, ClientError> {
        let header = OfTopic { topic: topic.as_str() };
        self.body(RequestCode::GET_TOPIC_STATS_INFO, &header).await
    }
}
