//! Registration with NameServers.

use std::sync::Arc;

use gantry_remoting::{
    net::{Limits, Peer, Server, Service, bind},
    wire::{
        Frames, Replies, RequestCode,
        body::{Form, RegisterBrokerBody},
        request::namesrv::RegisterBroker,
    },
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::rig::{TIMEOUT, TestBroker, TestClient, sent, settings};

/// What a NameServer was told.
#[derive(Default)]
struct Told {
    topics: Mutex<Vec<String>>,
    brokers: Mutex<Vec<String>>,
    left: Mutex<usize>,
    changed: Notify,
}

impl Service for Told {
    type Session = ();

    fn open(&self, _: &Peer) {}

    fn batch(&self, (): &mut (), frames: &Frames, out: &mut Replies) {
        for frame in frames.requests() {
            if frame.code() == RequestCode::REGISTER_BROKER.0 {
                let header = frame.decode::<RegisterBroker<'_>>().unwrap();
                let body = RegisterBrokerBody::read(frame.body(), Form::Plain).unwrap();
                self.brokers.lock().push(header.broker_addr.to_owned());
                let table = body.topic_config_serialize_wrapper.topic_config_table;
                *self.topics.lock() = table.into_keys().collect();
            } else {
                *self.left.lock() += 1;
            }
            out.ok(frame.reply_to());
        }
        self.changed.notify_waiters();
    }

    fn close(&self, (): (), _: &Peer) {}
}

impl Told {
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            let mut changed = self.changed.notified();
            while !holds(self) {
                changed.await;
                changed = self.changed.notified();
            }
        };
        tokio::time::timeout(TIMEOUT, wait).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_server_knows_the_broker_and_its_new_topics_and_that_it_left() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let mut told = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let service = Arc::new(Told::default());
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server =
            Server::start(listener, Arc::clone(&service), Limits::default(), (&tasks, &stop));
        addresses.push(server.unwrap().local_addr().to_string());
        told.push(service);
    }
    let root = tempfile::tempdir().unwrap();
    let mut settings = settings(root.path());
    settings.namesrv = addresses.join(";");
    let broker = TestBroker::start(settings);
    for told in &told {
        told.until(|told| told.topics.lock().contains(&"TBW102".to_owned())).await;
        assert_eq!(told.brokers.lock().first(), Some(&broker.address));
    }
    let client = TestClient::connect(&broker.address).await;
    sent(&client, "orders", 0, b"x").await;
    for told in &told {
        told.until(|told| told.topics.lock().contains(&"orders".to_owned())).await;
    }
    broker.stop().await;
    for told in &told {
        assert_eq!(*told.left.lock(), 1);
    }
    stop.cancel();
}
