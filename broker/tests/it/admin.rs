//! Topics, groups, statistics and settings as administrators ask for them.

use gantry_model::Perm;
use gantry_remoting::wire::{
    NoFields, RequestCode,
    body::{
        self, ConsumeStats, KvTable, QueueOffsets, SubscriptionGroupConfig, TopicConfig,
        TopicConfigTable, TopicStats,
    },
    request::{
        admin::{CreateTopic, GetAllTopicConfig, GetConsumeStats, OfGroup, OfTopic},
        client::ResetOffset,
    },
};

use crate::rig::{TestBroker, TestClient, pull, pull_header, send, sent, settings};

fn create(topic: &str) -> CreateTopic<'_> {
    CreateTopic {
        topic,
        default_topic: Some("TBW102"),
        read_queue_nums: 2,
        write_queue_nums: 2,
        perm: Perm::READ_WRITE,
        topic_filter_type: Some("SINGLE_TAG"),
        topic_sys_flag: Some(0),
        order: false,
        attributes: Some("+message.type=NORMAL"),
        force: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_groups_are_on_the_disk_when_they_are_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let code = RequestCode::UPDATE_AND_CREATE_TOPIC;
    assert_eq!(client.call(code, &create("orders"), b"").await.code().0, 0);
    for (topic, refused) in [("a.b", 29), ("TBW102", 29), ("DefaultCluster", 29)] {
        assert_eq!(client.call(code, &create(topic), b"").await.code().0, refused, "{topic}");
    }
    let config = SubscriptionGroupConfig {
        group_name: "cg".into(),
        retry_max_times: 3,
        ..SubscriptionGroupConfig::default()
    };
    let code = RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP;
    let reply = client.call(code, &NoFields, &body::to_fastjson(&config)).await;
    assert_eq!(reply.code().0, 0);
    let text = std::fs::read_to_string(root.path().join("config/topics.json")).unwrap();
    assert!(text.contains("\"topicName\":\"orders\""), "{text}");
    drop(broker.running);

    let text = std::fs::read_to_string(root.path().join("config/subscriptionGroup.json")).unwrap();
    assert!(text.contains("\"groupName\":\"cg\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_groups_are_shown_and_deleted() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    client.call(RequestCode::UPDATE_AND_CREATE_TOPIC, &create("orders"), b"").await;
    sent(&client, "orders", 1, b"x").await;
    let topic = OfTopic { topic: "orders" };
    let reply = client.call(RequestCode::GET_TOPIC_CONFIG, &topic, b"").await;
    let config: TopicConfig = body::parse(&reply.body()).unwrap();
    assert_eq!((config.read_queue_nums, config.perm), (2, Perm::READ_WRITE));
    let page = GetAllTopicConfig { topic_seq: None, data_version: None, max_topic_num: None };
    let reply = client.call(RequestCode::GET_ALL_TOPIC_CONFIG, &page, b"").await;
    let all: TopicConfigTable = body::parse(&reply.body()).unwrap();
    assert_eq!(all.topic_config_table["orders"], config);
    let reply = client.call(RequestCode::GET_TOPIC_STATS_INFO, &topic, b"").await;
    let stats: TopicStats = body::parse(&reply.body()).unwrap();
    let ends: Vec<_> =
        stats.offset_table.values().map(|at| at.max_offset.get().unwrap().0).collect();
    assert_eq!(ends, [0, 1]);

    assert_eq!(client.call(RequestCode::DELETE_TOPIC_IN_BROKER, &topic, b"").await.code().0, 0);
    assert_eq!(client.call(RequestCode::GET_TOPIC_CONFIG, &topic, b"").await.code().0, 17);
    let (code, header, _) = {
        sent(&client, "orders", 1, b"again").await;
        pull(&client, "orders", 1, 0).await
    };
    assert_eq!((code, header.max_offset.0), (0, 1), "the new topic begins anew");
    let group = OfGroup { group: "unknown" };
    let reply = client.call(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &group, b"").await;
    assert_eq!(reply.code().0, 26);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_shown_and_a_reset_takes_effect_with_the_next_pull() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    for _ in 0..10 {
        sent(&client, "orders", 0, b"x").await;
    }
    let mut header = pull_header("orders", 0, 7, "*");
    header.sys_flag |= 1;
    header.commit_offset = gantry_model::QueueOffset(7).into();
    client.call(RequestCode::PULL_MESSAGE, &header, b"").await;
    let ask = GetConsumeStats { consumer_group: "cg", topic: None, topic_list: None };
    let reply = client.call(RequestCode::GET_CONSUME_STATS, &ask, b"").await;
    let stats: ConsumeStats = body::parse(&reply.body()).unwrap();
    let first = stats.offset_table.values().next().unwrap();
    let offsets = (first.broker_offset.get().unwrap().0, first.consumer_offset.get().unwrap().0);
    assert_eq!(offsets, (10, 7));
    assert!(0 < first.last_timestamp.get().unwrap().0);

    let reset = ResetOffset {
        topic: "orders",
        group: "cg",
        timestamp: gantry_model::Millis(0).into(),
        is_force: true,
        queue_id: None,
        offset: None,
    };
    let reply = client.call(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &reset, b"").await;
    let moved: QueueOffsets = body::parse(&reply.body()).unwrap();
    assert_eq!((reply.code().0, moved.offset_table.len()), (0, 4));
    let (code, header, _) = pull(&client, "orders", 0, 10).await;
    assert_eq!((code, header.next_begin_offset.0), (21, 0));
    let (code, _, bodies) = pull(&client, "orders", 0, 0).await;
    assert_eq!((code, bodies.len()), (0, 10));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_at_once_or_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, b"x").await;
    let code = RequestCode::UPDATE_BROKER_CONFIG;
    assert_eq!(client.call(code, &NoFields, b"brokerPermission=2\n").await.code().0, 0);
    assert_eq!(pull(&client, "orders", 0, 0).await.0, 16);
    assert_eq!(client.call(code, &NoFields, b"listenPort=1\n").await.code().0, 1);
    assert_eq!(client.call(code, &NoFields, b"configBlackList=x\n").await.code().0, 16);
    client.call(code, &NoFields, b"brokerPermission=6\nautoCreateTopicEnable=false\n").await;
    assert_eq!(send(&client, "unknown", 0, "", b"x").await.code().0, 17);
    let reply = client.call(RequestCode::GET_BROKER_CONFIG, &NoFields, b"").await;
    let text = String::from_utf8(reply.body().to_vec()).unwrap();
    assert!(text.contains("autoCreateTopicEnable=false\n"), "{text}");
    let reply = client.call(RequestCode::GET_BROKER_RUNTIME_INFO, &NoFields, b"").await;
    let facts: KvTable = body::parse(&reply.body()).unwrap();
    assert_eq!(facts.table["msgPutTotalTodayNow"], "1");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_serves_is_said_so_and_disturbs_nobody() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    for code in [424_242, 13, 902] {
        let reply = client.call(RequestCode(code), &NoFields, b"").await;
        assert_eq!(reply.code().0, 3);
        assert_eq!(reply.remark(), format!(" request type {code} not supported"));
    }
    let reply = client.call(RequestCode::SEND_MESSAGE_V2, &NoFields, b"").await;
    assert_eq!(reply.code().0, 1, "no field at all");
    let reply = client.call(RequestCode::HEART_BEAT, &NoFields, b"{not json").await;
    assert_eq!(reply.code().0, 1);
    sent(&client, "orders", 0, b"x").await;
    let text = prometheus::TextEncoder::new().encode_to_string(&broker.registry.gather()).unwrap();
    let line = "rocketmq_messages_in_total{cluster=\"DefaultCluster\",is_system=\"false\",message_type=\"Normal\",node_id=\"broker-a\",node_type=\"broker\",topic=\"orders\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("rocketmq_rpc_latency_count"), "{text}");
    broker.stop().await;
}
