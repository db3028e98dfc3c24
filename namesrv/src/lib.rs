//! The NameServer: who has which queues, and where.
//!
//! # Map
//! `routes` decides: pure tables, time as an argument. `service` takes requests from connections and
//! hands each to a function of `handle`, which asks the tables and writes the answer with `body`.
//! `cache` keeps encoded routes. What takes time is a task's: `keeper` writes files, `watch` removes
//! silent brokers and tells others.
//!
//! # Architecture invariants
//! No handler waits. The tables are this process's own: NameServers know nothing of each other, and
//! brokers register with each. Only the key-value configuration and changed settings reach the disk.

mod body;
mod cache;
mod handle;
mod keeper;
pub mod kv;
pub mod limits;
mod metrics;
pub mod routes;
mod service;
pub mod settings;
mod watch;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gantry_chassis::{Health, Latch, Tasks, durable, shutdown};
use gantry_remoting::net::{Limits, NoRequests, Pool, Server, bind};
use prometheus::Registry;
use tokio::sync::mpsc;

pub use settings::Settings;

/// Why the NameServer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `bindAddress` is no address.
    #[error("bindAddress={0} is no IP address")]
    Address(String),
    /// The port is taken or not allowed.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The key-value configuration is there but cannot be read.
    #[error("cannot read the key-value configuration {path}: {error}")]
    Kv {
        /// Its file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The metrics are registered already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// A NameServer that runs.
pub struct Running {
    server: Server,
    tasks: Tasks,
    ready: Latch,
}

/// How long answers may take that are under way when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long files may take to be written when the server stops.
const ENDING: Duration = Duration::from_secs(10);
/// How long a broker may take to accept a connection that tells it something.
const TELLING: Duration = Duration::from_millis(1_000);

/// Starts a NameServer. It runs in a scope of `tasks` and is ready when this returns.
///
/// # Errors
/// See [`StartError`].
pub fn start(
    settings: Settings,
    tasks: &Tasks,
    registry: &Registry,
    health: &Health,
) -> Result<Running, StartError> {
    let ready = health.latch("the name server");
    let address = address_of(&settings)?;
    let kv = read_kv(&settings)?;
    let metrics = metrics::Metrics::register(registry)?;
    let failed = |error| StartError::Listen { address, error };
    let listener = bind(address).map_err(failed)?;

    let tasks = tasks.child("namesrv");
    let limits = Limits {
        idle: Some(Duration::from_secs(settings.idle_seconds)),
        drain: DRAIN,
        ..Limits::default()
    };
    let (jobs, waiting_jobs) = mpsc::channel(limits::WAITING);
    let (announcements, waiting_announcements) = mpsc::channel(limits::WAITING);
    let state = Arc::new(service::State::new(settings, kv, metrics, jobs, announcements));
    let service = Arc::new(service::NameServer(Arc::clone(&state)));
    let spawner = (tasks.tracker(), tasks.token());
    let server = Server::start(listener, service, limits, spawner).map_err(failed)?;

    let pool = Pool::new(Arc::new(NoRequests), Limits::default(), TELLING, spawner);
    let stop = || tasks.token().clone();
    tasks.spawn("announce", watch::announce(pool, waiting_announcements, stop()));
    tasks.spawn("expire", watch::expire(Arc::clone(&state), stop()));
    tasks.spawn("keeper", keeper::run(state, waiting_jobs, stop()));
    ready.release();
    tracing::info!(address = %server.local_addr(), "name server listens");
    Ok(Running { server, tasks, ready })
}

fn address_of(settings: &Settings) -> Result<SocketAddr, StartError> {
    let ip: IpAddr =
        settings.bind.parse().map_err(|_| StartError::Address(settings.bind.clone()))?;
    Ok(SocketAddr::new(ip, settings.port))
}

fn read_kv(settings: &Settings) -> Result<kv::Kv, StartError> {
    let path = &settings.kv_path;
    durable::read(path, |text| serde_json::from_slice(text))
        .map(Option::unwrap_or_default)
        .map_err(|error| StartError::Kv { path: path.clone(), error })
}

impl Running {
    /// Where clients and brokers connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Ends the server: not ready, no new connections, what is under way is answered, files are written.
    pub async fn shutdown(self) {
        self.ready.hold();
        let cut = self.server.drain(DRAIN).await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut before all answers had left");
        }
        let ended = shutdown::within(ENDING, "name server", self.tasks.shutdown(ENDING)).await;
        if let Some(Err(stragglers)) = ended {
            tracing::warn!(%stragglers, "name server");
        }
        tracing::info!("name server stopped");
    }
}
