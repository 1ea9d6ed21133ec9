//! Opens connections: name → addresses → screened addresses → TCP → TLS → HTTP.
//!
//! **Invariant:** what is connected to is the very address that the policy screened; over TLS, no
//! connection without a verified server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hookseal_domain::address_policy::{AddressPolicy, ScreenedAddr};
use hookseal_domain::endpoint::url::Scheme;
use hookseal_domain::time::Timestamp;
use hookseal_pki::certificate::CertificateSha256;
use hookseal_pki::chain::ObservedChain;
use tokio::time::Instant;

use crate::client::Clock;
use crate::connect;
use crate::connection::{ClientSide, Connection, Http1, Http2, Opened, Session};
use crate::error::{Blocked, ExchangeError};
use crate::exchange::{Progress, Stage};
use crate::identity::Presenter;
use crate::resolve::Names;
use crate::revocation::{Question, Revocation, Verdict};
use crate::stream::Carrier;
use crate::target::{Route, RouteHost};
use crate::tls::{ALPN_HTTP2, Handshake, Shaken, TlsError};
use crate::transport::Transport;
use crate::verifier::Conduct;
use crate::wire::Wire;

/// Opens connections.
pub(crate) struct Opener {
    pub(crate) address_policy: AddressPolicy,
    pub(crate) connect_timeout: Duration,
    pub(crate) names: Arc<Names>,
    pub(crate) revocation: Revocation,
    pub(crate) clock: Clock,
}

// === impl Opener ===

impl Opener {
    /// Opens a connection on which none of the `refused` certificates of ours is presented.
    pub(crate) async fn open(
        &self,
        route: &Route,
        transport: &Arc<Transport>,
        refused: &[CertificateSha256],
        progress: &mut Progress,
    ) -> Result<Connection, ExchangeError> {
        if route.origin.scheme == Scheme::Plain {
            let wire = self.reach(route, transport, progress).await?;
            let session = self.session(route, progress, ClientSide::NotAsked, None);
            return open_http1(Carrier::Plain(wire), session).await;
        }
        // Looked at before anything is resolved: it fails closed.
        let presenter = self.presenter(route, transport, refused)?;
        let wire = self.reach(route, transport, progress).await?;
        progress.stage = Stage::Handshaking;
        let handshake = Handshake::new(transport, Conduct::Enforce, presenter);
        let shaken = handshake.perform(wire, &route.server_name).await;
        let mut report = handshake.report((self.clock)(), shaken.as_ref().ok());
        report.remote_ip = progress.facts.remote_ip;
        progress.facts.tls = report.tls.clone();
        progress.handshake = Some(Box::new(report));
        let presented = handshake.presenter().presented();
        progress.presented = presented.as_ref().map(|one| one.sha256());
        let shaken = shaken?;
        progress.stage = Stage::LookingUpRevocation;
        // Half of the time is left for the request.
        let within = progress.time_left() / 2;
        let known = self.look_up_revocation(transport, &shaken, within).await?;
        if let Some(report) = &mut progress.handshake {
            report.revocation = known.finding;
        }
        if let Some(failed) = known.failure {
            return Err(ExchangeError::Revocation(failed));
        }
        // HTTP/2 speaks first: from here on there are bytes of HTTP.
        progress.check_policy_holds(transport)?;
        let client = match progress.presented {
            Some(certificate) => ClientSide::Presented(certificate),
            None if handshake.presenter().was_asked() => ClientSide::NotPresented,
            None => ClientSide::NotAsked,
        };
        let ours_ends = presented.map(|one| one.not_after());
        let expires_at = shaken.expires_at().into_iter().chain(ours_ends).min();
        self.speak(route, progress, shaken, client, expires_at)
            .await
    }

    /// A TCP connection to an address that the policy allows, directly or through a proxy.
    pub(crate) async fn reach(
        &self,
        route: &Route,
        transport: &Transport,
        progress: &mut Progress,
    ) -> Result<Wire, ExchangeError> {
        progress.proxy = transport.proxy_name();
        let addresses = self.addresses(route, progress).await?;
        progress.stage = Stage::Connecting;
        let within = self.connect_timeout;
        let (tcp, peer) = match &transport.proxy {
            Some(proxy) => proxy.connect(&self.names, &addresses, within).await?,
            None => connect::connect(&addresses, within).await?,
        };
        progress.facts.remote_ip = Some(peer.ip());
        Ok(Wire::new(tcp))
    }

    /// Who presents our certificates; fails if there should be one and none is valid.
    pub(crate) fn presenter(
        &self,
        route: &Route,
        transport: &Transport,
        refused: &[CertificateSha256],
    ) -> Result<Presenter, ExchangeError> {
        let Some(identity) = &transport.identity else {
            return Ok(Presenter::nobody());
        };
        let now = (self.clock)();
        if !identity.has_others(&[], now) {
            let name = identity.name().clone();
            return Err(match identity.trouble() {
                Some(why) => ExchangeError::UnusableIdentity { name, why },
                None => ExchangeError::NoValidCertificate(name),
            });
        }
        Ok(identity.presenter(&route.origin.authority, now, refused))
    }

    /// What is known of the revocation of certificates that were verified.
    pub(crate) async fn look_up_revocation(
        &self,
        transport: &Transport,
        shaken: &Shaken,
        within: Duration,
    ) -> Result<Verdict, TlsError> {
        let sent = shaken.stream.get_ref().1.peer_certificates();
        let (Some((leaf, others)), Ok(verified)) =
            (sent.and_then(|sent| sent.split_first()), &shaken.seen.chain)
        else {
            return Err(TlsError::Unverified);
        };
        let Ok(observed) = ObservedChain::new(leaf, others) else {
            return Err(TlsError::Unverified);
        };
        let question = Question {
            mode: transport.revocation,
            observed: &observed,
            verified,
            roots: transport.roots.sets(),
            staple: &shaken.seen.staple,
            crl_urls: &transport.crl_urls,
            proxy: transport.proxy.as_ref(),
            now: (self.clock)(),
            within,
        };
        Ok(self.revocation.check(&question).await)
    }

    async fn speak(
        &self,
        route: &Route,
        progress: &mut Progress,
        shaken: Shaken,
        client: ClientSide,
        expires_at: Option<Timestamp>,
    ) -> Result<Connection, ExchangeError> {
        let stream = shaken.stream;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
        progress.facts.http_version = is_http2.then(|| "HTTP/2".to_owned());
        let session = self.session(route, progress, client, expires_at);
        if is_http2 {
            Http2::open(Carrier::Tls(stream), session)
                .await
                .map(Connection::Http2)
        } else {
            open_http1(Carrier::Tls(stream), session).await
        }
    }

    /// What is known of a new connection.
    fn session(
        &self,
        route: &Route,
        progress: &mut Progress,
        client: ClientSide,
        expires_at: Option<Timestamp>,
    ) -> Session {
        let version = &mut progress.facts.http_version;
        version.get_or_insert_with(|| "HTTP/1.1".to_owned());
        Session::new(Opened {
            origin: route.origin.clone(),
            facts: progress.facts.clone(),
            opened_at: Instant::now(),
            expires_at,
            client,
            proven: AtomicBool::new(false),
        })
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

async fn open_http1(carrier: Carrier, session: Session) -> Result<Connection, ExchangeError> {
    let connection = Http1::open(carrier, session).await?;
    Ok(Connection::Http1(Box::new(connection)))
}
