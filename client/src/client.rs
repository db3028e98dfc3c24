//! The connections of one client and what it knows of routes; shared by whatever works with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gantry_model::Topic;
use gantry_remoting::net::{CallError, Limits, NoRequests, Pool};
use gantry_remoting::wire::body::TopicRouteData;
use gantry_remoting::wire::request::namesrv::GetRouteInfo;
use gantry_remoting::wire::{Body, Command, Header, RequestCode, ResponseCode};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ClientError;

/// Where a client's servers are, and how patient it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// NameServers as `host:port`. Any of them will do; names are resolved anew for each connection.
    pub name_servers: Vec<String>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How old a route may be before it is asked for again.
    pub route_age: Duration,
}

impl Settings {
    /// The NameServers of `host:port;host:port`, with the time-outs of the official clients.
    #[must_use]
    pub fn new(name_servers: &str) -> Self {
        let named = name_servers.split([';', ',']).map(str::trim).filter(|name| !name.is_empty());
        Self {
            name_servers: named.map(str::to_owned).collect(),
            timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            route_age: Duration::from_secs(30),
        }
    }
}

/// Topics whose routes are kept.
const ROUTES_KEPT: usize = 10_000;

/// Connections and routes. Clones share them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    pool: Pool<NoRequests>,
    /// The NameServer that answered last.
    preferred: AtomicUsize,
    routes: Mutex<HashMap<Topic, Known>>,
}

