//! Messages in and out, over real sockets.

use crate::rig::{
    TestBroker, TestClient, pull, pull_header, pulled, send, send_header, sent, settings,
};
use gantry_broker::{Settings, config::FlushDisk};
use gantry_model::{Millis, QueueOffset, properties::Properties, record::BatchElement};
use gantry_remoting::wire::{RequestCode, request::send::SendReply};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_pulled() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    for n in 0..40_u64 {
        let offset = sent(&client, "orders", 1, format!("m{n}").as_bytes()).await;
        assert_eq!(offset, QueueOffset(n));
    }
    let (code, header, bodies) = pull(&client, "orders", 1, 0).await;
    assert_eq!((code, header.next_begin_offset, bodies.len()), (0, QueueOffset(32), 32));
    let (code, header, bodies) = pull(&client, "orders", 1, 32).await;
    assert_eq!((code, header.next_begin_offset, bodies.len()), (0, QueueOffset(40), 8));
    assert_eq!((bodies.last().unwrap().as_str(), header.max_offset), ("m39", QueueOffset(40)));
    for (offset, expected) in [(40, (19, 40)), (41, (21, 40))] {
        let (code, header, _) = pull(&client, "orders", 1, offset).await;
        assert_eq!((code, header.next_begin_offset.0), expected);
    }
    let (code, header, _) = pull(&client, "orders", 3, 7).await;
    assert_eq!((code, header.next_begin_offset.0), (21, 0), "an empty queue");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_send_has_all_fields() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let reply = send(&client, "orders", 2, "UNIQ_KEY\u{1}ABC\u{2}TAGS\u{1}a", b"x").await;
    let header = reply.decode::<SendReply<'_>>().unwrap();
    assert_eq!(header.transaction_id, Some("ABC"));
    assert_eq!((header.queue_id.0, header.msg_id.len()), (2, 32));
    assert_eq!((header.region, header.trace_on), (Some("DefaultRegion"), Some(true)));
    let reply = send(&client, "orders", -1, "", b"x").await;
    let header = reply.decode::<SendReply<'_>>().unwrap();
    assert_eq!(header.transaction_id.map(str::len), Some(32), "an id is made up");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_are_refused_with_javas_codes() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(Settings {
        auto_create_topic: false,
        max_message: 10,
        ..settings(root.path())
    });
    let client = TestClient::connect(&broker.address).await;
    for (topic, queue, properties, body, code) in [
        ("unknown", 0, "", "x", 17),
        ("bad.name", 0, "", "x", 29),
        ("SCHEDULE_TOPIC_XXXX", 0, "", "x", 16),
        ("BenchmarkTest", 1024, "", "x", 29),
        ("BenchmarkTest", 0, "", "12345678901", 13),
        ("BenchmarkTest", 0, "TRAN_MSG\u{1}true", "x", 16),
        ("BenchmarkTest", 0, "TIMER_DELAY_SEC\u{1}5", "x", 1),
        ("BenchmarkTest", 0, "", "1234567890", 0),
    ] {
        let reply = send(&client, topic, queue, properties, body.as_bytes()).await;
        assert_eq!(reply.code().0, code, "{topic}: {}", reply.remark());
    }
    let long = format!("k\u{1}{}", "v".repeat(32_800));
    assert_eq!(send(&client, "BenchmarkTest", 0, &long, b"x").await.code().0, 13);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_becomes_messages_in_a_row() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let mut body = Vec::new();
    for text in ["one", "two", "three"] {
        let properties = Properties::new(b"TAGS\x01a\x02");
        let element = BatchElement { flag: 0, body: text.as_bytes(), properties };
        gantry_model::record::encode_batch_element(&mut body, &element).unwrap();
    }
    let mut header = send_header("orders", 0, "");
    header.batch = true;
    let reply = client.call(RequestCode::SEND_BATCH_MESSAGE, &header, &body).await;
    let answer = reply.decode::<SendReply<'_>>().unwrap();
    assert_eq!(answer.msg_id.split(',').count(), 3);
    let (_, _, bodies) = pull(&client, "orders", 0, 0).await;
    assert_eq!(bodies, ["one", "two", "three"]);
    body.truncate(body.len() - 1);
    let reply = client.call(RequestCode::SEND_BATCH_MESSAGE, &header, &body).await;
    assert_eq!(reply.code().0, 13, "a batch that is cut off stores nothing");
    let (_, header, _) = pull(&client, "orders", 0, 0).await;
    assert_eq!(header.max_offset, QueueOffset(3));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_gets_the_message_that_it_waits_for() {
    let root = tempfile::tempdir().unwrap();
    for flush in [FlushDisk::Async, FlushDisk::Sync] {
        let broker = TestBroker::start(Settings { flush, ..settings(root.path()) });
        let consumer = TestClient::connect(&broker.address).await;
        let producer = TestClient::connect(&broker.address).await;
        let from = sent(&producer, "orders", 0, b"before").await.0 + 1;
        let mut header = pull_header("orders", 0, from, "wanted");
        header.sys_flag |= 2;
        header.suspend_timeout = Millis(15_000);
        let waiting = consumer.call(RequestCode::PULL_MESSAGE, &header, b"");
        let sending = async {
            broker.parked().await;
            send(&producer, "orders", 0, "TAGS\u{1}other", b"no").await;
            send(&producer, "orders", 0, "TAGS\u{1}wanted", b"yes").await;
        };
        let (reply, ()) = tokio::join!(waiting, sending);
        let (code, reply, bodies) = pulled(&reply);
        assert_eq!((code, reply.next_begin_offset.0, bodies), (0, from + 2, vec!["yes".into()]));
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_waits_no_longer_than_it_asks_for() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, b"x").await;
    let mut header = pull_header("orders", 0, 1, "*");
    header.sys_flag |= 2;
    header.suspend_timeout = Millis(50);
    let (code, reply, _) = pulled(&client.call(RequestCode::PULL_MESSAGE, &header, b"").await);
    assert_eq!((code, reply.next_begin_offset.0, reply.max_offset.0), (19, 1, 1));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_are_released_when_the_broker_stops() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, b"x").await;
    let mut header = pull_header("orders", 0, 1, "*");
    header.sys_flag |= 2;
    header.suspend_timeout = Millis(60_000);
    let waiting = client.call(RequestCode::PULL_MESSAGE, &header, b"");
    let stopping = async {
        broker.parked().await;
        broker.stop().await;
    };
    let (reply, ()) = tokio::join!(waiting, stopping);
    assert_eq!(reply.code().0, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_messages_topics_and_offsets() {
    let root = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    for n in 0..100_u32 {
        sent(&client, "orders", n % 4, format!("m{n}").as_bytes()).await;
    }
    let mut header = pull_header("orders", 2, 25, "*");
    header.sys_flag |= 1;
    header.commit_offset = QueueOffset(13).into();
    client.call(RequestCode::PULL_MESSAGE, &header, b"").await;
    broker.stop().await;

    let broker = TestBroker::start(settings(root.path()));
    let client = TestClient::connect(&broker.address).await;
    let (code, header, bodies) = pull(&client, "orders", 2, 0).await;
    assert_eq!((code, header.max_offset.0, bodies[24].as_str()), (0, 25, "m98"));
    let offsets = &broker.running.broker().offsets;
    let position = offsets.position("cg", "orders", gantry_model::QueueId(2));
    assert_eq!(position.committed, Some(QueueOffset(13)));
    assert_eq!(sent(&client, "orders", 2, b"next").await, QueueOffset(25));
    broker.stop().await;
}
