//! What NameServers know: clusters, routes, topics; and what is done on all masters of a cluster.

use std::sync::Arc;

use gantry_model::{Group, Topic};
use gantry_remoting::wire::body::{
    ClusterInfo, SubscriptionGroupConfig, TopicConfig, TopicList, TopicRouteData,
};
use gantry_remoting::wire::request::namesrv::{DeleteTopicInNamesrv, GetTopicsByCluster};
use gantry_remoting::wire::{NoFields, RequestCode};

use super::{Admin, Offsets};
use crate::ClientError;

impl Admin {
    /// All clusters, their brokers and addresses.
    pub async fn cluster_info(&self) -> Result<ClusterInfo, ClientError> {
        self.name_server(RequestCode::GET_BROKER_CLUSTER_INFO, &NoFields).await
    }

    /// Where a topic is, as a NameServer has it now.
    pub async fn route(&self, topic: &Topic) -> Result<Arc<TopicRouteData>, ClientError> {
        self.client.fresh_route(topic).await
    }

    /// All topics that any broker has, those of the system included.
    pub async fn topics(&self) -> Result<Vec<String>, ClientError> {
        let code = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
        self.name_server::<TopicList, _>(code, &NoFields).await.map(|list| list.topic_list)
    }

    /// The topics of a cluster.
    pub async fn topics_of(&self, cluster: &str) -> Result<Vec<String>, ClientError> {
        let header = GetTopicsByCluster { cluster };
        let code = RequestCode::GET_TOPICS_BY_CLUSTER;
        self.name_server::<TopicList, _>(code, &header).await.map(|list| list.topic_list)
    }

    /// Creates or changes a topic on every master of `cluster`.
    pub async fn upsert_topic(
        &self,
        cluster: &str,
        config: &TopicConfig,
    ) -> Result<(), ClientError> {
        for address in self.masters(cluster).await?.values() {
            self.broker(address).upsert_topic(config).await?;
        }
        Ok(())
    }

    /// Deletes a topic with its messages on every master of `cluster`, and its routes.
    pub async fn delete_topic(&self, cluster: &str, topic: &Topic) -> Result<(), ClientError> {
        for address in self.masters(cluster).await?.values() {
            self.broker(address).delete_topic(topic).await?;
        }
        self.forget_topic(cluster, topic).await
    }

    /// Deletes a topic's routes on every NameServer.
    pub async fn forget_topic(&self, cluster: &str, topic: &Topic) -> Result<(), ClientError> {
        let header = DeleteTopicInNamesrv { topic: topic.as_str(), cluster_name: Some(cluster) };
        let code = RequestCode::DELETE_TOPIC_IN_NAMESRV;
        for address in &self.client.settings().name_servers {
            self.broker(address).ask(code, &header).await?;
        }
        Ok(())
    }

    /// Creates or changes a group on every master of `cluster`.
    pub async fn upsert_group(
        &self,
        cluster: &str,
        config: &SubscriptionGroupConfig,
    ) -> Result<(), ClientError> {
        for address in self.masters(cluster).await?.values() {
            self.broker(address).upsert_group(config).await?;
        }
        Ok(())
    }

    /// Deletes a group on every master of `cluster`.
    pub async fn delete_group(
        &self,
        cluster: &str,
        group: &Group,
        offsets: Offsets,
    ) -> Result<(), ClientError> {
        for address in self.masters(cluster).await?.values() {
            self.broker(address).delete_group(group, offsets).await?;
        }
        Ok(())
    }
}
