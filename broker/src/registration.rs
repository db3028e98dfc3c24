//! Keeps this broker known to every NameServer.
//!
//! `namesrvAddr` is a list of names; every address behind each is a NameServer of its own, and addresses
//! come and go (a headless Service of Kubernetes). So the names are resolved anew every
//! [`RESOLVE_EVERY`]; an address that is new is registered with at once, all of them on each change of a
//! topic and every `registerNameServerPeriod`. One NameServer that hangs does not delay the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use gantry_model::{BrokerId, Millis};
use gantry_remoting::{
    net::{CallError, NoRequests, Pool, resolve},
    wire::{
        Body, RequestCode, ResponseCode,
        body::{Form, RegisterBrokerBody, RegisteredTopics},
        request::namesrv::{OfBroker, RegisterBroker},
    },
};
use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;

/// How often the names are resolved.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// After a failure the next attempt comes so soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Changes of topics that come faster are registered together.
const GATHER: Duration = Duration::from_millis(5);
/// How long unregistering may take, for each NameServer.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);
/// Bounds of `registerNameServerPeriod`, as in Java.
const PERIOD: std::ops::RangeInclusive<u64> = 10_000..=60_000;

/// Which generation of the topics the NameServers have been told of.
#[derive(Debug, Default)]
pub struct Announced {
    generation: Mutex<u64>,
    moved: Condvar,
}

impl Announced {
    /// Each NameServer has been told of this generation, or could not be.
    fn reached(&self, generation: u64) {
        *self.generation.lock() = generation;
        self.moved.notify_all();
    }

    /// Waits for a generation to be told, or for so long. Blocks its thread.
    pub fn wait(&self, generation: u64, limit: Duration) {
        let mut told = self.generation.lock();
        // Too late is no failure: the NameServers are told again until they know.
        let _late = self.moved.wait_while_for(&mut told, |told| *told < generation, limit);
    }
}

/// Registers with NameServers.
pub struct Registration {
    broker: Arc<Broker>,
    pool: Pool<NoRequests>,
    /// NameServers that know the topics of `generation`, and since when.
    known: BTreeMap<SocketAddr, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    generation: u64,
    since: Instant,
}

/// The names of `namesrvAddr`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|name| !name.is_empty())
}

/// Whether a NameServer is to be registered with now.
fn is_due(known: Option<Known>, generation: u64, now: Instant, period: Duration) -> bool {
    known.is_none_or(|known| known.generation != generation || period <= now - known.since)
}

impl Registration {
    /// A broker that is known nowhere yet.
    #[must_use]
    pub fn new(broker: Arc<Broker>, pool: Pool<NoRequests>) -> Self {
        Self { broker, pool, known: BTreeMap::new() }
    }

