//! Which roots count for a transport.
//!
//! **Invariant:** a chain counts only if it leads to one of the sets that the policy names.

use std::sync::Arc;

use hookseal_domain::transport::policy::Trust;
use hookseal_pki::chain::ObservedChain;
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::{self, VerifiedChain, VerifyError};
use rustls_pki_types::{ServerName, UnixTime};

use crate::config::{EgressConfig, EgressConfigError, PublicRoots};

/// The sets of roots of which a chain has to lead to one, asked in this order.
pub(crate) struct TrustedRoots(Vec<Arc<TrustAnchors>>);

// === impl TrustedRoots ===

impl TrustedRoots {
    /// `own` are the roots of the organisation, if the policy names some.
    pub(crate) fn new(
        trust: Trust,
        operators: &Arc<TrustAnchors>,
        own: Option<TrustAnchors>,
    ) -> Self {
        let own = own.map(Arc::new);
        let operators = (trust != Trust::Private).then(|| Arc::clone(operators));
        // A set without public roots that refuses a chain looks whether it leads to one, for the
        // sake of the words: in vain where the public roots are asked anyway.
        Self(operators.into_iter().chain(own).collect())
    }

    /// The sets.
    pub(crate) fn sets(&self) -> &[Arc<TrustAnchors>] {
        &self.0
    }

    /// Verifies against each set; what one of them proves is proven.
    pub(crate) fn verify(
        &self,
        observed: &ObservedChain<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<VerifiedChain, VerifyError> {
        let mut refusal = None;
        for roots in &self.0 {
            match verify::verify(observed, roots, server_name, now) {
                Ok(chain) => return Ok(chain),
                // Of several refusals, one by a set that has the root tells most; else the first.
                Err(error) => match refusal {
                    Some(ref earlier) if !is_without_root(earlier) || is_without_root(&error) => {}
                    _ => refusal = Some(error),
                },
            }
        }
        Err(refusal.unwrap_or_else(|| VerifyError::UnknownIssuer {
            issuer: "anybody".to_owned(),
        }))
    }
}

fn is_without_root(refusal: &VerifyError) -> bool {
    matches!(
        refusal,
        VerifyError::UnknownIssuer { .. }
            | VerifyError::IntermediateMissing { .. }
            | VerifyError::SelfSigned { .. }
            | VerifyError::PublicCaNotAllowed { .. }
    )
}

/// The roots that the operator configured, at least one.
pub(crate) fn operators_roots(config: &EgressConfig) -> Result<TrustAnchors, EgressConfigError> {
    let public = match config.public_roots {
        PublicRoots::Mozilla => TrustAnchors::from_known(webpki_roots::TLS_SERVER_ROOTS),
        PublicRoots::None => TrustAnchors::none(),
    };
    let all = match &config.extra_roots_pem {
        Some(pem) => public
            .with_pem(pem)
            .map_err(EgressConfigError::ExtraRoots)?,
        None => public,
    };
    if all.is_empty() {
        return Err(EgressConfigError::NoRoots);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_roots_are_asked_first() {
        let operators = Arc::new(TrustAnchors::none());
        let check = |trust, own: Option<TrustAnchors>, expect: &[bool]| {
            let roots = TrustedRoots::new(trust, &operators, own);
            let are_operators = roots.sets().iter().map(|set| Arc::ptr_eq(set, &operators));
            assert_eq!(are_operators.collect::<Vec<_>>(), expect);
        };
        let own = || Some(TrustAnchors::none());
        check(Trust::Public, None, &[true]);
        check(Trust::Private, own(), &[false]);
        check(Trust::Both, own(), &[true, false]);
    }
}
