//! A transport policy: what an endpoint demands of its connections. Policies lie in layers: what
//! one leaves out, the layer below it says.
//!
//! **Invariant:** a policy that can't be applied whole is not applied at all.

use std::fmt;
use std::sync::Arc;

use hookseal_pki::certificate::SpkiSha256;

use crate::transport::anchor_set::AnchorSet;
use crate::transport::identity::ClientIdentity;
use crate::transport::name::Name;
use crate::transport::pin::PinSet;
use crate::violation::Violation;

/// The named policy that lies under all others of its organisation.
pub const DEFAULT_POLICY: &str = "default";
/// Most URLs of revocation lists in one policy.
pub const CRL_URLS_MAX: usize = 8;

/// One layer. `None` leaves the decision to the layer below.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TransportPolicy {
    /// The lowest TLS version that is spoken.
    pub tls_min_version: Option<TlsVersion>,
    /// Which key exchanges are offered, preferred first.
    pub key_exchange_groups: Option<KeyExchangeGroups>,
    /// Which roots count.
    pub trust: Option<Trust>,
    /// Which set of private roots.
    pub trust_anchors: Option<Name>,
    /// What pins do.
    pub pinning: Option<Pinning>,
    /// Which certificate we present.
    pub client_identity: Option<Choice>,
    /// Whether revocation is looked up.
    pub revocation: Option<RevocationMode>,
    /// Revocation lists to read beside those that certificates name: `http://` URLs.
    pub crl_urls: Option<Vec<String>>,
    /// The name that the certificate has to be valid for and that SNI tells, where it is not the
    /// URL's host.
    pub server_name: Option<String>,
    /// Which of the operator's proxies is gone through.
    pub proxy: Option<Choice>,
    /// Whether `http://` may be used where the operator allows it.
    pub plain_http: Option<PlainHttpUse>,
}

/// What an endpoint says itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndpointTransport {
    /// The named policy under the endpoint's own.
    pub policy: Option<Name>,
    /// Its own layer, the uppermost.
    pub own: TransportPolicy,
    /// Its pins.
    pub pins: PinSet,
}

/// What holds for one endpoint, all layers put together and all names looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedTransport {
    /// The lowest TLS version that is spoken.
    pub tls_min_version: TlsVersion,
    /// Which key exchanges are offered, preferred first.
    pub key_exchange_groups: KeyExchangeGroups,
    /// Which roots count.
    pub trust: Trust,
    /// The private roots; there where `trust` needs them.
    pub trust_anchors: Option<Arc<AnchorSet>>,
    /// What pins do.
    pub pinning: Pinning,
    /// The pinned keys, whatever state their pins are in.
    pub pins: Vec<SpkiSha256>,
    /// The certificate that we present.
    pub client_identity: Option<IdentityChoice>,
    /// Whether revocation is looked up.
    pub revocation: RevocationMode,
    /// Revocation lists to read beside those that certificates name.
    pub crl_urls: Vec<String>,
    /// The name to verify instead of the URL's host.
    pub server_name: Option<String>,
    /// Which of the operator's proxies is gone through.
    pub proxy: Option<Name>,
}

/// Whose identity is presented.
#[derive(Clone, Debug, PartialEq)]
pub enum IdentityChoice {
    /// One that the organisation keeps here.
    Own(Arc<ClientIdentity>),
    /// One that the operator configured on this node: from files or a PKCS#11 token.
    Operator(Name),
}

/// What holds where no policy says anything: the operator's configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TransportDefaults {
    /// The lowest TLS version that is spoken.
    pub tls_min_version: TlsVersion,
    /// Names of the identities that the operator configured.
    pub identities: Vec<Name>,
    /// Names of the proxies that the operator configured.
    pub proxies: Vec<Name>,
    /// The proxy that is gone through where no policy chooses.
    pub proxy: Option<Name>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TlsVersion {
    /// RFC 5246, with AEAD suites and forward secrecy only.
    Tls12,
    /// RFC 9846.
    #[default]
    Tls13,
}

