//! The listening side: accepts connections, bounds their number, drains them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Limits, Peer, Service,
    connection::{self, Common},
};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// How long accepting pauses when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens a listening socket. Port 0 takes any free one.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old process's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A server that runs. Dropping the handle leaves it running; it ends with the token it was given.
pub struct Server {
    address: SocketAddr,
    accepting: CancellationToken,
    connections: TaskTracker,
    common: Arc<Common>,
}

impl Server {
    /// Starts to accept. When `stop` is cancelled, connections drain for [`Limits::drain`].
    pub fn start<S: Service>(
        listener: TcpListener,
        service: Arc<S>,
        limits: Limits,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let accepting = stop.child_token();
        let common = Arc::new(Common::new(limits, stop.child_token()));
        let connections = TaskTracker::new();
        let acceptor = Acceptor {
            listener,
            service,
            connections: connections.clone(),
            tasks: tasks.clone(),
            common: Arc::clone(&common),
        };
        let stopped = accepting.clone();
        tasks.spawn(async move {
            // The listener closes when this ends, and later connections are refused.
            acceptor.run(&stopped).await;
        });
        Ok(Self { address, accepting, connections, common })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes that wait to be written on all connections.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.common.unsent.total()
    }

    /// Refuses new connections; those that stand go on.
    pub fn stop_accepting(&self) {
        self.accepting.cancel();
    }

    /// Reads no further request, and closes each connection when its requests are answered: all of
    /// them by `deadline`, or then as they are. How many were cut.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.accepting.cancel();
        self.common.drain.cancel();
        self.connections.close();
        if tokio::time::timeout(deadline, self.connections.wait()).await.is_ok() {
            return 0;
        }
        let cut = self.connections.len();
        self.common.kill.cancel();
        self.connections.wait().await;
        cut
    }
}

struct Acceptor<S> {
    listener: TcpListener,
    service: Arc<S>,
    connections: TaskTracker,
    tasks: TaskTracker,
    common: Arc<Common>,
}

impl<S: Service> Acceptor<S> {
    async fn run(self, stopped: &CancellationToken) {
        while let Some(accepted) = stopped.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, remote)) => self.accepted(stream, remote),
                Err(error) => self.failed(&error).await,
            }
        }
    }

    fn accepted(&self, stream: TcpStream, remote: SocketAddr) {
        let limits = &self.common.limits;
        if self.connections.len() >= limits.connections {
            self.common.log.refused(remote, limits.connections);
            return;
        }
        let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else {
            return; // It is gone already.
        };
        let peer = Peer::new(remote, local, limits.unsent_max);
        let run =
            connection::run(stream, peer, Arc::clone(&self.service), Arc::clone(&self.common));
        let tracked = self.connections.track_future(run);
        self.tasks.spawn(tracked);
    }

    async fn failed(&self, error: &io::Error) {
        // What a client did to its own connection is no reason to pause.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return;
        }
        tracing::warn!("cannot accept a connection: {error}");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
