//! A broker in this process, and a client that speaks the protocol to it over real sockets.
use std::{path::Path, sync::Arc, time::Duration};

use gantry_broker::{Running, Settings, start_on};
use gantry_chassis::{Health, Tasks};
use gantry_model::{Millis, QueueId, QueueOffset};
use gantry_remoting::{
    net::{Limits, Peer, Pool, Service},
    wire::{
        Body, Command, Frames, Header, MaybeNegative, Replies, RequestCode,
        request::{
            consume::{PullMessage, PullReply},
            send::{SendMessageV2, SendReply},
        },
    },
};
use gantry_store::disk::{Disk, real::RealDisk};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Settings for a broker on a free port, with small files.
pub(crate) fn settings(root: &Path) -> Settings {
    Settings {
        root: root.display().to_string(),
        bind: "127.0.0.1".into(),
        ip: "127.0.0.1".into(),
        port: 0,
        commit_log_size: 1 << 20,
        consume_queue_size: 20 * 1000,
        ..Settings::default()
    }
}

/// A broker that runs.
pub(crate) struct TestBroker {
    pub(crate) running: Running,
    /// Keeps the tasks of the broker.
    _tasks: Tasks,
    pub(crate) registry: Registry,
    pub(crate) address: String,
}

impl TestBroker {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::start_on(Arc::new(RealDisk), settings)
    }

    pub(crate) fn start_on(disk: Arc<dyn Disk>, settings: Settings) -> Self {
        let (tasks, registry) = (Tasks::new("test"), Registry::new());
        let running = start_on(disk, settings, &tasks, &registry, &Health::new()).unwrap();
        let address = running.address().unwrap().to_string();
        Self { running, _tasks: tasks, registry, address }
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown().await;
    }

    /// Waits until a pull is parked.
    pub(crate) async fn parked(&self) {
        while self.running.broker().parked.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// What a client was asked by the broker.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) codes: Mutex<Vec<i32>>,
    pub(crate) notify: tokio::sync::Notify,
}

impl Service for Asked {
    type Session = ();

    fn open(&self, _: &Peer) {}

    fn batch(&self, (): &mut (), frames: &Frames, out: &mut Replies) {
        for frame in frames.requests() {
            self.codes.lock().push(frame.code());
            out.ok(frame.reply_to());
        }
        self.notify.notify_waiters();
    }

    fn close(&self, (): (), _: &Peer) {}
}

/// A client with one connection.
pub(crate) struct TestClient {
    pub(crate) peer: Peer,
    pub(crate) asked: Arc<Asked>,
    /// Ends the connection with the client.
    _stop: tokio_util::sync::DropGuard,
}

impl TestClient {
    pub(crate) async fn connect(address: &str) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let asked = Arc::new(Asked::default());
        let pool = Pool::new(Arc::clone(&asked), Limits::default(), TIMEOUT, (&tasks, &stop));
        let peer = pool.connection(address).await.unwrap();
        Self { peer, asked, _stop: stop.drop_guard() }
    }

    pub(crate) async fn call<'h, H: Header<'h>>(
        &self,
        code: RequestCode,
        header: &H,
        body: &[u8],
    ) -> Command {
        self.peer.request(code, header, Body::Copied(body), TIMEOUT).await.unwrap()
    }

    /// Waits until the broker has asked this.
    pub(crate) async fn was_asked(&self, code: RequestCode) {
        let wait = async {
            let mut notified = self.asked.notify.notified();
            while !self.asked.codes.lock().contains(&code.0) {
                notified.await;
                notified = self.asked.notify.notified();
            }
        };
        tokio::time::timeout(TIMEOUT, wait).await.expect("the broker did not ask");
    }
}

/// A send as a Java producer does it.
pub(crate) fn send_header<'a>(
    topic: &'a str,
    queue: i64,
    properties: &'a str,
) -> SendMessageV2<'a> {
    SendMessageV2 {
        producer_group: "pg",
        topic,
        default_topic: Some("TBW102"),
        default_topic_queue_nums: Some(4),
        queue_id: match u32::try_from(queue) {
            Ok(queue) => MaybeNegative::Of(QueueId(queue)),
            Err(_) => MaybeNegative::Negative(queue),
        },
        sys_flag: 0,
        born_timestamp: Millis(1_700_000_000_000),
        flag: 0,
        properties: Some(properties),
        reconsume_times: None,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}

pub(crate) async fn send(
    client: &TestClient,
    topic: &str,
    queue: i64,
    properties: &str,
    body: &[u8],
) -> Command {
    let header = send_header(topic, queue, properties);
    client.call(RequestCode::SEND_MESSAGE_V2, &header, body).await
}

/// Sends and expects success; the offset in the queue.
pub(crate) async fn sent(client: &TestClient, topic: &str, queue: u32, body: &[u8]) -> QueueOffset {
    let reply = send(client, topic, i64::from(queue), "", body).await;
    assert_eq!(reply.code().0, 0, "{}", reply.remark());
    reply.decode::<SendReply<'_>>().unwrap().queue_offset
}

/// A pull that brings its own subscription.
pub(crate) fn pull_header<'a>(
    topic: &'a str,
    queue: u32,
    offset: u64,
    expression: &'a str,
) -> PullMessage<'a> {
    PullMessage {
        consumer_group: "cg",
        topic,
        queue_id: QueueId(queue),
        queue_offset: QueueOffset(offset).into(),
        max_msg_nums: 32,
        sys_flag: 4,
        commit_offset: QueueOffset::ZERO.into(),
        suspend_timeout: Millis(0),
        subscription: Some(expression),
        sub_version: 0,
        expression_type: None,
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
    }
}

/// The answer to a pull: code, reply header, and the bodies of its messages.
pub(crate) fn pulled(reply: &Command) -> (i32, PullReply, Vec<String>) {
    let header = reply.decode::<PullReply>().unwrap();
    (reply.code().0, header, bodies(&reply.body()))
}

pub(crate) fn bodies(mut bytes: &[u8]) -> Vec<String> {
    let mut bodies = Vec::new();
    while !bytes.is_empty() {
        let record = gantry_model::Record::parse(bytes, gantry_model::record::Check::Crc).unwrap();
        bodies.push(String::from_utf8(record.body.to_vec()).unwrap());
        bytes = &bytes[record.len..];
    }
    bodies
}

pub(crate) async fn pull(
    client: &TestClient,
    topic: &str,
    queue: u32,
    offset: u64,
) -> (i32, PullReply, Vec<String>) {
    let header = pull_header(topic, queue, offset, "*");
    pulled(&client.call(RequestCode::PULL_MESSAGE, &header, b"").await)
}
