//! What is demanded of a path besides that which the library checks.
//!
//! **Invariant:** only ever refuses: a path gets here when everything else holds.

use std::cell::RefCell;

use rustls_pki_types::UnixTime;
use webpki::VerifiedPath;
use x509_parser::prelude::X509Certificate;

use super::error::{Seconds, VerifyError};
use super::verified_chain::VerifiedChain;
use crate::certificate::{Certificate, parse_x509};
use crate::rules::{self, Role};
use crate::trust_anchor::{AnchorFacts, TrustAnchors};

/// Looks at each path that the library found, until one is good.
pub(super) struct Candidates<'a> {
    leaf: &'a Certificate,
    leaf_x509: &'a X509Certificate<'a>,
    anchors: &'a TrustAnchors,
    now: UnixTime,
    found: RefCell<Option<Result<VerifiedChain, VerifyError>>>,
}

// === impl Candidates ===

impl<'a> Candidates<'a> {
    pub(super) fn new(
        leaf: &'a Certificate,
        leaf_x509: &'a X509Certificate<'a>,
        anchors: &'a TrustAnchors,
        now: UnixTime,
    ) -> Self {
        Self {
            leaf,
            leaf_x509,
            anchors,
            now,
            found: RefCell::new(None),
        }
    }

    /// Tells the library whether the path is good, and remembers why. The first refusal is the one
    /// that is reported; which error the library gets does not matter.
    pub(super) fn judge(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        match self.inspect(path) {
            Ok(chain) => {
                *self.found.borrow_mut() = Some(Ok(chain));
                Ok(())
            }
            Err(refusal) => {
                self.found.borrow_mut().get_or_insert(Err(refusal));
                Err(webpki::Error::UnknownIssuer)
            }
        }
    }

    /// What became of the paths; `None` if there was none to look at.
    pub(super) fn verdict(self) -> Option<Result<VerifiedChain, VerifyError>> {
        self.found.into_inner()
    }

    fn inspect(&self, path: &VerifiedPath<'_>) -> Result<VerifiedChain, VerifyError> {
        let Some(root) = self.anchors.facts(path.anchor()) else {
            return Err(VerifyError::Malformed("the root is not ours".to_owned()));
        };
        self.check_root(root)?;
        check(self.leaf, self.leaf_x509, Role::Server)?;
        let mut intermediates = Vec::new();
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let parsed = parse_x509(&der)?;
            let certificate = Certificate::of(&parsed);
            check(&certificate, &parsed, Role::Intermediate)?;
            intermediates.push(certificate);
        }
        // A root's own limit is one that the library does not know of.
        let below = intermediates.iter().filter(|one| !one.is_self_issued());
        if root.path_len.is_some_and(|most| below.count() > most) {
            return Err(VerifyError::PathTooLong);
        }
        Ok(VerifiedChain::new(self.leaf, &intermediates, &root.on_path))
    }

    fn check_root(&self, root: &AnchorFacts) -> Result<(), VerifyError> {
        let now = Seconds::of(self.now);
        let name = || root.on_path.subject().to_owned();
        match root.validity_secs {
            Some((_, not_after)) if now.0 > not_after => Err(VerifyError::RootExpired {
                root: name(),
                not_after: Seconds(not_after),
                now,
            }),
            Some((not_before, _)) if now.0 < not_before => Err(VerifyError::RootNotYetValid {
                root: name(),
                not_before: Seconds(not_before),
                now,
            }),
            _ => match root.rule_broken {
                None => Ok(()),
                Some(rule) => Err(VerifyError::RuleBroken {
                    subject: name(),
                    rule,
                }),
            },
        }
    }
}

fn check(
    certificate: &Certificate,
    parsed: &X509Certificate<'_>,
    role: Role,
) -> Result<(), VerifyError> {
    let subject = || certificate.subject().to_owned();
    let key = certificate.key_algorithm();
    if key.is_weak() {
        let (subject, key) = (subject(), key.clone());
        return Err(VerifyError::WeakKey { subject, key });
    }
    if !key.is_accepted() {
        return Err(VerifyError::UnsupportedAlgorithm);
    }
    match rules::broken(parsed, role) {
        None => Ok(()),
        Some(rule) => Err(VerifyError::RuleBroken {
            subject: subject(),
            rule,
        }),
    }
}