/// A way to agree on keys, by its IANA name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyExchangeGroup {
    /// `X25519MLKEM768`: hybrid, safe from later decryption by quantum computers.
    X25519MlKem768,
    /// `x25519`.
    X25519,
    /// `secp256r1`.
    Secp256r1,
    /// `secp384r1`.
    Secp384r1,
}

/// Which key exchanges are offered, preferred first: at least one, none twice.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct KeyExchangeGroups(Vec<KeyExchangeGroup>);

/// Which roots count.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Trust {
    /// Those that the operator configured: Mozilla's list unless switched off, and extra ones.
    #[default]
    Public,
    /// Those of the policy's trust anchor set and no others.
    Private,
    /// Both.
    Both,
}

/// What pins do.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Pinning {
    /// Nothing.
    #[default]
    Off,
    /// What matches is noted; what does not match is noted and let through.
    Report,
    /// One has to match.
    Enforce,
}

/// Whether revocation is looked up.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum RevocationMode {
    /// No.
    #[default]
    Off,
    /// Yes; what can't be found out is let through.
    Soft,
    /// Yes; what can't be found out is not sent to.
    Hard,
}

/// Something by its name, or explicitly nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Nothing, whatever the layer below says.
    Nothing,
    /// The one of this name.
    Named(Name),
}

/// Whether `http://` may be used where the operator allows it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PlainHttpUse {
    /// As the operator says.
    #[default]
    AsOperator,
    /// Never.
    Never,
}

/// Why a policy can't be applied; nothing is sent until it is mended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnusablePolicy {
    /// A name leads nowhere.
    #[error("its transport policy names the {kind} {name}, which does not exist")]
    Missing {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: Name,
    },
    /// Private roots are demanded but none given.
    #[error("its transport policy trusts private roots but names no trust anchor set")]
    NoAnchors,
    /// Pins are enforced but there are none.
    #[error("its transport policy enforces pins, but the endpoint has none")]
    NoPins,
    /// No certificate of the identity can be presented.
    #[error("the client identity {name} has no certificate that can be presented")]
    EmptyIdentity {
        /// Its name.
        name: Name,
    },
    /// The URL has no TLS.
    #[error("its URL is http://, but its transport policy demands {what}")]
    PlainHttp {
        /// What needs TLS.
        what: &'static str,
    },
}

// === impl EndpointTransport ===

impl EndpointTransport {
    /// Whether the two differ in nothing but when pinned keys were seen.
    pub fn stands_as(&self, other: &Self) -> bool {
        self.policy == other.policy && self.own == other.own && self.pins.stands_as(&other.pins)
    }
}

// === impl TransportPolicy ===

impl TransportPolicy {
    /// This layer on top of another.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        Self {
            tls_min_version: self.tls_min_version.or(below.tls_min_version),
            key_exchange_groups: or(&self.key_exchange_groups, &below.key_exchange_groups),
            trust: self.trust.or(below.trust),
            trust_anchors: or(&self.trust_anchors, &below.trust_anchors),
            pinning: self.pinning.or(below.pinning),
            client_identity: or(&self.client_identity, &below.client_identity),
            revocation: self.revocation.or(below.revocation),
            crl_urls: or(&self.crl_urls, &below.crl_urls),
            server_name: or(&self.server_name, &below.server_name),
            proxy: or(&self.proxy, &below.proxy),
            plain_http: self.plain_http.or(below.plain_http),
        }
    }
}

fn or<T: Clone>(upper: &Option<T>, lower: &Option<T>) -> Option<T> {
    upper.as_ref().or(lower.as_ref()).cloned()
}

// === impl TlsVersion ===

impl TlsVersion {
    /// As people write it: `1.2`, `1.3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    /// Reads `1.2` or `1.3`.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        one_of(&[Self::Tls12, Self::Tls13], Self::as_str, text)
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS {}", self.as_str())
    }
}

// === impl KeyExchangeGroup ===

impl KeyExchangeGroup {
    /// All, preferred first.
    pub const ALL: [Self; 4] = [
        Self::X25519MlKem768,
        Self::X25519,
        Self::Secp256r1,
        Self::Secp384r1,
    ];

