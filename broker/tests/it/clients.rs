//! Membership, offsets, locks and retries.

use gantry_model::{PhysicalOffset, QueueId, QueueOffset, record::Check};
use gantry_remoting::wire::{
    NoFields, RequestCode,
    body::{
        self, ConsumerConnection, ConsumerData, ConsumerIdList, HeartbeatData, LockBatch,
        LockedQueues, MessageQueue, ProducerData, SubscriptionData,
    },
    request::{
        admin::GetConsumerConnectionList,
        consume::{
            GetConsumerListByGroup, HeartbeatReply, OfQueue, OffsetReply, QueryConsumerOffset,
            SearchOffset, UnregisterClient, UpdateConsumerOffset, ViewMessage,
        },
        send::{ConsumerSendMsgBack, SendReply},
    },
};

use crate::rig::{TestBroker, TestClient, pull, pull_header, send, sent, settings};

fn heartbeat_of(client_id: &str, topics: &[&str]) -> HeartbeatData {
    let subscription = |topic: &&str| SubscriptionData {
        topic: (*topic).into(),
        sub_string: "*".into(),
        sub_version: 1,
        expression_type: "TAG".into(),
        ..SubscriptionData::default()
    };
    HeartbeatData {
        client_id: client_id.into(),
        consumer_data_set: vec![ConsumerData {
            group_name: "cg".into(),
            subscription_data_set: topics.iter().map(subscription).collect(),
            ..ConsumerData::default()
        }],
        producer_data_set: vec![ProducerData { group_name: "pg".into() }],
        ..HeartbeatData::default()
    }
}

