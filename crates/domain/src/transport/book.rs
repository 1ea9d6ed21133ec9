//! All that an organisation decided about transport security, and how it comes together for one
//! endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoint::url::{EndpointUrl, Scheme};
use crate::transport::anchor_set::AnchorSet;
use crate::transport::identity::ClientIdentity;
use crate::transport::name::Name;
use crate::transport::policy::{
    Choice, DEFAULT_POLICY, EndpointTransport, IdentityChoice, Pinning, PlainHttpUse,
    ResolvedTransport, RevocationMode, TransportDefaults, TransportPolicy, Trust, UnusablePolicy,
};

/// An organisation's named policies, trust anchor sets and client identities, as of one version.
#[derive(Clone, Debug, Default)]
pub struct TransportBook {
    /// Grows with each change.
    pub version: i64,
    /// Named policies; the one called `default` lies under all others.
    pub policies: BTreeMap<Name, TransportPolicy>,
    /// Sets of private roots.
    pub anchor_sets: BTreeMap<Name, Arc<AnchorSet>>,
    /// Certificates that we present.
    pub identities: BTreeMap<Name, Arc<ClientIdentity>>,
}

// === impl TransportBook ===

impl TransportBook {
    /// The layers over each other: the endpoint's own, its named policy, the organisation's
    /// default.
    pub fn layered(&self, endpoint: &EndpointTransport) -> Result<TransportPolicy, UnusablePolicy> {
        let named = match &endpoint.policy {
            Some(name) => self.policies.get(name).ok_or(UnusablePolicy::Missing {
                kind: "transport policy",
                name: name.clone(),
            })?,
            None => &TransportPolicy::default(),
        };
        let lowest = self
            .policies
            .iter()
            .find(|(name, _)| name.as_str() == DEFAULT_POLICY)
            .map(|(_, policy)| policy.clone())
            .unwrap_or_default();
        Ok(endpoint.own.over(named).over(&lowest))
    }

    /// What holds for an endpoint; fails if any of it can't be had.
    pub fn resolve(
        &self,
        endpoint: &EndpointTransport,
        url: &EndpointUrl,
        defaults: &TransportDefaults,
    ) -> Result<ResolvedTransport, UnusablePolicy> {
        let policy = self.layered(endpoint)?;
        let says_how = says_how_tls_is_spoken(&policy);
        let trust = policy.trust.unwrap_or_default();
        let resolved = ResolvedTransport {
            tls_min_version: policy.tls_min_version.unwrap_or(defaults.tls_min_version),
            key_exchange_groups: policy.key_exchange_groups.unwrap_or_default(),
            trust,
            trust_anchors: self.anchors(trust, policy.trust_anchors)?,
            pinning: policy.pinning.unwrap_or_default(),
            pins: endpoint.pins.keys().collect(),
            client_identity: self.identity(policy.client_identity, defaults)?,
            revocation: policy.revocation.unwrap_or_default(),
            crl_urls: policy.crl_urls.unwrap_or_default(),
            server_name: policy.server_name,
            proxy: proxy(policy.proxy, defaults)?,
        };
        if resolved.pinning == Pinning::Enforce && resolved.pins.is_empty() {
            return Err(UnusablePolicy::NoPins);
        }
        if url.scheme() == Scheme::Plain {
            needs_no_tls(&resolved, policy.plain_http, says_how)?;
        }
        Ok(resolved)
    }

    fn anchors(
        &self,
        trust: Trust,
        name: Option<Name>,
    ) -> Result<Option<Arc<AnchorSet>>, UnusablePolicy> {
        if trust == Trust::Public {
            return Ok(None);
        }
        let name = name.ok_or(UnusablePolicy::NoAnchors)?;
        match self.anchor_sets.get(&name) {
            Some(set) if set.anchors.is_empty() => Err(UnusablePolicy::NoAnchors),
            Some(set) => Ok(Some(Arc::clone(set))),
            None => Err(UnusablePolicy::Missing {
                kind: "trust anchor set",
                name,
            }),
        }
    }

    fn identity(
        &self,
        choice: Option<Choice>,
        defaults: &TransportDefaults,
    ) -> Result<Option<IdentityChoice>, UnusablePolicy> {
        let Some(Choice::Named(name)) = choice else {
            return Ok(None);
        };
        match self.identities.get(&name) {
            Some(identity) if identity.presentable().next().is_none() => {
                Err(UnusablePolicy::EmptyIdentity { name })
            }
            Some(identity) => Ok(Some(IdentityChoice::Own(Arc::clone(identity)))),
            None if defaults.identities.contains(&name) => Ok(Some(IdentityChoice::Operator(name))),
            None => Err(UnusablePolicy::Missing {
                kind: "client identity",
                name,
            }),
        }
    }
}

fn proxy(
    choice: Option<Choice>,
    defaults: &TransportDefaults,
) -> Result<Option<Name>, UnusablePolicy> {
    let name = match choice {
        Some(Choice::Nothing) => return Ok(None),
        Some(Choice::Named(name)) => name,
        None => match &defaults.proxy {
            Some(name) => name.clone(),
            None => return Ok(None),
        },
    };
    if defaults.proxies.contains(&name) {
        return Ok(Some(name));
    }
    Err(UnusablePolicy::Missing {
        kind: "proxy",
        name,
    })
}

