//! The NameServer over real connections: what brokers, clients and administrators see.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the functions that tests share fail the test where they stand"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gantry_chassis::{Health, Tasks};
use gantry_model::{BrokerId, Epoch, Millis};
use gantry_namesrv::{Running, Settings};
use gantry_remoting::{
    net::{Limits, NoRequests, Pool},
    wire::{
        Body, Command, Header, NoFields, RequestCode, ResponseCode,
        request::namesrv::{
            GetKvConfigReply, GetRouteInfo, KvKey, KvNamespace, OfBroker, PutKvConfig,
            QueryDataVersionReply, RegisterBroker, RegisterBrokerReply, WipeWritePermReply,
            WritePermOfBroker,
        },
    },
};
use prometheus::Registry;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// A NameServer and a client's side of the world.
struct Site {
    running: Running,
    address: String,
    tasks: Tasks,
    health: Health,
    registry: Registry,
    pool: Pool<NoRequests>,
    dir: tempfile::TempDir,
}

impl Site {
    fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            bind: "127.0.0.1".into(),
            port: 0,
            kv_path: dir.path().join("kvConfig.json"),
            store_path: dir.path().join("namesrv.conf"),
            scan_interval: 100,
            ..Settings::default()
        };
        change(&mut settings);
        let (tasks, health, registry) = (Tasks::new("test"), Health::new(), Registry::new());
        let running = gantry_namesrv::start(settings, &tasks, &registry, &health).unwrap();
        let address = running.address().to_string();
        let pool = pool(&tasks);
        Self { running, address, tasks, health, registry, pool, dir }
    }

    async fn ask<'h, H: Header<'h>>(&self, code: RequestCode, header: &H, body: &[u8]) -> Command {
        ask(&self.pool, &self.address, (code, header, body)).await
    }

    async fn list(&self, code: RequestCode) -> Value {
        let answer = self.ask(code, &NoFields, b"").await;
        assert_eq!(answer.code(), ResponseCode::SUCCESS, "{}", answer.remark());
        serde_json::from_slice(&answer.body()).unwrap()
    }

    async fn route(&self, topic: &str) -> Option<Value> {
        let header = GetRouteInfo { topic, accept_standard_json_only: true };
        let answer = self.ask(RequestCode::GET_ROUTEINFO_BY_TOPIC, &header, b"").await;
        if answer.code() == ResponseCode::TOPIC_NOT_EXIST {
            return None;
        }
        assert_eq!(answer.code(), ResponseCode::SUCCESS, "{}", answer.remark());
        Some(serde_json::from_slice(&answer.body()).unwrap())
    }

    async fn register(&self, from: &RegisterBroker<'_>, body: &Value) -> Command {
        register(&self.pool, &self.address, from, body).await
    }

    /// Asks until the topic's route is as wanted; the server has no event that tells.
    async fn until_route(&self, topic: &str, wanted: impl Fn(Option<&Value>) -> bool) {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        let watched = async {
            while !wanted(self.route(topic).await.as_ref()) {
                pause.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, watched).await.expect("the route never became as wanted");
    }

    async fn stop(self) -> tempfile::TempDir {
        self.running.shutdown().await;
        assert!(!self.health.is_ready());
        self.tasks.shutdown(PATIENCE).await.unwrap();
        self.dir
    }
}

fn pool(tasks: &Tasks) -> Pool<NoRequests> {
    let spawner = (tasks.tracker(), tasks.token());
    Pool::new(Arc::new(NoRequests), Limits::default(), PATIENCE, spawner)
}

async fn ask<'h, H: Header<'h>>(
    pool: &Pool<NoRequests>,
    address: &str,
    (code, header, body): (RequestCode, &H, &[u8]),
) -> Command {
    pool.request(address, (code, header, Body::Copied(body)), PATIENCE).await.unwrap()
}

async fn register(
    pool: &Pool<NoRequests>,
    address: &str,
    from: &RegisterBroker<'_>,
    body: &Value,
) -> Command {
    let body = body.to_string();
    ask(pool, address, (RequestCode::REGISTER_BROKER, from, body.as_bytes())).await
}

fn master(addr: &str) -> RegisterBroker<'_> {
    RegisterBroker {
        broker_name: "a",
        broker_addr: addr,
        cluster_name: "c",
        ha_server_addr: Some("10.0.0.1:10912"),
        broker_id: BrokerId(0),
        heartbeat_timeout: None,
        enable_acting_master: None,
        compressed: false,
        body_crc32: None,
        zone: None,
        epoch: None,
    }
}

