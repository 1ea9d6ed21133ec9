//! What the connections of one policy need, made once and never changed.
//!
//! **Invariant:** a policy that can't be applied whole makes none; a connection that was made for
//! one transport is never used for another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{
    IdentityChoice, KeyExchangeGroup, Pinning, ResolvedTransport, RevocationMode, TlsVersion,
    TransportDefaults,
};
use hookseal_pki::certificate::SpkiSha256;
use hookseal_pki::trust_anchor::TrustAnchors;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::{ServerName, UnixTime};

use crate::client::Clock;
use crate::config::{EgressConfig, EgressConfigError};
use crate::identity::{ClientCertificates, Presenter};
use crate::operator_identity::OperatorIdentities;
use crate::pkcs11::Token;
use crate::proxy::Proxy;
use crate::tls::{ALPN_HTTP1, ALPN_HTTP2};
use crate::trust::{TrustedRoots, operators_roots};
use crate::verifier::NoVerifier;

/// What the connections of one policy need: made of a policy, used by everything that is sent under
/// it. Connections are shared only by requests that bring the same one.
pub struct Transport {
    id: u64,
    /// Whether its policy holds no more.
    retired: AtomicBool,
    /// Complete but for the verifier and our certificates, which each connection brings.
    pub(crate) tls: ClientConfig,
    pub(crate) roots: TrustedRoots,
    pub(crate) pinning: Pinning,
    pub(crate) pins: Vec<SpkiSha256>,
    pub(crate) min_version: TlsVersion,
    pub(crate) identity: Option<ClientCertificates>,
    pub(crate) revocation: RevocationMode,
    pub(crate) crl_urls: Vec<String>,
    /// The name to verify and to tell, where it is not the URL's host.
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(crate) proxy: Option<Arc<Proxy>>,
}

/// A policy can't be applied: nothing may be sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct TransportError {
    /// What it means for an attempt.
    pub failure: TlsFailure,
    /// Why, for people.
    pub reason: String,
}

/// What all transports are made of.
pub(crate) struct Workshop {
    roots: Arc<TrustAnchors>,
    clock: Clock,
    proxies: Vec<Arc<Proxy>>,
    identities: OperatorIdentities,
    defaults: TransportDefaults,
}

/// The clock, as rustls asks for it.
struct ClockTime(Clock);

// === impl Transport ===

impl Transport {
    /// Its policy holds no more: whatever has not begun to send under it sends nothing. To be called
    /// when nothing new is to be sent under it; what is being sent goes on to its end. There is no
    /// way back: who needs the same policy again makes a new one.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Whether its policy holds no more.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Tells one from every other of this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Changes with each change of the operator's identity that is presented.
    pub(crate) fn identity_epoch(&self) -> u64 {
        self.identity.as_ref().map_or(0, ClientCertificates::epoch)
    }

    /// The name of the proxy that is gone through.
    pub(crate) fn proxy_name(&self) -> Option<Name> {
        self.proxy.as_ref().map(|proxy| proxy.name.clone())
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        self.tls.crypto_provider()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("id", &self.id)
            .field("min_version", &self.min_version)
            .field("pinning", &self.pinning)
            .field("identity", &self.identity.as_ref().map(|one| one.name()))
            .field("revocation", &self.revocation)
            .field("server_name", &self.server_name)
            .field("proxy", &self.proxy.as_ref().map(|proxy| &proxy.name))
            .finish_non_exhaustive()
    }
}

// === impl TransportError ===

impl TransportError {
    fn new(failure: TlsFailure, reason: impl fmt::Display) -> Self {
        Self {
            failure,
            reason: reason.to_string(),
        }
    }

    fn policy(reason: impl fmt::Display) -> Self {
        Self::new(TlsFailure::PolicyUnusable, reason)
    }
}

// === impl Workshop ===

impl Workshop {
    pub(crate) fn new(config: &EgressConfig, clock: Clock) -> Result<Self, EgressConfigError> {
        let proxies: Vec<_> = config.proxies.iter().cloned().map(Arc::new).collect();
        let names: Vec<_> = proxies.iter().map(|proxy| proxy.name.clone()).collect();
        if let Some(name) = config.proxy.as_ref().filter(|name| !names.contains(name)) {
            return Err(EgressConfigError::NoSuchProxy(name.clone()));
        }
        let token = config.token.clone().map(Token::new).map(Arc::new);
        let identities = OperatorIdentities::load(&config.identities, token.as_ref(), clock());
        let workshop = Self {
            roots: Arc::new(operators_roots(config)?),
            clock,
            proxies,
            defaults: TransportDefaults {
                tls_min_version: config.tls_min_version,
                identities: identities.names().cloned().collect(),
                proxies: names,
                proxy: config.proxy.clone(),
            },
            identities,
        };
        workshop.tls(config.tls_min_version, &KeyExchangeGroup::ALL)?;
        Ok(workshop)
    }

