//! `gantry standalone` as a person uses it: start, look around with the other commands, send, consume,
//! stop, start again.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the functions that tests share fail the test where they stand"
)]

use std::{path::Path, process::Stdio, time::Duration};

use gantry_chassis::Tasks;
use gantry_client::{Client, Consumer, Group, Message, Producer, Settings, Topic, Wanted};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn gantry() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gantry"));
    command.env_remove("NAMESRV_ADDR").env_remove("RUST_LOG").kill_on_drop(true);
    command
}

/// A server that runs, by the address of its NameServer.
struct Running {
    process: Child,
    namesrv: String,
}

impl Running {
    async fn start(data: &Path) -> Self {
        let ports = ["--namesrv-port", "0", "--broker-port", "0", "--admin-port", "0"];
        let mut process = gantry()
            .arg("standalone")
            .args(ports)
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let two = async { (lines.next_line().await.unwrap(), lines.next_line().await.unwrap()) };
        let (ready, how) = timeout(PATIENCE, two).await.expect("not ready in time");
        let ready = ready.expect("it ended without a word");
        assert_eq!(how.as_deref(), Some("Press Ctrl-C to stop."));
        let (_, rest) = ready.split_once("NameServer ").expect(&ready);
        let (namesrv, _) = rest.split_once(',').expect(&ready);
        Self { process, namesrv: namesrv.to_owned() }
    }

    /// What a command answers, and whether it succeeded.
    async fn ask(&self, words: &[&str]) -> (bool, String) {
        let output = gantry().args(words).args(["-n", &self.namesrv]).output();
        let output = timeout(PATIENCE, output).await.expect("no answer in time").unwrap();
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    async fn json(&self, words: &[&str]) -> Value {
        let (done, text) = self.ask(&[words, &["-o", "json"]].concat()).await;
        assert!(done, "{words:?}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn stop(mut self) {
        let pid = Pid::from_raw(self.process.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let ended = timeout(PATIENCE, self.process.wait()).await.expect("did not stop in time");
        assert!(ended.unwrap().success());
    }
}

#[tokio::test]
async fn a_developer_sends_and_consumes_and_finds_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Running::start(&data).await;
    let (done, text) = server.ask(&["topic", "create", "orders", "--queues", "2"]).await;
    assert!(done, "{text}");
    assert_eq!(text, "Topic orders has 2 queues on the broker of DefaultCluster.\n");
    let clusters = server.json(&["cluster", "list"]).await;
    assert_eq!(clusters[0]["cluster"], "DefaultCluster");

    let id = exchange(&server.namesrv).await;
    let view = server.json(&["message", "view", &id]).await;
    assert_eq!((&view["topic"], &view["body"]), (&"orders".into(), &"hello".into()));
    let queues = server.json(&["topic", "stats", "orders"]).await;
    let total: u64 =
        queues.as_array().unwrap().iter().map(|q| q["messages"].as_u64().unwrap()).sum();
    assert_eq!(total, 1);
    let lag = server.json(&["group", "lag", "clerks"]).await;
    let behind: u64 = lag.as_array().unwrap().iter().map(|q| q["lag"].as_u64().unwrap()).sum();
    assert_eq!(behind, 0, "{lag}");
    server.stop().await;

    let again = Running::start(&data).await;
    let topics = again.json(&["topic", "list"]).await;
    assert_eq!(topics[0]["topic"], "orders");
    assert_eq!(again.json(&["topic", "stats", "orders"]).await, queues);
    let (done, text) = again.ask(&["topic", "delete", "orders"]).await;
    assert!(!done && text.contains("--yes"), "{text}");
    let (done, text) = again.ask(&["topic", "delete", "orders", "--yes"]).await;
    assert!(done, "{text}");
    assert_eq!(again.json(&["topic", "list"]).await, Value::Array(vec![]));
    again.stop().await;
}

/// Sends one message, consumes and commits it; its offset id.
async fn exchange(namesrv: &str) -> String {
    let tasks = Tasks::new("test");
    let client = Client::new(Settings::new(namesrv), tasks.tracker(), tasks.token());
    let (topic, group) = (Topic::new("orders").unwrap(), Group::new("clerks").unwrap());
    let producer = Producer::new(&client, Group::new("shop").unwrap());
    producer.send(&Message::new(topic.clone(), "hello")).await.unwrap();

    let consumer = Consumer::new(&client, group);
    let mut found = None;
    for queue in consumer.queues(&topic).await.unwrap() {
        let from = gantry_client::QueueOffset::ZERO;
        let pulled = consumer.pull(&queue, from, &Wanted::default()).await.unwrap();
        consumer.commit(&queue, pulled.next).await.unwrap();
        let id = pulled.messages.first().map(|message| message.offset_id().to_string());
        found = found.or(id);
    }
    tasks.shutdown(PATIENCE).await.unwrap();
    found.expect("the message was not found")
}

#[tokio::test]
async fn a_mistake_is_one_sentence() {
    let output = gantry().args(["topic", "list", "-n", "127.0.0.1:1"]).output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.starts_with("gantry: 127.0.0.1:1"), "{text}");
    let output = gantry().args(["topic", "create", "a.b"]).output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("illegal characters"), "{text}");
}