fn topics(counter: u64, names: &[&str]) -> Value {
    let table: BTreeMap<&str, Value> = names
        .iter()
        .map(|name| {
            let topic = json!({
                "topicName": name, "readQueueNums": 4, "writeQueueNums": 4, "perm": 6,
                "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": false,
            });
            (*name, topic)
        })
        .collect();
    json!({
        "topicConfigSerializeWrapper": {
            "topicConfigTable": table,
            "dataVersion": {"counter": counter, "stateVersion": 0, "timestamp": 1},
        },
        "filterServerList": [],
    })
}

#[tokio::test]
async fn a_broker_registers_and_its_topics_are_found() {
    let site = Site::start(|_| {});
    assert!(site.health.is_ready());
    assert_eq!(site.route("orders").await, None);
    let body = topics(1, &["orders", "a"]);
    let answer = site.register(&master("10.0.0.1:10911"), &body).await;
    assert_eq!(answer.code(), ResponseCode::SUCCESS, "{}", answer.remark());

    let route = site.route("orders").await.unwrap();
    let expected = json!({
        "brokerDatas": [{
            "brokerAddrs": {"0": "10.0.0.1:10911"},
            "brokerName": "a", "cluster": "c", "enableActingMaster": false,
        }],
        "filterServerTable": {},
        "queueDatas": [{
            "brokerName": "a", "perm": 6, "readQueueNums": 4, "topicSysFlag": 0,
            "writeQueueNums": 4,
        }],
    });
    assert_eq!(route, expected);
    assert_eq!(site.route("orders").await, Some(expected));

    let slave = RegisterBroker { broker_id: BrokerId(1), ..master("10.0.0.2:10911") };
    let answer = site.register(&slave, &body).await;
    let reply: RegisterBrokerReply<'_> = answer.decode().unwrap();
    assert_eq!(reply.master_addr, Some("10.0.0.1:10911"));
    assert_eq!(reply.ha_server_addr, Some("10.0.0.1:10912"));
    site.until_route("orders", |route| {
        route.is_some_and(|r| r["brokerDatas"][0]["brokerAddrs"]["1"] == "10.0.0.2:10911")
    })
    .await;
    let clusters = site.list(RequestCode::GET_BROKER_CLUSTER_INFO).await;
    assert_eq!(clusters["clusterAddrTable"], json!({"c": ["a"]}));
    let all = site.list(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER).await;
    assert_eq!(all, json!({"topicList": ["a", "orders"]}));
    let system = site.list(RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS).await;
    assert_eq!(system, json!({"brokerAddr": "10.0.0.1:10911", "topicList": ["c", "a"]}));
    site.stop().await;
}

#[tokio::test]
async fn a_closed_connection_takes_its_broker_with_it() {
    let site = Site::start(|_| {});
    let other = pool(&site.tasks);
    let body = topics(1, &["orders", "a"]);
    register(&other, &site.address, &master("10.0.0.1:10911"), &body).await;
    site.until_route("orders", |route| route.is_some()).await;
    other.close(&site.address);
    site.until_route("orders", |route| route.is_none()).await;
    site.stop().await;
}