    /// Its IANA name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "X25519MLKEM768",
            Self::X25519 => "x25519",
            Self::Secp256r1 => "secp256r1",
            Self::Secp384r1 => "secp384r1",
        }
    }

    /// Reads an IANA name.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        one_of(&Self::ALL, Self::as_str, text)
    }
}

// === impl KeyExchangeGroups ===

impl KeyExchangeGroups {
    /// Takes groups in the order of preference.
    pub fn new(groups: Vec<KeyExchangeGroup>) -> Result<Self, Violation> {
        if groups.is_empty() {
            return Err(Violation::new(
                "value_error.list.min_items",
                "must list at least one group",
            ));
        }
        let twice = |(place, group)| groups.iter().take(place).any(|before| before == group);
        if groups.iter().enumerate().any(twice) {
            return Err(Violation::new(
                "value_error.list.unique_items",
                "must not list a group twice",
            ));
        }
        Ok(Self(groups))
    }

    /// Preferred first.
    pub fn as_slice(&self) -> &[KeyExchangeGroup] {
        &self.0
    }
}

impl Default for KeyExchangeGroups {
    fn default() -> Self {
        Self(KeyExchangeGroup::ALL.to_vec())
    }
}

// === impl Trust ===

impl Trust {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Both => "both",
        }
    }

    /// Reads its name in the API.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        one_of(
            &[Self::Public, Self::Private, Self::Both],
            Self::as_str,
            text,
        )
    }
}

// === impl Pinning ===

impl Pinning {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Enforce => "enforce",
        }
    }

    /// Reads its name in the API.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        one_of(
            &[Self::Off, Self::Report, Self::Enforce],
            Self::as_str,
            text,
        )
    }
}

// === impl RevocationMode ===

impl RevocationMode {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }

    /// Reads its name in the API.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        one_of(&[Self::Off, Self::Soft, Self::Hard], Self::as_str, text)
    }
}

// === impl PlainHttpUse ===

impl PlainHttpUse {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsOperator => "as_operator",
            Self::Never => "never",
        }
    }

    /// Reads its name in the API.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        one_of(&[Self::AsOperator, Self::Never], Self::as_str, text)
    }
}

/// Finds the value that is called `text`, or says how they are called.
fn one_of<T: Copy>(
    values: &[T],
    name: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, Violation> {
    let found = values.iter().copied().find(|value| name(*value) == text);
    found.ok_or_else(|| {
        let names: Vec<_> = values.iter().map(|value| name(*value)).collect();
        Violation::new(
            "value_error.choice",
            format!("must be one of {}", names.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_hides_what_it_decides_only() {
        let below = TransportPolicy {
            tls_min_version: Some(TlsVersion::Tls12),
            trust: Some(Trust::Private),
            client_identity: Some(Choice::Named(Name::parse("us").unwrap())),
            ..TransportPolicy::default()
        };
        let own = TransportPolicy {
            trust: Some(Trust::Both),
            client_identity: Some(Choice::Nothing),
            ..TransportPolicy::default()
        };
        let both = own.over(&below);
        assert_eq!(both.tls_min_version, Some(TlsVersion::Tls12));
        assert_eq!(both.trust, Some(Trust::Both));
        assert_eq!(both.client_identity, Some(Choice::Nothing));
        assert_eq!(both.pinning, None);
    }

    #[test]
    fn names_are_read_back() {
        for group in KeyExchangeGroup::ALL {
            assert_eq!(KeyExchangeGroup::parse(group.as_str()), Ok(group));
        }
        let wrong = TlsVersion::parse("1.1").unwrap_err();
        assert_eq!(wrong.rule, "value_error.choice");
        assert_eq!(wrong.message, "must be one of 1.2, 1.3");
        assert!(KeyExchangeGroups::new(vec![]).is_err());
        let twice = vec![KeyExchangeGroup::X25519; 2];
        assert!(KeyExchangeGroups::new(twice).is_err());
    }
}
