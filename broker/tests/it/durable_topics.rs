//! No message is acknowledged before its topic is sure to be known after a crash.

use std::fs;

use crate::rig::{TestBroker, TestClient, send, sent, settings};
use gantry_broker::{Settings, config::FlushDisk};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_in_its_file_when_the_send_that_made_it_is_answered() {
    for flush in [FlushDisk::Async, FlushDisk::Sync] {
        let root = tempfile::tempdir().unwrap();
        let broker = TestBroker::start(Settings { flush, ..settings(root.path()) });
        let client = TestClient::connect(&broker.address).await;
        for n in 0..20 {
            let topic = format!("fresh-{n}");
            sent(&client, &topic, 0, b"x").await;
            let file = fs::read_to_string(root.path().join("config/topics.json")).unwrap();
            assert!(file.contains(&format!("\"{topic}\"")), "{topic} was acknowledged before");
        }
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_saved_gets_no_success_and_others_go_on() {
    let root = tempfile::tempdir().unwrap();
    // Where the file is to be made there is a directory.
    let obstacle = root.path().join("config/topics.json.tmp");
    fs::create_dir_all(&obstacle).unwrap();
    let broker = TestBroker::start(settings(root.path()));
    let one = TestClient::connect(&broker.address).await;
    let other = TestClient::connect(&broker.address).await;
    for client in [&one, &other, &one] {
        assert_eq!(send(client, "fresh", 0, "", b"x").await.code().0, 10, "stored, but not sure");
        let delayed = send(client, "fresh", 0, "DELAY\u{1}1\u{2}", b"x").await;
        assert_eq!(delayed.code().0, 10, "the topic of a delayed message is as unsure");
        sent(client, "BenchmarkTest", 0, b"x").await;
    }
    fs::remove_dir(&obstacle).unwrap();
    sent(&one, "fresher", 0, b"x").await;
    // The file has both now.
    sent(&other, "fresh", 0, b"x").await;
    let file = fs::read_to_string(root.path().join("config/topics.json")).unwrap();
    assert!(file.contains("\"fresh\"") && file.contains("\"fresher\""));
    broker.stop().await;
}