    pub(crate) fn defaults(&self) -> &TransportDefaults {
        &self.defaults
    }

    /// The operator's client identities.
    pub(crate) fn identities(&self) -> &OperatorIdentities {
        &self.identities
    }

    /// Makes a transport.
    pub(crate) fn make(&self, resolved: &ResolvedTransport) -> Result<Transport, TransportError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let groups = resolved.key_exchange_groups.as_slice();
        let tls = self.tls(resolved.tls_min_version, groups);
        let own_roots = match &resolved.trust_anchors {
            Some(set) => {
                let ders = set.anchors.iter().map(|anchor| anchor.der.as_slice());
                let roots = TrustAnchors::none().with_der(ders);
                let unusable = |error| {
                    TransportError::policy(format!("trust anchor set {}: {error}", set.name))
                };
                Some(roots.map_err(unusable)?)
            }
            None => None,
        };
        let server_name = resolved.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| {
                TransportError::policy(format!(
                    "serverName {name:?} is neither a name nor an address"
                ))
            })
        });
        Ok(Transport {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            retired: AtomicBool::new(false),
            tls: tls.map_err(TransportError::policy)?,
            roots: TrustedRoots::new(resolved.trust, &self.roots, own_roots),
            pinning: resolved.pinning,
            pins: resolved.pins.clone(),
            min_version: resolved.tls_min_version,
            identity: self.identity(resolved.client_identity.as_ref())?,
            revocation: resolved.revocation,
            crl_urls: resolved.crl_urls.clone(),
            server_name: server_name.transpose()?,
            proxy: self.proxy(resolved.proxy.as_ref())?,
        })
    }

    fn proxy(&self, name: Option<&Name>) -> Result<Option<Arc<Proxy>>, TransportError> {
        let Some(name) = name else {
            return Ok(None);
        };
        let found = self.proxies.iter().find(|proxy| proxy.name == *name);
        let missing = || TransportError::policy(format!("the operator configured no proxy {name}"));
        found.cloned().map(Some).ok_or_else(missing)
    }

    fn identity(
        &self,
        choice: Option<&IdentityChoice>,
    ) -> Result<Option<ClientCertificates>, TransportError> {
        let unusable =
            |error: &dyn fmt::Display| TransportError::new(TlsFailure::IdentityUnusable, error);
        match choice {
            None => Ok(None),
            Some(IdentityChoice::Own(identity)) => ClientCertificates::of(identity)
                .map(Some)
                .map_err(|error| unusable(&error)),
            Some(IdentityChoice::Operator(name)) => match self.identities.get(name) {
                Some(identity) => Ok(Some(ClientCertificates::of_operator(identity))),
                None => Err(TransportError::policy(format!(
                    "the operator configured no client identity {name}"
                ))),
            },
        }
    }

    fn tls(
        &self,
        min_version: TlsVersion,
        groups: &[KeyExchangeGroup],
    ) -> Result<ClientConfig, rustls::Error> {
        let mut provider = default_provider();
        provider.kx_groups = groups.iter().map(|group| supported(*group)).collect();
        let versions: &[_] = match min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let time = Arc::new(ClockTime(Arc::clone(&self.clock)));
        let mut config = ClientConfig::builder_with_details(Arc::new(provider), time)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NoVerifier))
            .with_client_cert_resolver(Arc::new(Presenter::nobody()));
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
        Ok(config)
    }
}

fn supported(group: KeyExchangeGroup) -> &'static dyn SupportedKxGroup {
    match group {
        KeyExchangeGroup::X25519MlKem768 => kx_group::X25519MLKEM768,
        KeyExchangeGroup::X25519 => kx_group::X25519,
        KeyExchangeGroup::Secp256r1 => kx_group::SECP256R1,
        KeyExchangeGroup::Secp384r1 => kx_group::SECP384R1,
    }
}

// === impl ClockTime ===

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = u64::try_from((self.0)().as_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(secs)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}
