//! One attempt on the wire: a request out, a bounded answer back, one deadline for all of it.
//!
//! **Invariant:** the answer counts from the moment its head is complete: a status that a receiver
//! sent is not taken back because the body after it is long, slow or cut off. Redirects are
//! answers; nothing follows them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::address_policy::{AddressPolicy, ScreenedAddr};
use hookseal_domain::delivery::attempt::ConnectionFacts;
use hookseal_domain::delivery::outcome::{FailureKind, Reply};
use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::id::EndpointId;
use hookseal_domain::limits::RESPONSE_BODY_BYTES_MAX;
use hookseal_domain::time::Timestamp;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use crate::config::{EgressConfig, EgressConfigError};
use crate::connect;
use crate::connection::{Answer, Connection, Http1, Http2, RequestBody, Rest, Session};
use crate::error::{Blocked, ExchangeError, reason};
use crate::pool::{Admission, Key, Pool, PoolLimits};
use crate::resolve::Names;
use crate::stream::Transport;
use crate::target::{Route, RouteHost, Target};
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

/// One attempt to be made: a POST.
#[derive(Clone, Debug)]
pub struct DeliveryRequest {
    /// Whose connections may be used.
    pub endpoint: EndpointId,
    /// Which of them: those that were opened for this generation of the endpoint.
    pub generation: u64,
    /// Where to.
    pub target: Arc<Target>,
    /// Everything but `Host` and `Content-Length`, which are added.
    pub headers: HeaderMap,
    /// The body, sent as it is.
    pub body: Bytes,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// One attempt that was made.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// What came back.
    pub reply: Reply,
    /// Why it failed, or what is odd about the answer, for people. No secrets.
    pub reason: Option<String>,
    /// The first bytes of the answer's body, at most [`RESPONSE_BODY_BYTES_MAX`].
    pub body: Bytes,
    /// What is known of the connection.
    pub connection: ConnectionFacts,
    /// From start to end.
    pub duration: Duration,
}

/// What is known so far; outlives an attempt that the deadline cuts off.
#[derive(Default)]
struct Progress {
    stage: Stage,
    /// The connection that is used.
    session: Option<Session>,
    /// What is known before there is one.
    facts: ConnectionFacts,
    answer: Answer,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Waiting,
    Resolving,
    Connecting,
    Handshaking,
    Exchanging,
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
        let timeout = request.timeout;
        let mut progress = Progress::default();
        let attempt = self.0.attempt(key, request, &mut progress);
        let (reply, reason) = match timeout_at(began + timeout, attempt).await {
            Ok(result) => progress.conclude(result),
            Err(_) => {
                self.0.pool.distrust_shared(key);
                progress.conclude_late(timeout)
            }
        };
        Exchanged {
            reply,
            reason,
            body: Bytes::from(progress.answer.body),
            connection: match progress.session {
                Some(session) => (*session.facts()).clone(),
                None => progress.facts,
            },
            duration: began.elapsed(),
        }
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
            let copy = request.clone();
            match self.send(key, connection, route, copy, progress).await {
                // The peer closed it while we took it: it has seen nothing, or not answered at
                // all. Deliveries are at-least-once anyway. A second connection settles it.
                Err(error) if error.is_stale_connection() => {}
                result => return result,
            }
        }
        *progress = Progress::default();
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
        match connection {
            Connection::Http1(mut connection) => {
                progress.session = Some(connection.session().clone());
                let request = http1_request(route, request);
                if connection.exchange(request, &mut progress.answer).await? {
                    self.pool.keep(key, connection);
                }
            }
            Connection::Http2(mut connection) => {
                progress.session = Some(connection.session().clone());
                let request = http2_request(route, request);
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
                    let _done = done.changed().await;
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
            let session = progress.session(route, "HTTP/1.1", None);
            return open_http1(Transport::Plain(tcp), session).await;
        }
        progress.stage = Stage::Handshaking;
        let name = route.server_name.clone();
        let (stream, chain) = self.tls.handshake(tcp, name).await?;
        let (_, tls_session) = stream.get_ref();
        progress.facts.tls = Some(tls::facts(tls_session, &chain));
        let expires_at = Some(tls::expires_at(&chain));
        if tls_session.alpn_protocol() == Some(ALPN_HTTP2) {
            let session = progress.session(route, "HTTP/2", expires_at);
            open_http2(Transport::Tls(Box::new(stream)), session).await
        } else {
            let session = progress.session(route, "HTTP/1.1", expires_at);
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

fn http1_request(route: &Route, request: DeliveryRequest) -> Request<RequestBody> {
    let mut message = post(request);
    *message.uri_mut() = route.origin_form.clone();
    let host = route.origin.authority.clone();
    message.headers_mut().insert(HOST, host);
    message
}

fn http2_request(route: &Route, request: DeliveryRequest) -> Request<RequestBody> {
    let mut message = post(request);
    *message.uri_mut() = route.absolute_form.clone();
    *message.version_mut() = http::Version::HTTP_2;
    message.headers_mut().remove(HOST);
    message
}

fn post(request: DeliveryRequest) -> Request<RequestBody> {
    let mut message = Request::new(Full::new(request.body));
    *message.method_mut() = Method::POST;
    *message.headers_mut() = request.headers;
    // How the message is framed is nobody's business but hyper's.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        message.headers_mut().remove(name);
    }
    message
}

// === impl Progress ===

impl Progress {
    fn session(
        &mut self,
        route: &Route,
        http_version: &str,
        expires_at: Option<Timestamp>,
    ) -> Session {
        self.facts.http_version = Some(http_version.to_owned());
        Session::new(route.origin.clone(), self.facts.clone(), expires_at)
    }

    fn conclude(&self, result: Result<(), ExchangeError>) -> (Reply, Option<String>) {
        let odd = match &self.answer.rest {
            Rest::None => None,
            Rest::Unread => Some(format!(
                "the answer's body is longer than {RESPONSE_BODY_BYTES_MAX} bytes; the rest was \
                 not read"
            )),
            Rest::Lost(error) => Some(format!(
                "the answer's body did not arrive whole: {}",
                reason(error)
            )),
        };
        match result {
            Ok(()) => (self.reply(FailureKind::Internal), odd),
            Err(error) => (Reply::Failure(error.kind()), Some(reason(&error))),
        }
    }

    fn conclude_late(&self, timeout: Duration) -> (Reply, Option<String>) {
        let ms = timeout.as_millis();
        let reason = match self.answer.head {
            Some(_) => format!("the answer's body did not arrive whole within {ms} ms"),
            None => format!("no answer within {ms} ms: the time was up {}", self.stage),
        };
        (self.reply(FailureKind::TimedOut), Some(reason))
    }

    fn reply(&self, without_head: FailureKind) -> Reply {
        match &self.answer.head {
            Some(head) => Reply::Response {
                status: head.status,
                retry_after: head.retry_after,
            },
            None => Reply::Failure(without_head),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "while waiting for a connection",
            Self::Resolving => "while the name was being resolved",
            Self::Connecting => "while connecting",
            Self::Handshaking => "during the TLS handshake",
            Self::Exchanging => "while waiting for the answer",
        })
    }
}
