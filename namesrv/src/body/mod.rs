//! The bodies of requests and answers: route tables to JSON, and what brokers announce from it.
//!
//! Keys stand in alphabetical order and nothing has blanks between: Java writes so, and the Go client
//! splits routes by hand.

mod dialect;
mod registration;

use std::collections::BTreeMap;

use bytes::Bytes;
use gantry_model::{BrokerId, Millis, Perm};
use serde::{Deserialize, Serialize};

pub(crate) use registration::{Announced, BodyError, registration};

use crate::{
    cache::Dialect,
    routes::{self, Name, Queues, RouteGroup},
};

/// CRC-32 as brokers compute it over their registrations: without the sign bit.
pub(crate) fn crc32(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BrokerData<'a> {
    broker_addrs: BTreeMap<u64, &'a str>,
    broker_name: &'a str,
    cluster: &'a str,
    enable_acting_master: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone_name: Option<&'a str>,
}

impl<'a> From<&'a RouteGroup> for BrokerData<'a> {
    fn from(group: &'a RouteGroup) -> Self {
        Self {
            broker_addrs: addresses(&group.members),
            broker_name: &group.name,
            cluster: &group.cluster,
            enable_acting_master: group.acting_master,
            zone_name: group.zone.as_deref(),
        }
    }
}

fn addresses(members: &BTreeMap<BrokerId, Name>) -> BTreeMap<u64, &str> {
    members.iter().map(|(id, addr)| (id.0, &**addr)).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueData<'a> {
    broker_name: &'a str,
    perm: u8,
    read_queue_nums: u32,
    topic_sys_flag: u32,
    write_queue_nums: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicRouteData<'a> {
    broker_datas: Vec<BrokerData<'a>>,
    filter_server_table: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_topic_conf: Option<&'a str>,
    queue_datas: Vec<QueueData<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    topic_queue_mapping_by_broker: BTreeMap<&'a str, &'a serde_json::Value>,
}

/// A topic's route, with how its orderly queues are spread if that is known.
pub(crate) fn route(route: &routes::Route, order: Option<&str>, dialect: Dialect) -> Bytes {
    let queue_datas = route.queues.iter().map(|(name, queues)| QueueData {
        broker_name: name,
        perm: queues.perm.bits(),
        read_queue_nums: queues.read,
        topic_sys_flag: queues.sys_flag,
        write_queue_nums: queues.write,
    });
    let servers = route.filter_servers.iter();
    let data = TopicRouteData {
        broker_datas: route.groups.iter().map(BrokerData::from).collect(),
        filter_server_table: servers
            .map(|(addr, servers)| (&**addr, servers.iter().map(|s| &**s).collect()))
            .collect(),
        order_topic_conf: order,
        queue_datas: queue_datas.collect(),
        topic_queue_mapping_by_broker: route.mappings.iter().map(|(b, m)| (&**b, &**m)).collect(),
    };
    dialect::write(&data, dialect)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterInfo<'a> {
    broker_addr_table: BTreeMap<&'a str, BrokerData<'a>>,
    cluster_addr_table: BTreeMap<&'a str, Vec<&'a str>>,
}

/// All clusters and groups. Keys are quoted, which fastjson's readers accept too.
pub(crate) fn cluster_info(groups: &[RouteGroup], clusters: &BTreeMap<Name, Vec<Name>>) -> Bytes {
    let info = ClusterInfo {
        broker_addr_table: groups.iter().map(|g| (&*g.name, BrokerData::from(g))).collect(),
        cluster_addr_table: clusters
            .iter()
            .map(|(cluster, names)| (&**cluster, names.iter().map(|n| &**n).collect()))
            .collect(),
    };
    dialect::write(&info, Dialect::Standard)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberGroup<'a> {
    broker_addrs: BTreeMap<u64, &'a str>,
    broker_name: &'a str,
    cluster: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberGroupReply<'a> {
    broker_member_group: MemberGroup<'a>,
}

/// The members of a group.
pub(crate) fn member_group(
    cluster: &str,
    group: &str,
    members: &BTreeMap<BrokerId, Name>,
) -> Bytes {
    let broker_member_group =
        MemberGroup { broker_addrs: addresses(members), broker_name: group, cluster };
    dialect::write(&MemberGroupReply { broker_member_group }, Dialect::Standard)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicList<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_addr: Option<&'a str>,
    topic_list: Vec<&'a str>,
}

/// A list of topics.
pub(crate) fn topic_list(topics: &[Name], broker_addr: Option<&str>) -> Bytes {
    let topic_list = topics.iter().map(|topic| &**topic).collect();
    dialect::write(&TopicList { broker_addr, topic_list }, Dialect::Standard)
}

#[derive(Serialize)]
struct KvTable<'a> {
    table: &'a BTreeMap<String, String>,
}

/// A table of the key-value configuration.
pub(crate) fn kv_table(table: &BTreeMap<String, String>) -> Bytes {
    dialect::write(&KvTable { table }, Dialect::Standard)
}