async fn beat(client: &TestClient, data: &HeartbeatData) {
    let reply = client.call(RequestCode::HEART_BEAT, &NoFields, &body::to_fastjson(data)).await;
    let header = reply.decode::<HeartbeatReply>().unwrap();
    assert_eq!((reply.code().0, header.supports_v2), (0, Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_see_each_other_come_and_go() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let first = TestClient::connect(&broker.address).await;
    let second = TestClient::connect(&broker.address).await;
    beat(&first, &heartbeat_of("a", &["orders"])).await;
    first.asked.codes.lock().clear();
    beat(&second, &heartbeat_of("b", &["orders"])).await;
    first.was_asked(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED).await;
    let ask = GetConsumerListByGroup { consumer_group: "cg" };
    let reply = first.call(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &ask, b"").await;
    let mut list: ConsumerIdList = body::parse(&reply.body()).unwrap();
    list.consumer_id_list.sort();
    assert_eq!(list.consumer_id_list, ["a", "b"]);
    assert!(broker.running.broker().topics.get("%RETRY%cg").is_some());

    first.asked.codes.lock().clear();
    second.peer.close();
    first.was_asked(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED).await;
    let ask_connections = GetConsumerConnectionList { consumer_group: "cg" };
    let reply = first.call(RequestCode::GET_CONSUMER_CONNECTION_LIST, &ask_connections, b"").await;
    let connections: ConsumerConnection = body::parse(&reply.body()).unwrap();
    assert_eq!(connections.connection_set.len(), 1);
    assert!(connections.subscription_table.contains_key("orders"));

    let leave =
        UnregisterClient { client_id: "a", producer_group: Some("pg"), consumer_group: Some("cg") };
    assert_eq!(first.call(RequestCode::UNREGISTER_CLIENT, &leave, b"").await.code().0, 0);
    let reply = first.call(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &ask, b"").await;
    assert_eq!(reply.code().0, 1, "nobody is left");
    let reply = first.call(RequestCode::GET_CONSUMER_CONNECTION_LIST, &ask_connections, b"").await;
    assert_eq!(reply.code().0, 206);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_needs_a_subscription_and_a_new_one() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, b"x").await;
    let mut header = pull_header("orders", 0, 0, "");
    header.sys_flag = 0;
    for (version, code) in [(1, 24), (1, 0), (2, 25)] {
        header.sub_version = version;
        let reply = client.call(RequestCode::PULL_MESSAGE, &header, b"").await;
        assert_eq!(reply.code().0, code, "{}", reply.remark());
        beat(&client, &heartbeat_of("a", &["orders"])).await;
    }
    header.topic = "BenchmarkTest";
    assert_eq!(client.call(RequestCode::PULL_MESSAGE, &header, b"").await.code().0, 24);
    header.topic = "unknown";
    assert_eq!(client.call(RequestCode::PULL_MESSAGE, &header, b"").await.code().0, 17);
    broker.stop().await;
}

async fn query(client: &TestClient, topic: &str, set_zero: bool) -> (i32, Option<u64>) {
    let ask = QueryConsumerOffset {
        consumer_group: "cg",
        topic,
        queue_id: QueueId(0),
        set_zero_if_not_found: Some(set_zero),
    };
    let reply = client.call(RequestCode::QUERY_CONSUMER_OFFSET, &ask, b"").await;
    let offset = reply.decode::<OffsetReply>().ok().and_then(|reply| reply.offset.get());
    (reply.code().0, offset.map(|offset| offset.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_stored_and_a_young_queue_begins_at_0() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, b"x").await;
    assert_eq!(query(&client, "orders", false).await.0, 22);
    assert_eq!(query(&client, "orders", true).await, (0, Some(0)));
    let mut update = UpdateConsumerOffset {
        consumer_group: "cg",
        topic: "orders",
        queue_id: QueueId(0),
        commit_offset: QueueOffset(1).into(),
    };
    let code = RequestCode::UPDATE_CONSUMER_OFFSET;
    assert_eq!(client.call(code, &update, b"").await.code().0, 26, "committing makes no group");
    beat(&client, &heartbeat_of("a", &["orders"])).await;
    assert_eq!(client.call(code, &update, b"").await.code().0, 0);
    assert_eq!(query(&client, "orders", false).await, (0, Some(1)));
    update.topic = "unknown";
    assert_eq!(client.call(code, &update, b"").await.code().0, 17);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_tell_their_ends_and_times() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let before = broker.running.broker().now();
    for _ in 0..3 {
        sent(&client, "orders", 0, b"x").await;
    }
    let queue = OfQueue { topic: "orders", queue_id: QueueId(0) };
    let offset = |reply: gantry_remoting::wire::Command| {
        reply.decode::<OffsetReply>().unwrap().offset.get().unwrap().0
    };
    assert_eq!(offset(client.call(RequestCode::GET_MAX_OFFSET, &queue, b"").await), 3);
    assert_eq!(offset(client.call(RequestCode::GET_MIN_OFFSET, &queue, b"").await), 0);
    let search = |timestamp| SearchOffset {
        topic: "orders",
        queue_id: QueueId(0),
        timestamp,
        boundary: None,
    };
    let code = RequestCode::SEARCH_OFFSET_BY_TIMESTAMP;
    assert_eq!(offset(client.call(code, &search(before.into()), b"").await), 0);
    let later = before.plus(1_000_000);
    assert_eq!(offset(client.call(code, &search(later.into()), b"").await), 3);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_locked_for_one_client() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let ask = |client_id: &str| {
        body::to_fastjson(&LockBatch {
            client_id: client_id.into(),
            consumer_group: "cg".into(),
            mq_set: MessageQueue::all_of("orders", "broker-a", 2).collect(),
            only_this_broker: false,
        })
    };
    let mut held = Vec::new();
    for client_id in ["a", "b"] {
        let reply = client.call(RequestCode::LOCK_BATCH_MQ, &NoFields, &ask(client_id)).await;
        let locked: LockedQueues = body::parse(&reply.body()).unwrap();
        held.push(locked.lock_ok_mq_set.len());
    }
    assert_eq!(held, [2, 0]);
    client.call(RequestCode::UNLOCK_BATCH_MQ, &NoFields, &ask("a")).await;
    let reply = client.call(RequestCode::LOCK_BATCH_MQ, &NoFields, &ask("b")).await;
    let locked: LockedQueues = body::parse(&reply.body()).unwrap();
    assert_eq!(locked.lock_ok_mq_set.len(), 2);
    broker.stop().await;
}

async fn position_of(client: &TestClient, topic: &str, offset: u64) -> PhysicalOffset {
    let header = pull_header(topic, 0, offset, "*");
    let reply = client.call(RequestCode::PULL_MESSAGE, &header, b"").await;
    gantry_model::Record::parse(&reply.body(), Check::Crc).unwrap().position
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_back_comes_again_after_its_delay_and_then_is_a_dead_letter() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = settings(root.path());
    settings.delay_levels = "1s 2s".into();
    let broker = TestBroker::start(settings);
    let client = TestClient::connect(&broker.address).await;
    send(&client, "orders", 0, "TAGS\u{1}a\u{2}UNIQ_KEY\u{1}U", b"body").await;
    let mut back = ConsumerSendMsgBack {
        offset: position_of(&client, "orders", 0).await,
        group: "cg",
        delay_level: 1,
        origin_msg_id: None,
        origin_topic: Some("orders"),
        unit_mode: false,
        max_reconsume_times: Some(1),
    };
    let code = RequestCode::CONSUMER_SEND_MSG_BACK;
    assert_eq!(client.call(code, &back, b"").await.code().0, 0);
    let mut header = pull_header("%RETRY%cg", 0, 0, "a");
    header.sys_flag |= 2;
    header.suspend_timeout = gantry_model::Millis(15_000);
    let reply = client.call(RequestCode::PULL_MESSAGE, &header, b"").await;
    let bytes = reply.body();
    let record = gantry_model::Record::parse(&bytes, Check::Crc).unwrap();
    assert_eq!((record.body, record.reconsume_times), (b"body".as_slice(), 1));
    assert_eq!(record.properties.get("RETRY_TOPIC"), Some("orders"));
    assert_eq!(record.properties.get("UNIQ_KEY"), Some("U"));
    assert_eq!(record.properties.get("ORIGIN_MESSAGE_ID").map(str::len), Some(32));

    back.offset = record.position;
    assert_eq!(client.call(code, &back, b"").await.code().0, 0);
    let (_, _, dead) = pull(&client, "%DLQ%cg", 0, 0).await;
    assert_eq!(dead, ["body"]);
    back.offset = PhysicalOffset(7);
    assert_eq!(client.call(code, &back, b"").await.code().0, 1, "there is no message");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_viewed_by_its_id() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let reply = send(&client, "orders", 0, "", b"seen").await;
    let id: gantry_model::OffsetMessageId =
        reply.decode::<SendReply<'_>>().unwrap().msg_id.parse().unwrap();
    assert_eq!(id.host.to_string(), broker.address);
    let view = ViewMessage { topic: None, offset: id.position };
    let reply = client.call(RequestCode::VIEW_MESSAGE_BY_ID, &view, b"").await;
    assert_eq!(crate::rig::bodies(&reply.body()), ["seen"]);
    broker.stop().await;
}
