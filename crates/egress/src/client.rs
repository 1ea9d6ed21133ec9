//! Makes attempts: takes a kept connection or opens one, and sends.
//!
//! **Invariant:** what is connected to is a `ScreenedAddr`; what is sent to over TLS was verified.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::policy::{ResolvedTransport, TransportDefaults};
use hookseal_pki::certificate::CertificateSha256;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{EgressConfig, EgressConfigError};
use crate::connection::{ClientSide, Connection};
use crate::error::{ExchangeError, is_leave};
use crate::exchange::{DeliveryRequest, Exchanged, Progress, Stage};
use crate::limits::OPENING_WAIT_MAX;
use crate::open::Opener;
use crate::operator_identity::OperatorIdentityStatus;
use crate::pool::{Admission, Key, Pool, PoolLimits};
use crate::resolve::Names;
use crate::revocation::Revocation;
use crate::target::{Route, Target};
use crate::transport::{Transport, TransportError, Workshop};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Sends requests to receivers. A clone is the same one.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    workshop: Workshop,
    opener: Opener,
    pool: Arc<Pool>,
    clock: Clock,
}

// === impl Egress ===

impl Egress {
    /// Prepares everything that needs no network. Fails if what the operator demands can't be had.
    pub fn new(config: EgressConfig, clock: Clock) -> Result<Self, EgressConfigError> {
        let workshop = Workshop::new(&config, Arc::clone(&clock))?;
        let limits = PoolLimits {
            per_endpoint_max: config.idle_per_endpoint_max,
            total_max: config.idle_max,
            idle_timeout: config.idle_timeout,
        };
        let names = Arc::new(Names::new(config.resolver));
        let address_policy = config.address_policy;
        Ok(Self(Arc::new(Inner {
            workshop,
            opener: Opener {
                revocation: Revocation::new(Arc::clone(&names), address_policy.clone()),
                address_policy,
                connect_timeout: config.connect_timeout,
                names,
                clock: Arc::clone(&clock),
            },
            pool: Arc::new(Pool::new(limits)),
            clock,
        })))
    }

    /// What holds where no policy says anything.
    pub fn defaults(&self) -> TransportDefaults {
        self.0.workshop.defaults().clone()
    }

    /// Makes what the connections of a policy need. Make one for each change of the policy, not one
    /// for each request: connections are shared only by requests that bring the same one.
    pub fn transport(
        &self,
        resolved: &ResolvedTransport,
    ) -> Result<Arc<Transport>, TransportError> {
        self.0.workshop.make(resolved).map(Arc::new)
    }

    /// Makes one attempt. Whatever happens is in the result, and it happens within the request's
    /// timeout.
    pub async fn exchange(&self, request: DeliveryRequest) -> Exchanged {
        let began = Instant::now();
        let key = Key {
            endpoint: request.endpoint,
            generation: request.generation,
            transport: request.transport.id(),
            identity_epoch: request.transport.identity_epoch(),
        };
        let deadline = began + request.timeout;
        let mut progress = Progress::new(request.timeout);
        progress.answer.bytes_max = request.answer_bytes_max;
        progress.answer.headers_wanted = request.answer_headers;
        let attempt = self.0.attempt(key, request, &mut progress);
        let result = timeout_at(deadline, attempt).await;
        if let (Err(_), Some(session)) = (&result, progress.unanswered()) {
            self.0.pool.distrust(key, session);
        }
        progress.conclude(result, began.elapsed(), (self.0.clock)())
    }

    /// Makes a handshake to look, not to send, and reports whatever was seen, verified or not. Our
    /// certificate is presented as the policy says; pins are compared but not enforced. Never sends
    /// a byte of HTTP. A server that tells in HTTP that it refuses our certificate is not found out.
    pub async fn probe(
        &self,
        target: &Target,
        transport: &Arc<Transport>,
        timeout: Duration,
    ) -> HandshakeReport {
        self.0.opener.probe(target, transport, timeout).await
    }

    /// Closes the unused connections of an endpoint that was changed or deleted.
    pub fn forget(&self, endpoint: EndpointId) {
        self.0.pool.forget(endpoint);
    }

    /// Closes connections that were unused for too long or that the peer has closed. To be called
    /// every few seconds, on a thread that may read small files: the operator's identities are
    /// followed here too.
    pub fn sweep(&self) {
        let now = (self.0.clock)();
        self.0.pool.sweep(now);
        self.0.workshop.identities().poll(now);
    }