/// `DataVersion` of Java.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DataVersion {
    counter: i64,
    state_version: i64,
    timestamp: i64,
}

impl From<DataVersion> for routes::DataVersion {
    fn from(version: DataVersion) -> Self {
        Self {
            state: version.state_version.try_into().unwrap_or(0),
            timestamp: Millis(version.timestamp.try_into().unwrap_or(0)),
            counter: version.counter.try_into().unwrap_or(0),
        }
    }
}

/// The version of a broker's topics, as a broker compares it with its own.
pub(crate) fn data_version(version: routes::DataVersion) -> Bytes {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let body = DataVersion {
        counter: signed(version.counter),
        state_version: signed(version.state),
        timestamp: signed(version.timestamp.0),
    };
    dialect::write(&body, Dialect::Standard)
}

/// Reads the version that a broker has.
pub(crate) fn read_data_version(body: &[u8]) -> Result<routes::DataVersion, BodyError> {
    Ok(dialect::read::<DataVersion>(body)?.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnnouncedRoute {
    #[serde(default)]
    queue_datas: Vec<AnnouncedQueues>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AnnouncedQueues {
    broker_name: String,
    read_queue_nums: i64,
    write_queue_nums: i64,
    perm: i64,
    topic_sys_flag: i64,
}

/// The queues of each group in a route that somebody announces. No body announces nothing.
pub(crate) fn queues_of_route(body: &[u8]) -> Result<Vec<(String, Queues)>, BodyError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let route: AnnouncedRoute = dialect::read(body)?;
    let queues = route.queue_datas.into_iter().map(|q| {
        let numbers = [q.read_queue_nums, q.write_queue_nums, q.perm, q.topic_sys_flag];
        (q.broker_name, queues(numbers))
    });
    Ok(queues.collect())
}

/// Read and write queues, permission and flags as they came: what is out of range counts as nothing.
fn queues([read, write, perm, sys_flag]: [i64; 4]) -> Queues {
    let number = |n: i64| u32::try_from(n).unwrap_or(0);
    Queues {
        read: number(read),
        write: number(write),
        // Java's bit 8, priority, means nothing to clients.
        perm: Perm::try_from(number(perm) & 7).unwrap_or(Perm::NONE),
        sys_flag: number(sys_flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Policy, Routes, testing};

    fn sample() -> Routes {
        let mut routes = Routes::default();
        let from = testing::registration();
        routes.register(&from, Policy::default(), Millis(1)).unwrap();
        routes
    }

    #[test]
    fn a_route_is_compact_and_its_ids_are_bare_for_old_clients_only() {
        let found = sample().route("orders", Policy::default()).unwrap();
        let ids = [(Dialect::Standard, r#"{"0":"m:1"}"#), (Dialect::Fastjson, r#"{0:"m:1"}"#)];
        for (dialect, ids) in ids {
            let expected = format!(
                r#"{{"brokerDatas":[{{"brokerAddrs":{ids},"brokerName":"a","cluster":"c","enableActingMaster":false}}],"filterServerTable":{{}},"orderTopicConf":"a:4","queueDatas":[{{"brokerName":"a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}}]}}"#
            );
            assert_eq!(route(&found, Some("a:4"), dialect), expected);
        }
    }

    #[test]
    fn lists_are_those_of_java() {
        let routes = sample();
        assert_eq!(
            cluster_info(&routes.all_groups(), &routes.all_clusters()),
            r#"{"brokerAddrTable":{"a":{"brokerAddrs":{"0":"m:1"},"brokerName":"a","cluster":"c","enableActingMaster":false}},"clusterAddrTable":{"c":["a"]}}"#
        );
        assert_eq!(
            member_group("c", "a", &routes.members("a")),
            r#"{"brokerMemberGroup":{"brokerAddrs":{"0":"m:1"},"brokerName":"a","cluster":"c"}}"#
        );
        assert_eq!(topic_list(&["x".into()], None), r#"{"topicList":["x"]}"#);
        let table = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        assert_eq!(kv_table(&table), r#"{"table":{"k":"v"}}"#);
    }

    #[test]
    fn versions_go_through() {
        let text = br#"{"counter":3,"stateVersion":2,"timestamp":1}"#;
        let version = read_data_version(text).unwrap();
        assert_eq!((version.state, version.timestamp, version.counter), (2, Millis(1), 3));
        assert_eq!(&data_version(version)[..], text);
        assert!(read_data_version(b"{").is_err());
    }

    #[test]
    fn queues_are_read_from_a_route_and_absurd_numbers_count_as_nothing() {
        let text = br#"{"queueDatas":[{"brokerName":"a","perm":14,"readQueueNums":4,"writeQueueNums":-1}],"brokerDatas":[{"brokerAddrs":{0:"x"}}]}"#;
        let expected = Queues { read: 4, write: 0, perm: Perm::READ_WRITE, sys_flag: 0 };
        assert_eq!(queues_of_route(text).unwrap(), [("a".to_owned(), expected)]);
        assert_eq!(queues_of_route(b"").unwrap(), []);
    }
}
