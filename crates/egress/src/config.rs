//! What the operator decides about going out.

use std::time::Duration;

use hookseal_domain::address_policy::AddressPolicy;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::TlsVersion;
use hookseal_pki::trust_anchor::TrustAnchorError;

use crate::operator_identity::OperatorIdentity;
use crate::pkcs11::TokenConfig;
use crate::proxy::Proxy;
use crate::resolve::Resolver;

/// What the operator decides about going out.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// Which addresses may be connected to.
    pub address_policy: AddressPolicy,
    /// Roots to trust beside the public ones: PEM text with one or more CA certificates.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Whether the public roots are trusted.
    pub public_roots: PublicRoots,
    /// The lowest TLS version that is spoken where no policy says another.
    pub tls_min_version: TlsVersion,
    /// How long a connection may lie unused before it is closed.
    pub idle_timeout: Duration,
    /// Most unused connections that are kept for one endpoint.
    pub idle_per_endpoint_max: usize,
    /// Most unused connections that are kept for all endpoints together: each is a file
    /// descriptor.
    pub idle_max: usize,
    /// How long connecting may take, over all addresses, within the attempt's own deadline.
    pub connect_timeout: Duration,
    /// Who turns names into addresses.
    pub resolver: Resolver,
    /// The proxies that policies may choose.
    pub proxies: Vec<Proxy>,
    /// The name of the one that is gone through where no policy chooses.
    pub proxy: Option<Name>,
    /// The client identities that policies may choose. One that can't be used holds up no other.
    pub identities: Vec<OperatorIdentity>,
    /// The PKCS#11 token with keys of theirs.
    pub token: Option<TokenConfig>,
}

/// Whether the public roots are trusted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PublicRoots {
    /// Those of Mozilla's list that is built in.
    #[default]
    Mozilla,
    /// None: only what the operator gave.
    None,
}

/// The configuration can't be applied; nothing is sent until it is mended.
#[derive(Debug, thiserror::Error)]
pub enum EgressConfigError {
    /// The operator's roots are not usable.
    #[error("egress.extra_roots: {0}")]
    ExtraRoots(#[source] TrustAnchorError),
    /// Nothing would be trusted.
    #[error("no trust anchors: neither the public roots nor egress.extra_roots are in use")]
    NoRoots,
    /// The default proxy is none of the configured ones.
    #[error("there is no proxy {0} in egress.proxies")]
    NoSuchProxy(Name),
    /// The TLS library refuses the protocol versions or algorithms.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

// === impl EgressConfig ===

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            address_policy: AddressPolicy::default(),
            extra_roots_pem: None,
            public_roots: PublicRoots::Mozilla,
            tls_min_version: TlsVersion::Tls13,
            idle_timeout: Duration::from_secs(60),
            idle_per_endpoint_max: 64,
            idle_max: 4096,
            connect_timeout: Duration::from_secs(5),
            resolver: Resolver::System,
            proxies: Vec::new(),
            proxy: None,
            identities: Vec::new(),
            token: None,
        }
    }
}
