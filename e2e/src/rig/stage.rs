//! One server with official clients for all cases of a test program, started on first use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    Call, Client, Event, Peer, Server, Setup, guardian, pause,
    wire::{Request, Wire},
};
use crate::tap::Meaning;

/// A server and its clients. Shared cases keep apart by names of topics and groups.
#[derive(Debug)]
pub struct Stage {
    server: Server,
    home: PathBuf,
    peers: [OnceLock<Peer>; 3],
}

impl Stage {
    /// Starts the server; clients start when they are first asked for.
    ///
    /// # Errors
    /// When it does not start.
    pub fn open(setup: Setup) -> anyhow::Result<Self> {
        let server = Server::start(setup)?;
        let home = tempfile::Builder::new().prefix("gantry-e2e-clients-").tempdir()?.keep();
        guardian::remove_at_end(&home);
        Ok(Self { server, home, peers: Default::default() })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server, to stop or kill it.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// A client.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn peer(&self, client: Client) -> anyhow::Result<&Peer> {
        let slot = match client {
            Client::Java55 => &self.peers[0],
            Client::Java49 => &self.peers[1],
            Client::Go => &self.peers[2],
        };
        if let Some(peer) = slot.get() {
            return Ok(peer);
        }
        // Two cases may start one at the same time; the second copy ends at once.
        let started = Peer::start(client, self.server.namesrv(), &self.home)?;
        Ok(slot.get_or_init(|| started))
    }

    /// Creates a topic as a client of that kind does it.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn topic(&self, client: Client, name: &str, queues: u32) -> anyhow::Result<String> {
        let topic = format!("{name}-{}", client.word());
        let broker = self.server.broker().to_string();
        self.peer(client)?
            .call("createTopic", json!({"topic": topic, "queues": queues, "brokerAddr": broker}))?;
        Ok(topic)
    }

    /// Waits until a group has committed as far as `events` go, in each of their queues. Clients commit at intervals,
    /// and some don't when they stop.
    ///
    /// # Errors
    /// When they don't within their interval.
    pub fn committed(&self, topic: &str, group: &str, events: &[Event]) -> anyhow::Result<()> {
        let mut ends: BTreeMap<i64, i64> = BTreeMap::new();
        for ((queue, offset), _) in places(events)? {
            ends.insert(queue, offset + 1);
        }
        let mut wire = Wire::connect(self.server.broker())?;
        let give_up = Instant::now() + Duration::from_secs(20);
        for (queue, end) in ends {
            let fields =
                json!({"consumerGroup": group, "topic": topic, "queueId": queue.to_string()});
            let request = Request::new(14, fields);
            while offset(&wire.ask(&request)?) != Some(end) {
                ensure!(Instant::now() < give_up, "queue {queue}: {end} is not committed");
                pause(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The guardian tries again.
        fs::remove_dir_all(&self.home).unwrap_or_default();
    }
}

fn offset(reply: &Meaning) -> Option<i64> {
    reply.ext_fields.get("offset")?.as_str()?.parse().ok()
}

/// Sends, and expects every message to be acknowledged as stored.
///
/// # Errors
/// When one is not.
pub fn produce(peer: &Peer, arguments: Value) -> anyhow::Result<Vec<Event>> {
    let events = peer.call("produce", arguments)?;
    for event in &events {
        ensure!(event.name() == "sent", "not acknowledged: {}", event.0);
        ensure!(event.text("status") == "SEND_OK", "acknowledged with a but: {}", event.0);
    }
    Ok(events)
}

/// Starts a consumer that stays until `stop`.
///
/// # Errors
/// When it does not start.
pub fn consume(peer: &Peer, arguments: Value) -> anyhow::Result<Call> {
    peer.begin("consume", arguments)
}

/// The keys of events, sorted; a key that came twice is there twice.
#[must_use]
pub fn keys(events: &[Event]) -> Vec<String> {
    let mut keys: Vec<String> = events.iter().map(|event| event.text("key").to_owned()).collect();
    keys.sort();
    keys
}

/// Which key is where: every event's queue and offset, which must be its own.
///
/// # Errors
/// When two events claim one place.
pub fn places(events: &[Event]) -> anyhow::Result<BTreeMap<(i64, i64), String>> {
    let mut places = BTreeMap::new();
    for event in events {
        let place = (event.number("queueId"), event.number("queueOffset"));
        let before = places.insert(place, event.text("key").to_owned());
        ensure!(before.is_none(), "{place:?} has {before:?} and {}", event.0);
    }
    Ok(places)
}

/// Expects the offsets of each queue to be 0, 1, 2 and so on, and gives the queues.
///
/// # Errors
/// When one is missing or twice there.
pub fn whole_queues(events: &[Event]) -> anyhow::Result<BTreeSet<i64>> {
    let places = places(events)?;
    let queues: BTreeSet<i64> = places.keys().map(|(queue, _)| *queue).collect();
    for queue in &queues {
        let offsets: Vec<i64> =
            places.range((*queue, 0)..=(*queue, i64::MAX)).map(|((_, o), _)| *o).collect();
        let last = *offsets.last().context("a queue without offsets")?;
        ensure!(
            offsets.len() == usize::try_from(last)? + 1,
            "queue {queue} has holes: {offsets:?}"
        );
    }
    Ok(queues)
}
