//! Makes attempts: takes a kept connection or opens one, and sends.
//!
//! **Invariant:** what is connected to is a `ScreenedAddr`; what is sent to over TLS was verified.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::address_policy::{AddressPolicy, ScreenedAddr};
use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{EgressConfig, EgressConfigError};
use crate::connect;
use crate::connection::{Connection, Http1, Http2, Session};
use crate::error::{Blocked, ExchangeError};
use crate::exchange::{DeliveryRequest, Exchanged, Progress, Stage};
use crate::limits::OPENING_WAIT_MAX;
use crate::pool::{Admission, Key, Pool, PoolLimits};
use crate::resolve::Names;
use crate::stream::Transport;
use crate::target::{Route, RouteHost};
use crate::tls::{self, ALPN_HTTP2, TlsClient};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Sends requests to receivers. A clone is the same one.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    address_policy: AddressPolicy,
    connect_timeout: Duration,
    names: Names,
    tls: TlsClient,
    pool: Arc<Pool>,
    clock: Clock,
}

// === impl Egress ===

impl Egress {
    /// Prepares everything that needs no network. Fails if what the operator demands can't be had.
    pub fn new(config: EgressConfig, clock: Clock) -> Result<Self, EgressConfigError> {
        let tls = TlsClient::new(&config, Arc::clone(&clock))?;
        let limits = PoolLimits {
            per_endpoint_max: config.idle_per_endpoint_max,
            total_max: config.idle_max,
            idle_timeout: config.idle_timeout,
        };
        Ok(Self(Arc::new(Inner {
            address_policy: config.address_policy,
            connect_timeout: config.connect_timeout,
            names: Names::new(config.resolver),
            tls,
            pool: Arc::new(Pool::new(limits)),
            clock,
        })))
    }

    /// Makes one attempt. Whatever happens is in the result, and it happens within the request's
    /// timeout.
    pub async fn exchange(&self, request: DeliveryRequest) -> Exchanged {
        let began = Instant::now();
        let key = Key {
            endpoint: request.endpoint,
            generation: request.generation,
        };
        let deadline = began + request.timeout;
        let mut progress = Progress::new(request.timeout);
        let attempt = self.0.attempt(key, request, &mut progress);
        let result = timeout_at(deadline, attempt).await;
        if let (Err(_), Some(session)) = (&result, progress.unanswered()) {
            self.0.pool.distrust(key, session);
        }
        progress.conclude(result, began.elapsed())
    }

    /// Closes the unused connections of an endpoint that was changed or deleted.
    pub fn forget(&self, endpoint: EndpointId) {
        self.0.pool.forget(endpoint);
    }

    /// Closes connections that were unused for too long or that the peer has closed. To be called
    /// every few seconds.
    pub fn sweep(&self) {
        self.0.pool.sweep((self.0.clock)());
    }

