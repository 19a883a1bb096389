//! The listening proxy: accepts, bounds how many connections there are, and shuts down.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::authority::Leaves;
use super::connect::{self, House};
use super::lanes::Lanes;
use super::timeouts::Timeouts;

/// How long nothing is accepted after accepting failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a shutdown leaves to those that were cut, so that they can still say what passed.
const CUT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection that had come in before a shutdown may still take for its first request: its client knows of no
/// reason to try again, and would take its end for a refusal.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

/// How many requests may be handled at once over HTTP/2, all connections together: as many as there may be connections,
/// since streams should multiply nothing, and no fewer than this.
const STREAMS_MIN: usize = 1024;

/// A proxy, generic over who says what a host is and what becomes of a request.
pub struct Proxy<G> {
    shared: Arc<Shared<G>>,
    slots: Arc<Semaphore>,
    slots_max: u32,
    lanes: Option<Lanes>,
}

/// What all connections share.
pub(super) struct Shared<G> {
    pub(super) guard: Arc<G>,
    pub(super) leaves: Arc<Leaves>,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) timeouts: Timeouts,
    /// For requests that are being handled over HTTP/2.
    pub(super) streams: Arc<Semaphore>,
}

/// What belongs to one connection.
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    /// The caller that the client proved to be at the proxy port.
    pub(super) proven: Option<Arc<str>>,
    /// Free again once the connection and every request that came on it have ended.
    pub(super) slot: Arc<OwnedSemaphorePermit>,
    /// When the proxy shuts down: until when what is in flight may go on.
    closing: watch::Receiver<Option<Instant>>,
}

impl Connection {
    /// Completes when the proxy begins to shut down, with the time until which it waits.
    pub(super) async fn closing(&self) -> Instant {
        let mut closing = self.closing.clone();
        // An error means that the proxy itself is gone.
        closing
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|until| *until)
            .unwrap_or_else(Instant::now)
    }

    /// Completes when the proxy has begun to shut down and the client has `asked` for something, or takes long to.
    pub(super) async fn closing_once(&self, asked: impl Future<Output = ()>) {
        self.closing().await;
        // Either way it is time to close.
        let _ = tokio::time::timeout(FIRST_REQUEST, asked).await;
    }

    /// Completes when a shutdown's time is over.
    pub(super) async fn cut(&self) {
        let until = self.closing().await;
        tokio::time::sleep_until(until).await;
    }
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had not ended in time and were cut, tunnels apart: those say so themselves.
    pub cut: usize,
}

impl<G: House> Proxy<G> {
    /// A proxy that serves at most `connections_max` connections at once (at least one).
    ///
    /// # Errors
    /// A `rustls` error if the TLS configuration can't be made.
    pub fn new(
        guard: Arc<G>,
        leaves: Arc<Leaves>,
        timeouts: Timeouts,
        connections_max: usize,
    ) -> Result<Self, rustls::Error> {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let slots_max = u32::try_from(connections_max.clamp(1, most)).unwrap_or(u32::MAX);
        let tls = Arc::new(leaves.server_config()?);
        Ok(Self {
            shared: Arc::new(Shared {
                guard,
                leaves,
                tls,
                timeouts,
                streams: Arc::new(Semaphore::new(STREAMS_MIN.max(slots_max as usize))),
            }),
            slots: Arc::new(Semaphore::new(slots_max as usize)),
            slots_max,
            lanes: None,
        })
    }

    /// The same, serving its connections in lanes instead of the runtime that it is in.
    #[must_use]
    pub fn over(self, lanes: Lanes) -> Self {
        Self {
            lanes: Some(lanes),
            ..self
        }
    }

    /// How many connections there are (`palisade_connections`).
    #[must_use]
    pub fn connections(&self) -> usize {
        (self.slots_max as usize).saturating_sub(self.slots.available_permits())
    }

    /// Accepts connections until `shutdown` completes; then accepts no more, lets requests in flight end within `grace`,
    /// and cuts what is left. A full proxy accepts nothing until a connection ends: others wait in the system's
    /// backlog.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        grace: Duration,
    ) -> Drained {
        let (closing, closed) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let accepting = async {
            loop {
                let (tcp, peer, slot) = self.accept(&listener).await;
                while tasks.try_join_next().is_some() {}
                let connection = Connection {
                    peer,
                    proven: None,
                    slot: Arc::new(slot),
                    closing: closed.clone(),
                };
                let shared = Arc::clone(&self.shared);
                match &self.lanes {
                    Some(lanes) => lanes.serve(&mut tasks, tcp, |tcp| {
                        connect::serve(shared, connection, tcp)
                    }),
                    None => {
                        tasks.spawn(connect::serve(shared, connection, tcp));
                    }
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = shutdown => {}
        }
        drop(listener);
        closing.send_replace(Some(Instant::now() + grace));
        let all = self.slots.acquire_many(self.slots_max);
        let cut = match tokio::time::timeout(grace + CUT_PAUSE, all).await {
            Ok(_) => 0,
            Err(_) => self.connections(),
        };
        tasks.shutdown().await;
        Drained { cut }
    }

    /// Waits for a free slot, then for a connection.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            // A slot that waits for a connection would count as one, so it is taken afterwards.
            drop(self.slots.acquire().await);
            match listener.accept().await {
                Ok((tcp, peer)) => {
                    // Without waiting: a shutdown that came then would drop a connection that was accepted. Nobody else
                    // takes slots, so the one that was free still is.
                    let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                        continue;
                    };
                    // A latency matter only: without it the connection works as well.
                    tcp.set_nodelay(true).ok();
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    return (tcp, peer, slot);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl<G> fmt::Debug for Proxy<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("slots", &self.slots_max)
            .finish_non_exhaustive()
    }
}
