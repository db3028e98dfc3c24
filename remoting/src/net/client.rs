//! The connecting side: one connection for each address, made when it is needed.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::net::{TcpStream, lookup_host};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CallError, Limits, Peer, Service,
    connection::{self, Common},
    peer::Answered,
};
use crate::wire::{Body, Command, Frames, Header, Replies, RequestCode};

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or is no `host:port`.
    #[error("cannot resolve {address}: {reason}")]
    Resolve {
        /// What was to be resolved.
        address: String,
        /// What the resolver says.
        reason: String,
    },
    /// No address behind the name accepts a connection.
    #[error("cannot connect to {address}: {reason}")]
    Refused {
        /// Where to.
        address: String,
        /// What the system says of the last address.
        reason: String,
    },
    /// It took too long.
    #[error("no connection to {address} within {} ms", .within.as_millis())]
    Timeout {
        /// Where to.
        address: String,
        /// The time it had.
        within: Duration,
    },
    /// This side is shutting down.
    #[error("shutting down")]
    Stopped,
}

/// The service of a client that serves nothing to its servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRequests;

impl Service for NoRequests {
    type Session = ();

    fn open(&self, _: &Peer) {}

    fn batch(&self, (): &mut (), frames: &Frames, out: &mut Replies) {
        for frame in frames.requests() {
            out.unsupported(&frame);
        }
    }

    fn close(&self, (): (), _: &Peer) {}
}

/// Connections by address. Clones are the same pool.
pub struct Pool<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Clone for Pool<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<S> {
    service: Arc<S>,
    tasks: TaskTracker,
    common: Arc<Common>,
    connect_timeout: Duration,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// An address's connection. The lock is held while one is made, so that many who want it make one.
type Slot = tokio::sync::Mutex<Option<Peer>>;

/// Slots above which those without a connection are forgotten.
const SLOTS_KEPT: usize = 64;

impl<S: Service> Pool<S> {
    /// A pool without connections. `service` serves what servers ask; all ends with `stop`.
    #[must_use]
    pub fn new(
        service: Arc<S>,
        limits: Limits,
        connect_timeout: Duration,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                service,
                tasks: tasks.clone(),
                common: Arc::new(Common::new(limits, stop.child_token())),
                connect_timeout,
                slots: Mutex::default(),
            }),
        }
    }

    /// The connection to `host:port`; a new one if there is none. The name is resolved anew for each
    /// connection, and its addresses are tried in turn.
    pub async fn connection(&self, address: &str) -> Result<Peer, ConnectError> {
        let slot = self.slot(address);
        let mut slot = slot.lock().await;
        if let Some(peer) = slot.as_ref()
            && peer.is_open()
        {
            return Ok(peer.clone());
        }
        let within = self.shared.connect_timeout;
        let connected = tokio::time::timeout(within, self.connect(address)).await;
        let peer = connected
            .map_err(|_elapsed| ConnectError::Timeout { address: address.to_owned(), within })??;
        *slot = Some(peer.clone());
        Ok(peer)
    }

    /// Sends a request to `host:port` and waits for the answer, whatever its code. The time-out is the
    /// answer's; connecting has its own.
    pub async fn request<'h, H: Header<'h>>(
        &self,
        address: &str,
        (code, header, body): (RequestCode, &H, Body<'_>),
        timeout: Duration,
    ) -> Result<Command, CallError> {
        let peer = self.connection(address).await?;
        let answered: Answered = peer.request(code, header, body, timeout);
        answered.await
    }

    /// Sends a request that is not answered.
    pub async fn oneway<'h, H: Header<'h>>(
        &self,
        address: &str,
        (code, header, body): (RequestCode, &H, Body<'_>),
    ) -> Result<(), CallError> {
        Ok(self.connection(address).await?.oneway(code, header, body)?)
    }

    /// Closes the connection to an address when what was sent is written.
    pub fn close(&self, address: &str) {
        let slot = self.shared.slots.lock().remove(address);
        if let Some(slot) = slot
            && let Ok(peer) = slot.try_lock()
            && let Some(peer) = peer.as_ref()
        {
            peer.close();
        }
    }

    /// Closes all connections when what was sent is written; later ones are refused.
    pub fn shutdown(&self) {
        self.shared.common.drain.cancel();
    }

    fn slot(&self, address: &str) -> Arc<Slot> {
        let mut slots = self.shared.slots.lock();
        if let Some(slot) = slots.get(address) {
            return Arc::clone(slot);
        }
        if slots.len() >= SLOTS_KEPT {
            slots.retain(|_, slot| {
                slot.try_lock().map_or(true, |peer| peer.as_ref().is_some_and(Peer::is_open))
            });
        }
        Arc::clone(slots.entry(address.to_owned()).or_default())
    }

    async fn connect(&self, address: &str) -> Result<Peer, ConnectError> {
        if self.shared.common.drain.is_cancelled() {
            return Err(ConnectError::Stopped);
        }
        let mut last: Option<io::Error> = None;
        for socket in resolve(address).await? {
            match TcpStream::connect(socket).await {
                Ok(stream) => match self.run(stream) {
                    Ok(peer) => return Ok(peer),
                    Err(error) => last = Some(error),
                },
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map_or_else(|| "it has no address".to_owned(), |e| e.to_string());
        Err(ConnectError::Refused { address: address.to_owned(), reason })
    }

    fn run(&self, stream: TcpStream) -> io::Result<Peer> {
        stream.set_nodelay(true)?;
        let common = Arc::clone(&self.shared.common);
        let (remote, local) = (stream.peer_addr()?, stream.local_addr()?);
        let peer = Peer::new(remote, local, common.limits.unsent_max);
        let service = Arc::clone(&self.shared.service);
        self.shared.tasks.spawn(connection::run(stream, peer.clone(), service, common));
        Ok(peer)
    }
}

/// Every address behind a `host:port`, in the resolver's order, each once.
pub async fn resolve(address: &str) -> Result<Vec<SocketAddr>, ConnectError> {
    let failed = |reason: String| ConnectError::Resolve { address: address.to_owned(), reason };
    let found = lookup_host(address).await.map_err(|error| failed(error.to_string()))?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(failed("it has no address".to_owned()));
    }
    Ok(addresses)
}