    /// Closes all unused connections and keeps none from now on. Attempts that are being made go
    /// on.
    pub fn shutdown(&self) {
        self.0.pool.shut_down();
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    async fn attempt(
        &self,
        key: Key,
        request: DeliveryRequest,
        progress: &mut Progress,
    ) -> Result<(), ExchangeError> {
        let target = Arc::clone(&request.target);
        let route = target.route()?;
        if let Some(connection) = self.pool.take(key, &route.origin, (self.clock)()).await {
            let session = connection.session().clone();
            let copy = request.clone();
            match self.send(key, connection, route, copy, progress).await {
                // The peer closed it while we took it: it has seen nothing, or not answered at
                // all. Deliveries are at-least-once anyway. A second connection settles it.
                Err(error) if error.is_stale_connection() => self.pool.drop_closed(key, &session),
                result => return result,
            }
        }
        *progress = Progress::new(request.timeout);
        let connection = self.open_or_join(key, route, progress).await?;
        self.send(key, connection, route, request, progress).await
    }

    async fn send(
        &self,
        key: Key,
        connection: Connection,
        route: &Route,
        request: DeliveryRequest,
        progress: &mut Progress,
    ) -> Result<(), ExchangeError> {
        progress.stage = Stage::Exchanging;
        progress.session = Some(connection.session().clone());
        match connection {
            Connection::Http1(mut connection) => {
                let request = request.into_http1(route);
                if connection.exchange(request, &mut progress.answer).await? {
                    self.pool.keep(key, connection);
                }
            }
            Connection::Http2(mut connection) => {
                let request = request.into_http2(route);
                connection.exchange(request, &mut progress.answer).await?;
            }
        }
        Ok(())
    }

    /// A new connection, or the shared one that somebody else is opening.
    async fn open_or_join(
        &self,
        key: Key,
        route: &Route,
        progress: &mut Progress,
    ) -> Result<Connection, ExchangeError> {
        // Plain HTTP is HTTP/1.1: never shared.
        let mut _opening = None;
        if route.origin.scheme == Scheme::Tls {
            match self.pool.admit(key) {
                Admission::Free => {}
                Admission::First(opening) => _opening = Some(opening),
                Admission::Wait(mut done) => {
                    // An error means that the opener is done: with success or without.
                    let _done = timeout(OPENING_WAIT_MAX, done.changed()).await;
                    if let Some(shared) = self.pool.shared(key, &route.origin, (self.clock)()) {
                        return Ok(Connection::Http2(shared));
                    }
                }
            }
        }
        let connection = self.open(route, progress).await?;
        self.pool.opened(key, &connection);
        Ok(connection)
    }

    async fn open(
        &self,
        route: &Route,
        progress: &mut Progress,
    ) -> Result<Connection, ExchangeError> {
        let addresses = self.addresses(route, progress).await?;
        progress.stage = Stage::Connecting;
        let (tcp, peer) = connect::connect(&addresses, self.connect_timeout).await?;
        progress.facts.remote_ip = Some(peer.ip());
        if route.origin.scheme == Scheme::Plain {
            let session = progress.opened(route, "HTTP/1.1", None);
            return open_http1(Transport::Plain(tcp), session).await;
        }
        progress.stage = Stage::Handshaking;
        let name = route.server_name.clone();
        let (stream, chain) = self.tls.handshake(tcp, name).await?;
        let (_, tls_session) = stream.get_ref();
        progress.facts.tls = Some(tls::facts(tls_session, &chain));
        let expires_at = Some(tls::expires_at(&chain));
        if tls_session.alpn_protocol() == Some(ALPN_HTTP2) {
            let session = progress.opened(route, "HTTP/2", expires_at);
            open_http2(Transport::Tls(Box::new(stream)), session).await
        } else {
            let session = progress.opened(route, "HTTP/1.1", expires_at);
            open_http1(Transport::Tls(Box::new(stream)), session).await
        }
    }

    /// The addresses that the policy allows, at least one. The others are noted.
    async fn addresses(
        &self,
        route: &Route,
        progress: &mut Progress,
    ) -> Result<Vec<ScreenedAddr>, ExchangeError> {
        progress.stage = Stage::Resolving;
        let addresses: Vec<IpAddr> = match &route.host {
            RouteHost::Ip(ip) => vec![*ip],
            RouteHost::Name(name) => self.names.resolve(name).await?,
        };
        let mut screened = Vec::with_capacity(addresses.len());
        let mut refused = Vec::new();
        for ip in addresses {
            let addr = SocketAddr::new(ip, route.port);
            match self.address_policy.screen(addr, route.origin.scheme) {
                Ok(addr) => screened.push(addr),
                Err(denied) => refused.push(denied),
            }
        }
        progress.facts.refused = refused
            .iter()
            .map(|denied| (denied.ip, denied.reason.as_str().to_owned()))
            .collect();
        if screened.is_empty() {
            return Err(Blocked(refused).into());
        }
        Ok(screened)
    }
}

async fn open_http1(transport: Transport, session: Session) -> Result<Connection, ExchangeError> {
    match Http1::open(transport, session).await {
        Ok(connection) => Ok(Connection::Http1(Box::new(connection))),
        Err(error) => Err(ExchangeError::of_request(error, false)),
    }
}

async fn open_http2(transport: Transport, session: Session) -> Result<Connection, ExchangeError> {
    match Http2::open(transport, session).await {
        Ok(connection) => Ok(Connection::Http2(connection)),
        Err(error) => Err(ExchangeError::of_request(error, false)),
    }
}
