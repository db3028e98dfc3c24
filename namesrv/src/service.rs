//! The NameServer on a connection: decodes requests and hands each to its handler, one exhaustive match.
//!
//! Nothing here waits: tables are in memory behind short locks, and what must reach the disk or another
//! process goes to a task that answers later.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gantry_model::Millis;
use gantry_remoting::{
    net::{Peer, Service},
    wire::{
        Frame, Frames, Replies, ResponseCode,
        request::{NamesrvRequest as Request, RequestError},
    },
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::{
    cache::RouteCache,
    handle,
    keeper::Job,
    kv::Kv,
    metrics::Metrics,
    routes::{Link, Routes, SmallestChanged, UnitTopics, Writes},
    settings::Settings,
};

/// All that requests work on. One value for the process, shared by all connections.
pub(crate) struct State {
    pub(crate) routes: RwLock<Routes>,
    pub(crate) cache: RouteCache,
    pub(crate) kv: RwLock<Kv>,
    pub(crate) settings: RwLock<Arc<Settings>>,
    pub(crate) metrics: Metrics,
    /// What must reach the disk before it is answered.
    pub(crate) jobs: mpsc::Sender<Job>,
    /// What the members of a group are to be told.
    pub(crate) announcements: mpsc::Sender<SmallestChanged>,
    /// Connections on which brokers registered.
    pub(crate) links: Mutex<HashMap<Link, Peer>>,
    started: Instant,
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        kv: Kv,
        metrics: Metrics,
        jobs: mpsc::Sender<Job>,
        announcements: mpsc::Sender<SmallestChanged>,
    ) -> Self {
        Self {
            routes: RwLock::default(),
            cache: RouteCache::default(),
            kv: RwLock::new(kv),
            settings: RwLock::new(Arc::new(settings)),
            metrics,
            jobs,
            announcements,
            links: Mutex::default(),
            started: Instant::now(),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// How long the server has run: time that no clock correction moves.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The tables' time.
    pub(crate) fn now(&self) -> Millis {
        Millis(u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX))
    }

    /// Tells the members of groups; what does not fit any more is told by the brokers' own polling.
    pub(crate) fn announce(&self, changes: impl IntoIterator<Item = SmallestChanged>) {
        for change in changes {
            if self.announcements.try_send(change).is_err() {
                tracing::warn!("too many changes of smallest broker ids to tell them all");
                return;
            }
        }
    }

    /// Shows the tables' sizes in the metrics.
    pub(crate) fn measure(&self) {
        let size = self.routes.read().size();
        self.metrics.show(size);
    }
}

/// One connection.
pub(crate) struct Session {
    pub(crate) peer: Peer,
    /// Whether a broker registered on it.
    pub(crate) is_broker: bool,
}

impl Session {
    pub(crate) fn link(&self) -> Link {
        Link(self.peer.id())
    }
}

/// One request and where its answer goes.
pub(crate) struct Call<'a, 's> {
    pub(crate) state: &'a State,
    pub(crate) session: &'s mut Session,
    pub(crate) frame: Frame<'a>,
    pub(crate) out: &'s mut Replies,
}

impl Call<'_, '_> {
    pub(crate) fn ok(self) {
        self.out.ok(self.frame.reply_to());
    }

    pub(crate) fn refuse(self, code: ResponseCode, remark: impl std::fmt::Display) {
        self.out.refuse(self.frame.reply_to(), code, remark);
    }
}

/// What serves the connections.
pub(crate) struct NameServer(pub(crate) Arc<State>);

impl Service for NameServer {
    type Session = Session;

    fn open(&self, peer: &Peer) -> Session {
        self.0.metrics.connections.inc();
        Session { peer: peer.clone(), is_broker: false }
    }

    fn batch(&self, session: &mut Session, frames: &Frames, out: &mut Replies) {
        for frame in frames.requests() {
            let began = Instant::now();
            match Request::decode(&frame) {
                Ok(request) => {
                    serve(request, Call { state: &self.0, session, frame, out });
                }
                Err(RequestError::Unsupported(_)) => out.unsupported(&frame),
                Err(RequestError::Field(error)) => out.bad_field(frame.reply_to(), &error),
            }
            self.0.metrics.served(frame.code(), began.elapsed());
        }
    }

    fn close(&self, session: Session, _: &Peer) {
        self.0.metrics.connections.dec();
        if !session.is_broker {
            return;
        }
        let link = session.link();
        self.0.links.lock().remove(&link);
        let policy = self.0.settings().policy();
        let changes = self.0.routes.write().disconnected(link, policy, self.0.now());
        tracing::info!(peer = %session.peer.remote(), "a broker's connection is closed");
        self.0.announce(changes);
        self.0.measure();
    }
}

fn serve(request: Request<'_>, call: Call<'_, '_>) {
    match request {
        Request::GetRouteInfo(header) => handle::route::of_topic(&header, call),
        Request::GetBrokerClusterInfo(_) => handle::lists::clusters(call),
        Request::RegisterBroker(header) => handle::broker::register(&header, call),
        Request::UnregisterBroker(header) => handle::broker::unregister(&header, call),
        Request::QueryDataVersion(header) => handle::broker::data_version(&header, call),
        Request::BrokerHeartbeat(header) => handle::broker::heartbeat(&header, call),
        Request::GetBrokerMemberGroup(header) => handle::lists::members(&header, call),
        Request::RegisterTopic(header) => handle::topic::register(&header, call),
        Request::DeleteTopic(header) => handle::topic::delete(&header, call),
        Request::PutKvConfig(header) => handle::kv::put(&header, call),
        Request::GetKvConfig(header) => handle::kv::value(&header, call),
        Request::DeleteKvConfig(header) => handle::kv::delete(&header, call),
        Request::GetKvListByNamespace(header) => handle::kv::table(&header, call),
        Request::WipeWritePerm(header) => handle::topic::writes(&header, Writes::Refused, call),
        Request::AddWritePerm(header) => handle::topic::writes(&header, Writes::Allowed, call),
        Request::GetAllTopicList(_) => handle::lists::all_topics(call),
        Request::GetTopicsByCluster(header) => handle::lists::of_cluster(&header, call),
        Request::GetSystemTopicList(_) => handle::lists::system_topics(call),
        Request::GetUnitTopicList(_) => handle::lists::of_units(UnitTopics::Own, call),
        Request::GetHasUnitSubTopicList(_) => {
            handle::lists::of_units(UnitTopics::Subscribed, call);
        }
        Request::GetHasUnitSubUnunitTopicList(_) => {
            handle::lists::of_units(UnitTopics::OnlySubscribed, call);
        }
        Request::UpdateNamesrvConfig(_) => handle::config::update(call),
        Request::GetNamesrvConfig(_) => handle::config::show(call),
    }
}
