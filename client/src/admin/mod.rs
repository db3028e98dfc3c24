//! What administrators ask and change: topics, groups, offsets, settings, messages.
//!
//! [`Admin`] asks NameServers and speaks for whole clusters; [`BrokerAdmin`], from [`Admin::broker`],
//! asks one broker by its address. A change that must be made on several brokers is made on one after
//! the other; it stops at the first that fails, and doing it again is harmless.

mod broker;
mod cluster;
mod groups;
mod offsets;
mod topics;

pub use broker::Properties;
pub use groups::Offsets;

use std::collections::BTreeMap;

use gantry_model::BrokerId;
use gantry_remoting::wire::body::ClusterInfo;
use gantry_remoting::wire::{Body, Command, Header, RequestCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ClientError;
use crate::client::{Client, Settings, body_of};

/// Administration of all clusters behind a set of NameServers.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

/// Administration of one broker.
#[derive(Debug, Clone, Copy)]
pub struct BrokerAdmin<'a> {
    client: &'a Client,
    address: &'a str,
}

impl Admin {
    /// An admin with connections of its own, made when they are needed. Its tasks run in `tasks` and
    /// end with `stop`.
    #[must_use]
    pub fn new(settings: Settings, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        Self { client: Client::new(settings, tasks, stop) }
    }

    /// An admin that shares a client's connections.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        Self { client: client.clone() }
    }

    /// The client whose connections it uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks one broker, `host:port`.
    #[must_use]
    pub fn broker<'a>(&'a self, address: &'a str) -> BrokerAdmin<'a> {
        BrokerAdmin { client: &self.client, address }
    }

    /// The masters of a cluster: broker name to address.
    pub async fn masters(&self, cluster: &str) -> Result<BTreeMap<String, String>, ClientError> {
        Ok(masters_of(&self.cluster_info().await?, cluster))
    }

    async fn name_server<'h, T, H>(&self, code: RequestCode, header: &H) -> Result<T, ClientError>
    where
        T: serde::de::DeserializeOwned,
        H: Header<'h>,
    {
        let answer = self.client.ask_name_server(code, header).await?;
        body_of("the NameServer", code, &answer)
    }
}

impl BrokerAdmin<'_> {
    /// The broker's address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address
    }

    async fn ask<'h, H: Header<'h>>(
        &self,
        code: RequestCode,
        header: &H,
    ) -> Result<Command, ClientError> {
        self.client.ask(self.address, code, header, Body::Empty).await
    }

    async fn body<'h, T, H>(&self, code: RequestCode, header: &H) -> Result<T, ClientError>
    where
        T: serde::de::DeserializeOwned,
        H: Header<'h>,
    {
        let answer = self.ask(code, header).await?;
        body_of(self.address, code, &answer)
    }
}

fn masters_of(info: &ClusterInfo, cluster: &str) -> BTreeMap<String, String> {
    let names = info.cluster_addr_table.get(cluster);
    let master = |name: &String| {
        let address = info.broker_addr_table.get(name)?.broker_addrs.get(&BrokerId(0))?;
        Some((name.clone(), address.clone()))
    };
    names.into_iter().flatten().filter_map(master).collect()
}

/// Nothing, where a broker says that it does not have what was asked for.
fn absent_is_none<T>(
    answer: Result<T, ClientError>,
    absent: gantry_remoting::wire::ResponseCode,
) -> Result<Option<T>, ClientError> {
    match answer {
        Err(error) if error.is(absent) => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_can_be_made_from_any_task() {
        fn check<T: Send>(_: &T) {}
        let (tasks, stop) = Default::default();
        let admin = Admin::new(Settings::new("127.0.0.1:1"), &tasks, &stop);
        check(&admin.masters("c"));
        check(&admin.broker("127.0.0.1:2").config());
    }

    #[test]
    fn masters_are_those_with_id_0_of_the_cluster() {
        let text = r#"{"brokerAddrTable":{"a":{"brokerName":"a","cluster":"c","brokerAddrs":{0:"h:1",1:"h:2"}},
            "b":{"brokerName":"b","cluster":"c","brokerAddrs":{1:"h:3"}},
            "d":{"brokerName":"d","cluster":"e","brokerAddrs":{0:"h:4"}}},
            "clusterAddrTable":{"c":["a","b"],"e":["d"]}}"#;
        let info: ClusterInfo = gantry_remoting::wire::body::parse(text.as_bytes()).unwrap();
        assert_eq!(masters_of(&info, "c"), BTreeMap::from([("a".to_owned(), "h:1".to_owned())]));
        assert!(masters_of(&info, "x").is_empty());
    }
}