    /// How the client identities of the operator's are.
    pub fn operator_identities(&self) -> Vec<OperatorIdentityStatus> {
        self.0.workshop.identities().statuses()
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
                Err(error) if error.is_stale_connection() => {}
                // Somebody else opened it and meets the same.
                Ok(()) if progress.refuses_certificate() => {}
                result => return result,
            }
            self.pool.drop_closed(key, &session);
        }
        // In a box of its own: what opens a connection is ten times as large as what uses one, and
        // would be moved about with every request.
        let copy = request.clone();
        match Box::pin(self.attempt_anew(key, route, copy, progress)).await {
            // It reloads just now: the next connection is to what comes after.
            Err(error) if error.is_leave() => {
                Box::pin(self.attempt_anew(key, route, request, progress)).await
            }
            result => result,
        }
    }

    /// Makes an attempt on a new connection. If the receiver refuses our certificate and there are
    /// older ones that it may know, on one for each of them.
    async fn attempt_anew(
        &self,
        key: Key,
        route: &Route,
        request: DeliveryRequest,
        progress: &mut Progress,
    ) -> Result<(), ExchangeError> {
        let mut refused: Vec<CertificateSha256> = Vec::new();
        // What a receiver says nothing of may be no refusal: it is not remembered as one.
        let mut all_in_words = true;
        loop {
            progress.restart();
            let result = self
                .send_on_new(key, route, request.clone(), &refused, progress)
                .await;
            let identity = request.transport.identity.as_ref();
            let (Some(identity), Some(presented)) = (identity, progress.presented) else {
                return result;
            };
            let failure = match &result {
                Ok(()) => progress.answered_failure(),
                Err(error) => error.tls_failure(),
            };
            all_in_words &= failure != Some(TlsFailure::ClosedWithoutAlert);
            if failure.is_none_or(|failure| !may_refuse_certificate(failure)) {
                if result.is_ok() && !refused.is_empty() && all_in_words {
                    identity.remember(&route.origin.authority, presented);
                }
                return result;
            }
            identity.refused(presented);
            refused.push(presented);
            // The next one is to be shared in its place.
            if let Some(session) = &progress.session {
                self.pool.drop_closed(key, session);
            }
            if !identity.has_others(&refused, (self.clock)()) {
                return result;
            }
        }
    }

    async fn send_on_new(
        &self,
        key: Key,
        route: &Route,
        request: DeliveryRequest,
        refused: &[CertificateSha256],
        progress: &mut Progress,
    ) -> Result<(), ExchangeError> {
        let transport = Arc::clone(&request.transport);
        let connection = self
            .open_or_join(key, route, &transport, refused, progress)
            .await?;
        if let ClientSide::Presented(certificate) = connection.session().client() {
            progress.presented = Some(certificate);
        }
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
        progress.check_policy_holds(&request.transport)?;
        progress.stage = Stage::Exchanging;
        let session = connection.session().clone();
        let signs = connection.signs().clone();
        progress.session = Some(session.clone());
        let answer = &mut progress.answer;
        let sent = match connection {
            Connection::Http1(mut connection) => {
                let request = request.into_http1(route);
                let sent = connection.exchange(request, answer).await;
                sent.map(|reusable| {
                    if reusable && !progress.refuses_certificate() {
                        self.pool.keep(key, connection);
                    }
                })
            }
            Connection::Http2(mut connection) => {
                let request = request.into_http2(route);
                connection.exchange(request, answer).await
            }
        };
        match sent {
            Err(ExchangeError::Closed(error))
                if session.is_on_trial() && !is_leave(&error, &signs) =>
            {
                Err(ExchangeError::ClosedWithoutAlert(error))
            }
            Err(error) => Err(error),
            Ok(()) => {
                if !progress.refuses_certificate() {
                    session.prove();
                }
                Ok(())
            }
        }
    }

    /// A new connection, or the shared one that somebody else is opening.
    async fn open_or_join(
        &self,
        key: Key,
        route: &Route,
        transport: &Arc<Transport>,
        refused: &[CertificateSha256],
        progress: &mut Progress,
    ) -> Result<Connection, ExchangeError> {
        // Plain HTTP is HTTP/1.1: never shared. Nor is what is tried after a refusal.
        let mut _opening = None;
        if route.origin.scheme == Scheme::Tls && refused.is_empty() {
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
        let connection = self
            .opener
            .open(route, transport, refused, progress)
            .await?;
        self.pool.opened(key, &connection);
        Ok(connection)
    }
}

/// Some servers say nothing when they refuse a certificate: they close the connection.
fn may_refuse_certificate(failure: TlsFailure) -> bool {
    failure.refuses_our_certificate() || failure == TlsFailure::ClosedWithoutAlert
}