/// What a policy says of the way in which TLS is spoken.
fn says_how_tls_is_spoken(policy: &TransportPolicy) -> Option<&'static str> {
    let said = [
        (policy.tls_min_version.is_some(), "a TLS version"),
        (policy.key_exchange_groups.is_some(), "a key exchange"),
        (policy.server_name.is_some(), "the name of a TLS server"),
    ];
    let mut said = said.into_iter();
    said.find(|(said, _)| *said).map(|(_, what)| what)
}

/// Whatever only TLS can give makes `http://` unusable. Where a policy says in so many words that
/// `http://` may be used, the way in which TLS is spoken concerns `https://` only.
fn needs_no_tls(
    resolved: &ResolvedTransport,
    plain_http: Option<PlainHttpUse>,
    says_how: Option<&'static str>,
) -> Result<(), UnusablePolicy> {
    if let (None, Some(what)) = (plain_http, says_how) {
        return Err(UnusablePolicy::PlainHttp { what });
    }
    let demands = [
        (
            plain_http == Some(PlainHttpUse::Never),
            "TLS (plainHttp: never)",
        ),
        (resolved.pinning == Pinning::Enforce, "a pinned key"),
        (resolved.trust == Trust::Private, "private roots"),
        (resolved.client_identity.is_some(), "a client certificate"),
        (
            resolved.revocation == RevocationMode::Hard,
            "a look at revocation",
        ),
    ];
    match demands.into_iter().find(|(demanded, _)| *demanded) {
        Some((_, what)) => Err(UnusablePolicy::PlainHttp { what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::policy::TlsVersion;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn resolve(
        book: &TransportBook,
        own: TransportPolicy,
        url: &str,
    ) -> Result<ResolvedTransport, UnusablePolicy> {
        let endpoint = EndpointTransport {
            own,
            ..EndpointTransport::default()
        };
        let url = EndpointUrl::parse(url).unwrap();
        book.resolve(&endpoint, &url, &TransportDefaults::default())
    }

    #[test]
    fn nothing_said_is_the_operators_default() {
        let book = TransportBook::default();
        let resolved = resolve(&book, TransportPolicy::default(), "https://example.com").unwrap();
        assert_eq!(resolved.trust, Trust::Public);
        assert_eq!(resolved.pinning, Pinning::Off);
        assert!(resolve(&book, TransportPolicy::default(), "http://example.com").is_ok());
    }

    #[test]
    fn whatever_is_missing_stops_the_sending() {
        let book = TransportBook::default();
        let check = |own: TransportPolicy, url: &str, expect: UnusablePolicy| {
            assert_eq!(resolve(&book, own, url), Err(expect));
        };
        let https = "https://example.com";
        let none = TransportPolicy::default;
        let named = |kind, what: &str| UnusablePolicy::Missing {
            kind,
            name: name(what),
        };
        check(
            TransportPolicy {
                trust: Some(Trust::Private),
                ..none()
            },
            https,
            UnusablePolicy::NoAnchors,
        );
        check(
            TransportPolicy {
                trust: Some(Trust::Both),
                trust_anchors: Some(name("gone")),
                ..none()
            },
            https,
            named("trust anchor set", "gone"),
        );
        check(
            TransportPolicy {
                client_identity: Some(Choice::Named(name("me"))),
                ..none()
            },
            https,
            named("client identity", "me"),
        );
        check(
            TransportPolicy {
                proxy: Some(Choice::Named(name("out"))),
                ..none()
            },
            https,
            named("proxy", "out"),
        );
        check(
            TransportPolicy {
                pinning: Some(Pinning::Enforce),
                ..none()
            },
            https,
            UnusablePolicy::NoPins,
        );
        let what = "a TLS version";
        let version = TransportPolicy {
            tls_min_version: Some(TlsVersion::Tls13),
            ..none()
        };
        let http = "http://example.com";
        check(version.clone(), http, UnusablePolicy::PlainHttp { what });
        let in_so_many_words = TransportPolicy {
            plain_http: Some(PlainHttpUse::AsOperator),
            ..version
        };
        assert!(resolve(&book, in_so_many_words, http).is_ok());
        let what = "TLS (plainHttp: never)";
        check(
            TransportPolicy {
                plain_http: Some(PlainHttpUse::Never),
                ..none()
            },
            "http://example.com",
            UnusablePolicy::PlainHttp { what },
        );
    }

    #[test]
    fn the_default_policy_lies_under_all_others() {
        let mut book = TransportBook::default();
        let lowest = TransportPolicy {
            revocation: Some(RevocationMode::Hard),
            ..TransportPolicy::default()
        };
        book.policies.insert(name(DEFAULT_POLICY), lowest);
        let resolved = resolve(&book, TransportPolicy::default(), "https://example.com").unwrap();
        assert_eq!(resolved.revocation, RevocationMode::Hard);
        let own = TransportPolicy {
            revocation: Some(RevocationMode::Off),
            ..TransportPolicy::default()
        };
        let resolved = resolve(&book, own, "https://example.com").unwrap();
        assert_eq!(resolved.revocation, RevocationMode::Off);
    }
}
