//! Accepts connections, speaks TLS and HTTP on them, and hands requests to a router.
//!
//! **Invariant:** a peer that is slow, silent or hostile costs one of a bounded number of
//! connections for a bounded time, and delays nobody else.

pub mod certificates;
mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::listener::certificates::Certificates;
use crate::listener::connection::Speaker;

/// Pause after the system refused to accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How to listen.
pub struct ListenerConfig {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// What to show; without it plaintext is spoken.
    pub certificates: Option<Certificates>,
    /// Most connections at the same time; more wait in the system's queue.
    pub connections_max: usize,
    /// How long one request may take, from its head to the head of its answer.
    pub request_timeout: Duration,
}

/// A socket that is bound; connections wait in the system's queue until it serves.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    config: ListenerConfig,
}

/// A listener at work.
pub struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<Instant>,
    accepting: JoinHandle<usize>,
}

// === impl Listener ===

impl Listener {
    /// Binds the socket.
    pub async fn bind(config: ListenerConfig) -> io::Result<Self> {
        let socket = TcpListener::bind(config.address).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            config,
        })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept.
    pub fn serve(self, router: Router) -> Serving {
        let (stop, stopped) = oneshot::channel();
        Serving {
            address: self.address,
            stop,
            accepting: tokio::spawn(self.accept_until(stopped, router)),
        }
    }

    /// Accepts until told to stop, then waits for the requests under way; returns how many
    /// connections had to be cut.
    async fn accept_until(self, mut stop: oneshot::Receiver<Instant>, router: Router) -> usize {
        let tls = self.config.certificates.map(|certificates| {
            let acceptor = TlsAcceptor::from(certificates.server_config());
            (acceptor, tokio::spawn(certificates.keep_fresh()))
        });
        let (acceptor, freshener) = tls.unzip();
        let speaker = Arc::new(Speaker::new(acceptor, router, self.config.request_timeout));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let deadline = loop {
            tokio::select! {
                biased;
                deadline = &mut stop => break deadline.unwrap_or_else(|_| Instant::now()),
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept(), if connections.len() < self.config.connections_max => {
                    if let Some((stream, peer)) = accepted_or_pause(accepted).await {
                        let speaker = Arc::clone(&speaker);
                        connections.spawn(speaker.speak(stream, peer, graceful.watcher()));
                    }
                }
            }
        };
        drop(self.socket);
        if let Some(freshener) = freshener {
            freshener.abort();
        }
        if timeout_at(deadline, graceful.shutdown()).await.is_ok() {
            return 0;
        }
        while connections.try_join_next().is_some() {}
        connections.len()
    }
}

// === impl Serving ===

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, and waits until the requests under way have their answers or the bound
    /// has passed; returns how many connections had to be cut.
    pub async fn stop(self, bound: Duration) -> usize {
        // Fails only if the task has ended, which the next line shows.
        let _ = self.stop.send(Instant::now() + bound);
        self.accepting.await.unwrap_or_default()
    }
}

async fn accepted_or_pause(
    accepted: io::Result<(TcpStream, SocketAddr)>,
) -> Option<(TcpStream, SocketAddr)> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) if is_of_one_peer(&error) => {
            debug!(error = %error, "A connection ended before it was accepted");
            None
        }
        Err(error) => {
            warn!(error = %error, "Could not accept a connection: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Whether the peer is to blame, so that the next accept may work at once.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
