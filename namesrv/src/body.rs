//! Between the route tables and the bodies of the wire: what clients are answered, and what brokers
//! announce.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use gantry_model::BrokerId;
use gantry_remoting::wire::body::{
    self as wire, BodyError, BrokerData, BrokerMemberGroup, BrokerMemberGroupReply, ClusterInfo,
    Form, KvTable, QueueData, RegisterBrokerBody, TopicConfig, TopicList, TopicRouteData,
};
use serde::Serialize;

use crate::{
    cache::Dialect,
    routes::{self, Mapping, Name, Queues, RouteGroup},
};

/// The first version whose brokers announce more than topics: 3.0.11.
const WHOLE_BODY_SINCE: i32 = 37;

/// CRC-32 as brokers compute it over their registrations: without the sign bit.
pub(crate) fn crc32(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

/// What everybody reads: fastjson's readers take quoted numbers as keys, too.
fn standard<T: Serialize>(value: &T) -> Bytes {
    wire::to_standard(value).into()
}

fn text(name: &Name) -> String {
    name.to_string()
}

/// A topic's route, with how its orderly queues are spread if that is known.
pub(crate) fn route(route: &routes::Route, order: Option<&str>, dialect: Dialect) -> Bytes {
    let mappings: BTreeMap<_, _> =
        route.mappings.iter().map(|(group, part)| (text(group), (**part).clone())).collect();
    let data = TopicRouteData {
        broker_datas: route.groups.iter().map(broker_data).collect(),
        filter_server_table: route
            .filter_servers
            .iter()
            .map(|(addr, servers)| (text(addr), servers.iter().map(text).collect()))
            .collect(),
        order_topic_conf: order.map(str::to_owned),
        queue_datas: route.queues.iter().map(queue_data).collect(),
        topic_queue_mapping_by_broker: (!mappings.is_empty()).then_some(mappings),
    };
    match dialect {
        Dialect::Standard => standard(&data),
        Dialect::Fastjson => wire::to_fastjson(&data).into(),
    }
}

fn broker_data(group: &RouteGroup) -> BrokerData {
    BrokerData {
        broker_addrs: addresses(&group.members),
        broker_name: text(&group.name),
        cluster: text(&group.cluster),
        enable_acting_master: group.acting_master,
        zone_name: group.zone.as_ref().map(text),
    }
}

fn queue_data((group, queues): &(Name, Queues)) -> QueueData {
    QueueData {
        broker_name: text(group),
        perm: queues.perm,
        read_queue_nums: queues.read,
        topic_sys_flag: queues.sys_flag.cast_signed(),
        write_queue_nums: queues.write,
    }
}

fn addresses(members: &BTreeMap<BrokerId, Name>) -> BTreeMap<BrokerId, String> {
    members.iter().map(|(id, addr)| (*id, text(addr))).collect()
}

/// All clusters and groups.
pub(crate) fn cluster_info(groups: &[RouteGroup], clusters: &BTreeMap<Name, Vec<Name>>) -> Bytes {
    standard(&ClusterInfo {
        broker_addr_table: groups.iter().map(|g| (text(&g.name), broker_data(g))).collect(),
        cluster_addr_table: clusters
            .iter()
            .map(|(cluster, names)| (text(cluster), names.iter().map(text).collect()))
            .collect(),
    })
}

/// The members of a group.
pub(crate) fn member_group(
    cluster: &str,
    group: &str,
    members: &BTreeMap<BrokerId, Name>,
) -> Bytes {
    let broker_member_group = BrokerMemberGroup {
        broker_addrs: addresses(members),
        broker_name: group.to_owned(),
        cluster: cluster.to_owned(),
    };
    standard(&BrokerMemberGroupReply { broker_member_group })
}

/// A list of topics.
pub(crate) fn topic_list(topics: &[Name], broker: Option<&str>) -> Bytes {
    let topic_list = topics.iter().map(text).collect();
    standard(&TopicList { broker_addr: broker.map(str::to_owned), topic_list })
}

/// A table of the key-value configuration.
pub(crate) fn kv_table(table: &BTreeMap<String, String>) -> Bytes {
    standard(&KvTable { table: table.clone() })
}

/// The version of a broker's topics, as a broker compares it with its own.
pub(crate) fn data_version(version: routes::DataVersion) -> Bytes {
    standard(&wire::DataVersion {
        counter: version.counter,
        state_version: version.state,
        timestamp: version.timestamp,
    })
}

/// Reads the version that a broker has.
pub(crate) fn read_data_version(body: &[u8]) -> Result<routes::DataVersion, BodyError> {
    wire::parse(body).map(version)
}

fn version(version: wire::DataVersion) -> routes::DataVersion {
    routes::DataVersion {
        state: version.state_version,
        timestamp: version.timestamp,
        counter: version.counter,
    }
}

/// The queues of each group in a route that somebody announces.
pub(crate) fn queues_of_route(body: &[u8]) -> Result<Vec<(String, Queues)>, BodyError> {
    let route: TopicRouteData = wire::parse(body)?;
    let queues = route.queue_datas.into_iter().map(|data| {
        let queues = Queues {
            read: data.read_queue_nums,
            write: data.write_queue_nums,
            perm: data.perm,
            sys_flag: data.topic_sys_flag.cast_unsigned(),
        };
        (data.broker_name, queues)
    });
    Ok(queues.collect())
}

/// What a broker announces.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) version: routes::DataVersion,
    pub(crate) topics: Vec<(String, Queues)>,
    pub(crate) filter_servers: Option<Vec<Name>>,
    /// Topic, the group that serves this part of it, and the part.
    pub(crate) mappings: Vec<(String, String, Mapping)>,
}