    /// Registers until it is to stop.
    pub async fn run(&mut self, stop: &CancellationToken) {
        let broker = Arc::clone(&self.broker);
        loop {
            // Made before the round: a change during the round is not missed.
            let changed = broker.topics.changed.notified();
            let generation = broker.topics.generation();
            let Some(all_well) = stop.run_until_cancelled(self.round()).await else { return };
            broker.announced.reached(generation);
            let sleep = if all_well { RESOLVE_EVERY } else { RETRY_AFTER };
            let changed = tokio::time::timeout(sleep, changed);
            match stop.run_until_cancelled(changed).await {
                Some(Ok(())) => tokio::time::sleep(GATHER).await,
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    /// Registers wherever it is due. Says whether all went well.
    async fn round(&mut self) -> bool {
        let settings = self.broker.settings.load_full();
        let (addresses, resolved) = addresses(&settings.namesrv).await;
        self.known.retain(|address, _| addresses.contains(address));
        let generation = self.broker.topics.generation();
        let period = settings.register_period.clamp(*PERIOD.start(), *PERIOD.end());
        let (now, period) = (Instant::now(), Duration::from_millis(period));
        let due: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|address| is_due(self.known.get(address).copied(), generation, now, period))
            .collect();
        if due.is_empty() {
            return resolved;
        }
        let body = body(&self.broker);
        let results = join_all(due.iter().map(|address| self.register(*address, &body))).await;
        let mut all_well = resolved;
        for (address, result) in due.into_iter().zip(results) {
            match result {
                Ok(()) => self.registered(address, Known { generation, since: now }),
                Err(error) => {
                    all_well = false;
                    self.known.remove(&address);
                    tracing::warn!(%address, error, "cannot register with the name server");
                }
            }
        }
        all_well
    }

    fn registered(&mut self, address: SocketAddr, known: Known) {
        if self.known.insert(address, known).is_none() {
            tracing::info!(%address, "registered with the name server");
        }
    }

    async fn register(&self, address: SocketAddr, body: &[u8]) -> Result<(), String> {
        let fixed = &self.broker.fixed;
        let (broker_addr, ha) = (self.broker.address(), self.broker.ha_address());
        let header = RegisterBroker {
            broker_name: &fixed.name,
            broker_addr: &broker_addr,
            cluster_name: &fixed.cluster,
            ha_server_addr: Some(&ha),
            broker_id: BrokerId(fixed.id),
            heartbeat_timeout: Some(Millis(120_000)),
            enable_acting_master: None,
            compressed: false,
            body_crc32: Some(crc(body).into()),
            epoch: None,
            zone: None,
        };
        let request = (RequestCode::REGISTER_BROKER, &header, Body::Copied(body));
        let timeout = Duration::from_millis(fixed.register_timeout);
        let answer = self.pool.request(&address.to_string(), request, timeout).await;
        said(answer)
    }

    /// Tells all NameServers that this broker leaves.
    pub async fn unregister(self) {
        let fixed = &self.broker.fixed;
        let broker_addr = self.broker.address();
        let header = OfBroker {
            broker_name: &fixed.name,
            broker_addr: &broker_addr,
            cluster_name: &fixed.cluster,
            broker_id: BrokerId(fixed.id),
            epoch: None,
        };
        let (pool, header) = (&self.pool, &header);
        let calls = self.known.keys().map(async |address| {
            let request = (RequestCode::UNREGISTER_BROKER, header, Body::Empty);
            let answer = pool.request(&address.to_string(), request, UNREGISTER_TIMEOUT).await;
            if let Err(error) = said(answer) {
                // It will find out by the closed connection.
                tracing::warn!(%address, error, "cannot unregister from the name server");
            }
        });
        join_all(calls).await;
    }
}

fn said(answer: Result<gantry_remoting::wire::Command, CallError>) -> Result<(), String> {
    match answer {
        Ok(answer) if answer.code() == ResponseCode::SUCCESS => Ok(()),
        Ok(answer) => Err(format!("{:?} {}", answer.code(), answer.remark())),
        Err(error) => Err(error.to_string()),
    }
}

fn crc(body: &[u8]) -> u32 {
    gantry_model::record::body_crc(body)
}

/// All addresses behind the names, and whether every name could be resolved.
async fn addresses(text: &str) -> (BTreeSet<SocketAddr>, bool) {
    let mut all = BTreeSet::new();
    let mut resolved = true;
    for name in names(text) {
        match resolve(name).await {
            Ok(found) => all.extend(found),
            Err(error) => {
                resolved = false;
                tracing::warn!(name, %error, "name server cannot be found");
            }
        }
    }
    (all, resolved)
}

/// The topics, each with no more than what the broker as a whole allows.
fn body(broker: &Broker) -> Vec<u8> {
    let allowed = broker.settings.load().permission.0;
    let snapshot = broker.topics.snapshot();
    let topics = snapshot.topics.iter().map(|config| {
        let mut config = config.as_ref().clone();
        if !allowed.allows(gantry_model::Perm::READ_WRITE) {
            config.perm = config.perm.and(allowed);
        }
        (config.topic_name.clone(), config)
    });
    let body = RegisterBrokerBody {
        filter_server_list: Vec::new(),
        topic_config_serialize_wrapper: RegisteredTopics {
            data_version: snapshot.version,
            topic_config_table: topics.collect(),
            ..RegisteredTopics::default()
        },
    };
    body.write(Form::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_generation_is_let_go_by_it_or_a_later_one() {
        let announced = Announced::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| announced.wait(7, Duration::from_secs(60)));
            announced.reached(6);
            announced.reached(8);
            assert!(waiting.join().is_ok());
        });
        announced.wait(9, Duration::from_millis(1));
    }

    #[tokio::test]
    async fn registering_is_due_at_first_at_a_change_and_after_the_period() {
        let now = Instant::now();
        let period = Duration::from_secs(30);
        let known = |generation| Some(Known { generation, since: now });
        assert!(is_due(None, 1, now, period));
        assert!(!is_due(known(1), 1, now, period));
        assert!(is_due(known(1), 2, now, period));
        assert!(is_due(known(1), 1, now + period, period));
    }

    #[tokio::test]
    async fn every_address_counts_once() {
        let (all, resolved) = addresses(" 127.0.0.1:9876; 127.0.0.1:9876;127.0.0.1:9877;").await;
        assert_eq!((all.len(), resolved), (2, true));
        let (all, resolved) = addresses("127.0.0.1:9876;no-port").await;
        assert_eq!((all.len(), resolved), (1, false));
    }
}
