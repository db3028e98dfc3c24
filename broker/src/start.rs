//! How a broker begins and ends.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gantry_chassis::{Health, Latch, Tasks, shutdown::within};
use gantry_model::Millis;
use gantry_remoting::net::{Limits, NoRequests, Pool, Server, bind};
use gantry_store::{
    Background, OpenError, Store,
    disk::{Disk, real::RealDisk},
};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Broker, Ears, Parts, record_max},
    config::{FlushDisk, Role, Settings},
    dispatch::Front,
    handle::{clients, pull},
    metadata::{Files, Loaded, Which, Writer},
    metrics::Metrics,
    registration::Registration,
    schedule::{self, BadDelay, DelayLevels},
};

/// Why the broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address in the settings is none.
    #[error("{property}={value} is no address")]
    Address {
        /// The property.
        property: &'static str,
        /// Its value.
        value: String,
    },
    /// The port is taken or not allowed.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// A part that this broker cannot play.
    #[error("brokerRole=SLAVE: replication is not supported by this version")]
    Slave,
    /// `messageDelayLevel` cannot be read.
    #[error(transparent)]
    Delay(#[from] BadDelay),
    /// A file under `config/` is there but cannot be read, nor can its `.bak`.
    #[error("cannot read the files under config/: {0}")]
    Files(io::Error),
    /// The store does not open.
    #[error("cannot open the store in {root}: {error}")]
    Store {
        /// Its directory.
        root: PathBuf,
        /// Why not.
        error: OpenError,
    },
    /// The metrics are registered already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// A broker that runs.
pub struct Running {
    broker: Arc<Broker>,
    servers: Vec<Server>,
    tasks: Tasks,
    registering: Tasks,
    ears: Arc<Ears>,
    ready: Latch,
}

/// How long answers may take that are under way when the broker stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long leaving the NameServers may take.
const UNREGISTER: Duration = Duration::from_secs(4);
/// How long the store and the files may take to be written when the broker stops.
const ENDING: Duration = Duration::from_secs(30);
/// How long a NameServer may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How often silent clients are looked for.
const SILENT_EVERY: Duration = Duration::from_secs(10);
/// The VIP port is so much below `listenPort`, as in Java.
const VIP_BELOW: u16 = 2;

/// Starts a broker. It runs in a scope of `tasks` and is ready when this returns.
pub fn start(
    settings: Settings,
    tasks: &Tasks,
    registry: &Registry,
    health: &Health,
) -> Result<Running, StartError> {
    start_on(Arc::new(RealDisk), settings, tasks, registry, health)
}

/// As [`start`], with the messages on another disk than the machine's own: for simulations and tests of
/// disks that run full or fail. The files under `config/` are on the machine's.
pub fn start_on(
    disk: Arc<dyn Disk>,
    settings: Settings,
    tasks: &Tasks,
    registry: &Registry,
    health: &Health,
) -> Result<Running, StartError> {
    let ready = health.latch("the broker");
    if settings.role == Role::Slave {
        return Err(StartError::Slave);
    }
    let delays = DelayLevels::parse(&settings.delay_levels)?;
    let (listener, address) = listen(&settings)?;
    let host = host(&settings, address.port())?;
    let files = Files::of(&settings);
    let loaded = files.load(&settings).map_err(StartError::Files)?;
    let ears = Arc::new(Ears::default());
    let store = open(disk, &settings, &ears)?;
    let metrics = Metrics::register(registry, &settings.cluster, &settings.name)?;
    let tasks = tasks.child("broker");
    let Loaded { topics, groups, offsets, delays: delay_offsets } = loaded;
    let parts = Parts {
        settings,
        host,
        topics,
        groups,
        offsets,
        delays,
        delay_offsets,
        store,
        metrics,
        files,
        tasks: tasks.child("requests"),
    };
    let broker = Arc::new(Broker::new(parts));
    ears.attach(&broker);
    Metrics::register_state(registry, &broker)?;
    let registering = run_tasks(&broker, &tasks);
    let servers = serve(&broker, &tasks, listener, address)?;
    ready.release();
    tracing::info!(address = %broker.host, listening = %address, "broker listens");
    Ok(Running { broker, servers, tasks, registering, ears, ready })
}

fn listen(settings: &Settings) -> Result<(TcpListener, SocketAddr), StartError> {
    let ip: IpAddr = settings.bind.parse().map_err(|_| StartError::Address {
        property: "bindAddress",
        value: settings.bind.clone(),
    })?;
    let address = SocketAddr::new(ip, settings.port);
    let failed = |error| StartError::Listen { address, error };
    let listener = bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The address that clients are told.
fn host(settings: &Settings, port: u16) -> Result<SocketAddr, StartError> {
    let given = settings.ip.trim();
    if given.is_empty() {
        return Ok(SocketAddr::new(own_address(), port));
    }
    let none = || StartError::Address { property: "brokerIP1", value: given.to_owned() };
    let mut found = (given, port).to_socket_addrs().map_err(|_| none())?;
    found.next().ok_or_else(none)
}

/// The address of the interface that leads to the world. Nothing is sent.
fn own_address() -> IpAddr {
    let look = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        Ok::<_, io::Error>(socket.local_addr()?.ip())
    };
    look().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn open(disk: Arc<dyn Disk>, settings: &Settings, ears: &Arc<Ears>) -> Result<Store, StartError> {
    let mut store = gantry_store::Settings::new(&settings.root);
    let path = settings.commit_log_path.trim();
    store.commit_log = (!path.is_empty()).then(|| path.into());
    store.segment_size = settings.commit_log_size;
    store.queue_file_units = settings.consume_queue_size / 20;
    store.flush = match settings.flush {
        FlushDisk::Async => gantry_store::Flush::Async,
        FlushDisk::Sync => gantry_store::Flush::Sync,
    };
    store.flush_interval = Millis(settings.flush_interval);
    store.record_max = usize::try_from(record_max(settings)).unwrap_or(usize::MAX);
    store.reserved = Millis(settings.reserved_hours.saturating_mul(3_600_000));
    store.delete_hours.clone_from(&settings.delete_when.0);
    store.hour_of = local_hour;
    store.clean_percent = settings.disk_max_used;
    store.clean_forcibly_percent = settings.clean_forcibly.then_some(settings.disk_clean_forcibly);
    store.full_percent = settings.disk_warning;
    store.tags_of = schedule::code_of;
    let root = PathBuf::from(&settings.root);
    let opened = Store::open(disk, store, Arc::clone(ears) as _, Background::Threads);
    let (store, recovery) = opened.map_err(|error| StartError::Store { root, error })?;
    tracing::info!(
        clean = recovery.clean, end = %recovery.end, records = recovery.records, "store opened"
    );
    if let Some(cut) = &recovery.cut {
        tracing::warn!(file = %cut.file.display(), offset = cut.offset, cause = cut.cause, "the log was cut");
    }
    Ok(store)
}

/// The hour of a time where this broker is, as Java's `deleteWhen` means it.
fn local_hour(at: Millis) -> u8 {
    let at = i64::try_from(at.0).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    let zoned = at.unwrap_or_default().to_zoned(jiff::tz::TimeZone::system());
    zoned.hour().unsigned_abs()
}

/// Starts what runs beside the connections. Returns the scope that registers.
fn run_tasks(broker: &Arc<Broker>, tasks: &Tasks) -> Tasks {
    let until = |tasks: &Tasks| tasks.token().clone();
    let work = Arc::clone(broker);
    let stop = until(tasks);
    tasks.spawn("flush timeouts", async move {
        work.flushes.time_out(&work, &stop).await;
    });
    let (work, stop) = (Arc::clone(broker), until(tasks));
    tasks.spawn("parked pulls", async move {
        stop.run_until_cancelled(expire_pulls(work)).await;
    });
    let (work, stop) = (Arc::clone(broker), until(tasks));
    tasks.spawn("silent clients", forget_silent(work, stop));
    let (work, stop) = (Arc::clone(broker), until(tasks));
    tasks.spawn("delayed messages", schedule::run(work, stop));
    let (work, stop) = (Arc::clone(broker), until(tasks));
    tasks.spawn("files", async move {
        stop.run_until_cancelled(Writer::run(work)).await;
    });
    let registering = tasks.child("registration");
    let spawner = (tasks.tracker(), tasks.token());
    let pool = Pool::new(Arc::new(NoRequests), Limits::default(), CONNECT, spawner);
    let stop = until(&registering);
    let mut registration = Registration::new(Arc::clone(broker), pool);
    registering.spawn("register", async move {
        registration.run(&stop).await;
        registration.unregister().await;
    });
    registering
}

async fn expire_pulls(broker: Arc<Broker>) {
    loop {
        match broker.parked.next_deadline() {
            None => broker.parked.sooner.notified().await,
            Some(deadline) => {
                tokio::select! {
                    () = broker.sleep_until(deadline) => {}
                    () = broker.parked.sooner.notified() => continue,
                }
            }
        }
        for plan in broker.parked.expired(broker.now()) {
            pull::expire(&broker, &plan);
        }
    }
}

async fn forget_silent(broker: Arc<Broker>, stop: CancellationToken) {
    let mut every = tokio::time::interval(SILENT_EVERY);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        clients::forget_silent(&broker);
    }
}

fn serve(
    broker: &Arc<Broker>,
    tasks: &Tasks,
    listener: TcpListener,
    address: SocketAddr,
) -> Result<Vec<Server>, StartError> {
    let limits = Limits {
        idle: Some(Duration::from_secs(broker.fixed.idle_timeout)),
        drain: DRAIN,
        ..Limits::default()
    };
    let front = Arc::new(Front(Arc::clone(broker)));
    let spawner = (tasks.tracker(), tasks.token());
    let failed = |error| StartError::Listen { address, error };
    let server = Server::start(listener, Arc::clone(&front), limits.clone(), spawner);
    let mut servers = vec![server.map_err(failed)?];
    if broker.fixed.port <= VIP_BELOW {
        return Ok(servers);
    }
    let vip = SocketAddr::new(address.ip(), address.port() - VIP_BELOW);
    match bind(vip).and_then(|listener| Server::start(listener, front, limits, spawner)) {
        Ok(server) => servers.push(server),
        Err(error) => {
            tracing::warn!(%vip, %error, "no VIP port; clients with vipChannelEnabled fail")
        }
    }
    Ok(servers)
}

impl Running {
    /// Where clients connect to: what is bound, which may differ from what clients are told.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.servers.first().map(Server::local_addr)
    }

    /// The broker, for whoever hosts it in its own process.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Ends when the disk has failed and the process should end and start anew.
    pub async fn failed(&self) {
        self.ears.failed().cancelled().await;
    }

    /// Ends the broker: not ready, away from the NameServers, no new connections, what is under way is
    /// answered, everything is on the disk. Whoever kills it at any point loses no more than time.
    pub async fn shutdown(self) {
        self.ready.hold();
        for server in &self.servers {
            server.stop_accepting();
        }
        within(UNREGISTER, "unregister", self.registering.shutdown(UNREGISTER)).await;
        for plan in self.broker.parked.close() {
            pull::expire(&self.broker, &plan);
        }
        for server in &self.servers {
            let cut = server.drain(DRAIN).await;
            if cut > 0 {
                tracing::warn!(cut, "connections were cut before all answers had left");
            }
        }
        if let Some(Err(stragglers)) = within(ENDING, "tasks", self.tasks.shutdown(ENDING)).await {
            tracing::warn!(%stragglers, "broker");
        }
        let store = self.broker.store.clone();
        let closed = tokio::task::spawn_blocking(move || store.shutdown());
        match within(ENDING, "store", closed).await {
            Some(Ok(Ok(()))) | None => {}
            Some(Ok(Err(error))) => tracing::error!(%error, "the store was not closed properly"),
            Some(Err(error)) => tracing::error!(%error, "the store was not closed properly"),
        }
        // Logged where it fails.
        let _logged = Writer::write_aside(&self.broker, Which::All).await;
        tracing::info!("broker stopped");
    }
}