/// Reads what a broker with this version of the library announces. No body announces no topics.
pub(crate) fn registration(body: &[u8], form: Form, library: i32) -> Result<Announced, BodyError> {
    if body.is_empty() {
        return Ok(Announced::default());
    }
    let whole = if library < WHOLE_BODY_SINCE {
        let topic_config_serialize_wrapper = wire::parse(body)?;
        RegisterBrokerBody { topic_config_serialize_wrapper, ..RegisterBrokerBody::default() }
    } else {
        RegisterBrokerBody::read(body, form)?
    };
    let topics = whole.topic_config_serialize_wrapper;
    let mappings = topics.topic_queue_mapping_info_map.into_iter();
    Ok(Announced {
        version: version(topics.data_version),
        topics: topics.topic_config_table.into_iter().map(queues_of_topic).collect(),
        filter_servers: (library >= WHOLE_BODY_SINCE)
            .then(|| whole.filter_server_list.into_iter().map(Name::from).collect()),
        mappings: mappings
            .map(|(topic, part)| (topic, part.bname.clone(), Arc::new(part)))
            .collect(),
    })
}

/// The name within the settings counts, as in Java; the table's key only where there is none.
fn queues_of_topic((key, config): (String, TopicConfig)) -> (String, Queues) {
    let name = if config.topic_name.is_empty() { key } else { config.topic_name };
    let queues = Queues {
        read: config.read_queue_nums,
        write: config.write_queue_nums,
        perm: config.perm,
        sys_flag: config.topic_sys_flag.cast_unsigned(),
    };
    (name, queues)
}

#[cfg(test)]
mod tests {
    use gantry_model::{Millis, Perm};

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
    fn queues_are_read_from_a_route() {
        let text = br#"{"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"writeQueueNums":1}],"brokerDatas":[{"brokerAddrs":{0:"x"}}]}"#;
        let expected = Queues { read: 4, write: 1, perm: Perm::READ_WRITE, sys_flag: 0 };
        assert_eq!(queues_of_route(text).unwrap(), [("a".to_owned(), expected)]);
        assert_eq!(queues_of_route(b"").unwrap(), []);
    }

    #[test]
    fn a_registration_is_read_as_its_library_writes_it() {
        let topics = r#"{"dataVersion":{"counter":2,"stateVersion":0,"timestamp":7},"topicConfigTable":{"orders":{"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"orders","topicSysFlag":2,"writeQueueNums":4}},"topicQueueMappingInfoMap":{"static":{"bname":"a","currIdMap":{0:1},"topic":"static","totalQueues":1}}}"#;
        let whole =
            format!(r#"{{"filterServerList":["f:1"],"topicConfigSerializeWrapper":{topics}}}"#);
        let expected = Queues { read: 8, write: 4, perm: Perm::READ_WRITE, sys_flag: 2 };
        for (text, library, servers) in
            [(whole.as_str(), 479, Some(vec!["f:1".into()])), (topics, 36, None)]
        {
            let announced = registration(text.as_bytes(), Form::Plain, library).unwrap();
            assert_eq!(announced.version.counter, 2);
            assert_eq!(announced.topics, [("orders".to_owned(), expected)]);
            assert_eq!(announced.filter_servers, servers);
            let (topic, group, part) = &announced.mappings[0];
            assert_eq!((topic.as_str(), group.as_str()), ("static", "a"));
            assert_eq!(part.curr_id_map[&0], 1);
        }
        assert!(registration(b"", Form::Plain, 479).unwrap().topics.is_empty());
        assert!(registration(b"no zlib", Form::Compressed, 479).is_err());
    }
}