#[derive(Clone)]
struct Known {
    route: Arc<TopicRouteData>,
    since: Instant,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// A client without connections: they are made when they are needed. Its tasks run in `tasks`
    /// and end with `stop`.
    #[must_use]
    pub fn new(settings: Settings, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let service = Arc::new(NoRequests);
        let pool = Pool::new(service, Limits::default(), settings.connect_timeout, (tasks, stop));
        let shared = Shared {
            settings,
            pool,
            preferred: AtomicUsize::new(0),
            routes: Mutex::new(HashMap::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Asks `address` and takes nothing but success for an answer.
    pub(crate) async fn ask<'h, H: Header<'h>>(
        &self,
        address: &str,
        code: RequestCode,
        header: &H,
        body: Body<'_>,
    ) -> Result<Command, ClientError> {
        let timeout = self.shared.settings.timeout;
        let answer = self.exchange(address, (code, header, body), timeout).await?;
        succeeded(answer, address, code)
    }

    /// Asks `address` and takes any answer.
    pub(crate) async fn exchange<'h, H: Header<'h>>(
        &self,
        address: &str,
        (code, header, body): (RequestCode, &H, Body<'_>),
        timeout: Duration,
    ) -> Result<Command, ClientError> {
        let answered = self.shared.pool.request(address, (code, header, body), timeout).await;
        answered.map_err(|error| failed(address, code, timeout, &error))
    }

    /// Sends to `address` what nobody answers.
    pub(crate) async fn tell<'h, H: Header<'h>>(
        &self,
        address: &str,
        code: RequestCode,
        header: &H,
        body: Body<'_>,
    ) -> Result<(), ClientError> {
        let told = self.shared.pool.oneway(address, (code, header, body)).await;
        told.map_err(|error| failed(address, code, Duration::ZERO, &error))
    }

    /// Asks a NameServer: the one that answered last, and when it fails the others in turn. A refusal
    /// is an answer.
    pub(crate) async fn ask_name_server<'h, H: Header<'h>>(
        &self,
        code: RequestCode,
        header: &H,
    ) -> Result<Command, ClientError> {
        let servers = &self.shared.settings.name_servers;
        let first = self.shared.preferred.load(Ordering::Relaxed);
        let mut last = ClientError::NoNameServer;
        for turn in 0..servers.len() {
            let index = (first + turn) % servers.len();
            let Some(address) = servers.get(index) else { continue };
            match self.ask(address, code, header, Body::Empty).await {
                Err(error) if error.code().is_none() => last = error,
                answered => {
                    self.shared.preferred.store(index, Ordering::Relaxed);
                    return answered;
                }
            }
        }
        Err(last)
    }

    /// The route of `topic`, at most [`Settings::route_age`] old. An older one still counts while no
    /// NameServer can be reached.
    pub async fn route(&self, topic: &Topic) -> Result<Arc<TopicRouteData>, ClientError> {
        let known = self.shared.routes.lock().get(topic).cloned();
        if let Some(Known { route, since }) = &known
            && since.elapsed() < self.shared.settings.route_age
        {
            return Ok(Arc::clone(route));
        }
        match (self.fresh_route(topic).await, known) {
            (Err(error), Some(known)) if error.code().is_none() => Ok(known.route),
            (answer, _) => answer,
        }
    }

    /// The route of `topic` as a NameServer has it now.
    pub async fn fresh_route(&self, topic: &Topic) -> Result<Arc<TopicRouteData>, ClientError> {
        let code = RequestCode::GET_ROUTEINFO_BY_TOPIC;
        let header = GetRouteInfo { topic: topic.as_str(), accept_standard_json_only: true };
        let answer = match self.ask_name_server(code, &header).await {
            Err(error) if error.is(ResponseCode::TOPIC_NOT_EXIST) => {
                self.shared.routes.lock().remove(topic);
                return Err(ClientError::NoRoute { topic: topic.to_string() });
            }
            answer => answer?,
        };
        let route = Arc::new(body_of::<TopicRouteData>("the NameServer", code, &answer)?);
        let mut routes = self.shared.routes.lock();
        if routes.len() >= ROUTES_KEPT {
            routes.clear();
        }
        let since = Instant::now();
        routes.insert(topic.clone(), Known { route: Arc::clone(&route), since });
        Ok(route)
    }
}

/// The master of `broker` in a route.
pub(crate) fn master<'r>(route: &'r TopicRouteData, broker: &str) -> Result<&'r str, ClientError> {
    let found = route.broker_datas.iter().find(|data| data.broker_name == broker);
    let address = found.and_then(|data| data.broker_addrs.get(&gantry_model::BrokerId(0)));
    address.map(String::as_str).ok_or_else(|| ClientError::NoMaster { broker: broker.to_owned() })
}

/// An answer, unless it is a refusal.
pub(crate) fn succeeded(
    answer: Command,
    address: &str,
    request: RequestCode,
) -> Result<Command, ClientError> {
    match answer.code() {
        ResponseCode::SUCCESS => Ok(answer),
        code => {
            let (address, remark) = (address.to_owned(), answer.remark().to_owned());
            Err(ClientError::Refused { address, request, code, remark })
        }
    }
}

/// The JSON body of an answer.
pub(crate) fn body_of<T: serde::de::DeserializeOwned>(
    address: &str,
    request: RequestCode,
    answer: &Command,
) -> Result<T, ClientError> {
    gantry_remoting::wire::body::parse(&answer.body()).map_err(|e| unreadable(address, request, e))
}

/// An answer that can't be understood.
pub(crate) fn unreadable(
    address: &str,
    request: RequestCode,
    reason: impl std::fmt::Display,
) -> ClientError {
    ClientError::Unreadable { address: address.to_owned(), request, reason: reason.to_string() }
}

fn failed(address: &str, request: RequestCode, after: Duration, error: &CallError) -> ClientError {
    let address = address.to_owned();
    match error {
        CallError::Timeout(_) => ClientError::TimedOut { address, request, after },
        CallError::Closed | CallError::Connect(_) => {
            ClientError::Connection { address, reason: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_separated_by_either_sign() {
        let settings = Settings::new("a:9876; b:9876,c:1;");
        assert_eq!(settings.name_servers, ["a:9876", "b:9876", "c:1"]);
        assert!(Settings::new("").name_servers.is_empty());
    }
}