#[tokio::test]
async fn a_silent_broker_is_removed_and_its_connection_closed() {
    let site = Site::start(|_| {});
    let other = pool(&site.tasks);
    let quick =
        RegisterBroker { heartbeat_timeout: Some(Millis(1_000)), ..master("10.0.0.1:10911") };
    register(&other, &site.address, &quick, &topics(1, &["orders", "a"])).await;
    let peer = other.connection(&site.address).await.unwrap();
    assert!(site.route("orders").await.is_some());
    site.until_route("orders", |route| route.is_none()).await;
    let closed = async {
        while peer.is_open() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("the connection was not closed");
    site.stop().await;
}

#[tokio::test]
async fn a_late_master_is_refused_and_cannot_remove_its_successor() {
    let site = Site::start(|_| {});
    let body = topics(1, &["orders", "a"]);
    let of = |epoch| RegisterBroker { epoch: Some(Epoch(epoch)), ..master("10.96.0.9:10911") };
    site.register(&of(2), &body).await;
    let late = site.register(&of(1), &topics(9, &["orders", "a", "late"])).await;
    assert_eq!(late.code(), ResponseCode::SYSTEM_ERROR);
    assert!(late.remark().contains("epoch 2"), "{}", late.remark());
    let leaving = OfBroker {
        broker_name: "a",
        broker_addr: "10.96.0.9:10911",
        cluster_name: "c",
        broker_id: BrokerId(0),
        epoch: Some(Epoch(1)),
    };
    let answer = site.ask(RequestCode::UNREGISTER_BROKER, &leaving, b"").await;
    assert_eq!(answer.code(), ResponseCode::SUCCESS);
    assert!(site.route("orders").await.is_some());
    assert!(site.route("late").await.is_none());
    let leaving = OfBroker { epoch: Some(Epoch(2)), ..leaving };
    site.ask(RequestCode::UNREGISTER_BROKER, &leaving, b"").await;
    assert!(site.route("orders").await.is_none());
    site.stop().await;
}

#[tokio::test]
async fn a_data_version_tells_whether_to_register_again() {
    let site = Site::start(|_| {});
    let query = OfBroker {
        broker_name: "a",
        broker_addr: "10.0.0.1:10911",
        cluster_name: "c",
        broker_id: BrokerId(0),
        epoch: None,
    };
    let changed = async |body: &[u8]| {
        let answer = site.ask(RequestCode::QUERY_DATA_VERSION, &query, body).await;
        let reply: QueryDataVersionReply = answer.decode().unwrap();
        (reply.changed, answer.body())
    };
    let version = br#"{"counter":1,"stateVersion":0,"timestamp":1}"#;
    assert_eq!(changed(version).await, (true, Default::default()));
    site.register(&master("10.0.0.1:10911"), &topics(1, &["orders", "a"])).await;
    assert_eq!(changed(version).await, (false, version.to_vec().into()));
    let newer = br#"{"counter":2,"stateVersion":0,"timestamp":1}"#;
    assert_eq!(changed(newer).await, (true, version.to_vec().into()));
    let bad = site.ask(RequestCode::QUERY_DATA_VERSION, &query, b"{").await;
    assert_eq!(bad.code(), ResponseCode::SYSTEM_ERROR);
    site.stop().await;
}

#[tokio::test]
async fn old_clients_get_bare_ids_and_order_topics_show_when_asked_for() {
    let site = Site::start(|settings| settings.order_messages = true);
    site.register(&master("10.0.0.1:10911"), &topics(1, &["orders", "a"])).await;
    let value = PutKvConfig { namespace: "ORDER_TOPIC_CONFIG", key: "orders", value: "a:4" };
    assert_eq!(site.route("orders").await.unwrap().get("orderTopicConf"), None);
    let stored = site.ask(RequestCode::PUT_KV_CONFIG, &value, b"").await;
    assert_eq!(stored.code(), ResponseCode::SUCCESS, "{}", stored.remark());
    assert_eq!(site.route("orders").await.unwrap()["orderTopicConf"], "a:4");
    // What a broker that registers is told.
    let told = site.register(&master("10.0.0.1:10911"), &topics(1, &["orders", "a"])).await;
    assert_eq!(&told.body()[..], br#"{"table":{"orders":"a:4"}}"#);

    let old = raw_route(&site.address, 317).await;
    assert!(old.contains(r#""brokerAddrs":{0:"10.0.0.1:10911"}"#), "{old}");
    let new = raw_route(&site.address, 401).await;
    assert!(new.contains(r#""brokerAddrs":{"0":"10.0.0.1:10911"}"#), "{new}");
    site.stop().await;
}

/// The frame that a client of this version gets for the route of `orders`.
async fn raw_route(address: &str, version: i32) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let header = format!(
        r#"{{"code":105,"language":"GO","version":{version},"opaque":1,"flag":0,"extFields":{{"topic":"orders"}}}}"#
    );
    let length = u32::try_from(header.len()).unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let frame = [&(length + 4).to_be_bytes()[..], &length.to_be_bytes(), header.as_bytes()];
    socket.write_all(&frame.concat()).await.unwrap();
    let length = socket.read_u32().await.unwrap();
    let mut reply = vec![0; usize::try_from(length).unwrap()];
    socket.read_exact(&mut reply).await.unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn values_survive_a_restart() {
    let site = Site::start(|_| {});
    let value = PutKvConfig { namespace: "ns", key: "k", value: "v" };
    let key = KvKey { namespace: "ns", key: "k" };
    let missing = site.ask(RequestCode::GET_KV_CONFIG, &key, b"").await;
    assert_eq!(missing.code(), ResponseCode::QUERY_NOT_FOUND);
    site.ask(RequestCode::PUT_KV_CONFIG, &value, b"").await;
    let dir = site.stop().await;

    let again = Site::start(|settings| settings.kv_path = dir.path().join("kvConfig.json"));
    let answer = again.ask(RequestCode::GET_KV_CONFIG, &key, b"").await;
    let reply: GetKvConfigReply<'_> = answer.decode().unwrap();
    assert_eq!(reply.value, Some("v"));
    again.ask(RequestCode::DELETE_KV_CONFIG, &key, b"").await;
    let table = KvNamespace { namespace: "ns" };
    let answer = again.ask(RequestCode::GET_KVLIST_BY_NAMESPACE, &table, b"").await;
    assert_eq!(&answer.body()[..], br#"{"table":{}}"#);
    again.stop().await;
}

#[tokio::test]
async fn settings_are_shown_changed_and_guarded() {
    let site = Site::start(|_| {});
    let update = async |text: &str| {
        site.ask(RequestCode::UPDATE_NAMESRV_CONFIG, &NoFields, text.as_bytes()).await
    };
    let done = update("enableAllTopicList=false\n").await;
    assert_eq!(done.code(), ResponseCode::SUCCESS, "{}", done.remark());
    let listed = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    let refused = site.ask(listed, &NoFields, b"").await;
    assert_eq!((refused.code(), refused.remark()), (ResponseCode::SYSTEM_ERROR, "disable"));
    let shown = site.ask(RequestCode::GET_NAMESRV_CONFIG, &NoFields, b"").await;
    let text = String::from_utf8(shown.body().to_vec()).unwrap();
    assert!(text.contains("enableAllTopicList=false\n"), "{text}");
    let saved = std::fs::read_to_string(site.dir.path().join("namesrv.conf")).unwrap();
    assert_eq!(saved, text);
    assert_eq!(update("kvConfigPath=/x").await.code(), ResponseCode::NO_PERMISSION);
    assert_eq!(update("listenPort=1").await.code(), ResponseCode::SYSTEM_ERROR);
    site.stop().await;
}

#[tokio::test]
async fn writes_are_refused_and_allowed_again() {
    let site = Site::start(|_| {});
    site.register(&master("10.0.0.1:10911"), &topics(1, &["orders", "a"])).await;
    let header = WritePermOfBroker { broker_name: "a" };
    let answer = site.ask(RequestCode::WIPE_WRITE_PERM_OF_BROKER, &header, b"").await;
    let reply: WipeWritePermReply = answer.decode().unwrap();
    assert_eq!(reply.wipe_topic_count, 2);
    assert_eq!(site.route("orders").await.unwrap()["queueDatas"][0]["perm"], 4);
    site.ask(RequestCode::ADD_WRITE_PERM_OF_BROKER, &header, b"").await;
    assert_eq!(site.route("orders").await.unwrap()["queueDatas"][0]["perm"], 6);
    site.stop().await;
}

#[tokio::test]
async fn bad_requests_are_answered_and_counted() {
    let site = Site::start(|_| {});
    let unknown = site.ask(RequestCode(4711), &NoFields, b"").await;
    assert_eq!(unknown.code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(unknown.remark(), " request type 4711 not supported");
    let no_topic = site.ask(RequestCode::GET_ROUTEINFO_BY_TOPIC, &NoFields, b"").await;
    assert_eq!(no_topic.code(), ResponseCode::SYSTEM_ERROR);
    let from = master("10.0.0.1:10911");
    let broken = site.ask(RequestCode::REGISTER_BROKER, &from, b"{\"x").await;
    assert_eq!(broken.code(), ResponseCode::SYSTEM_ERROR);
    let packed = RegisterBroker { compressed: true, ..from.clone() };
    let broken = site.ask(RequestCode::REGISTER_BROKER, &packed, b"no zlib").await;
    assert_eq!(broken.code(), ResponseCode::SYSTEM_ERROR);
    let summed = RegisterBroker { body_crc32: Some(1.into()), ..from.clone() };
    let broken = site.ask(RequestCode::REGISTER_BROKER, &summed, b"{}").await;
    assert_eq!(broken.remark(), "crc32 not match");
    let single = site.register(&from, &topics(1, &["orders"])).await;
    assert_eq!(single.remark(), "register broker failed");

    let text = prometheus::TextEncoder::new().encode_to_string(&site.registry.gather()).unwrap();
    let count = r#"gantry_namesrv_request_seconds_count{request="REGISTER_BROKER"} 4"#;
    assert!(text.contains(count), "{text}");
    assert!(text.contains(r#"request="UNKNOWN"} 1"#), "{text}");
    site.stop().await;
}
