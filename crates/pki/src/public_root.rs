//! Mozilla's list of public roots, to recognise one when it is met.
//!
//! **Invariant:** used to name roots, never to trust one: what a public root is limited to is not
//! in here.

use std::collections::HashMap;
use std::sync::LazyLock;

use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::certificate::{Certificate, CertificateSha256, SpkiSha256};

/// The roots that browsers trust.
pub struct PublicRoots {
    roots: Vec<Certificate>,
    by_certificate: HashMap<CertificateSha256, usize>,
    by_key: HashMap<SpkiSha256, usize>,
    by_subject: HashMap<String, usize>,
}

// === impl PublicRoots ===

impl PublicRoots {
    /// The list, read once.
    pub fn mozilla() -> &'static Self {
        static MOZILLA: LazyLock<PublicRoots> = LazyLock::new(|| {
            let roots = TLS_SERVER_ROOT_CERTS.iter();
            PublicRoots::of(
                roots
                    .filter_map(|der| Certificate::parse(der).ok())
                    .collect(),
            )
        });
        &MOZILLA
    }

    fn of(roots: Vec<Certificate>) -> Self {
        let by_certificate = (0..).zip(&roots).map(|(at, root)| (root.sha256(), at));
        let by_key = (0..).zip(&roots).map(|(at, root)| (root.spki_sha256(), at));
        let by_subject = (0..)
            .zip(&roots)
            .map(|(at, root)| (root.subject().to_owned(), at));
        Self {
            by_subject: by_subject.collect(),
            by_certificate: by_certificate.collect(),
            by_key: by_key.collect(),
            roots,
        }
    }

    /// The public root that this certificate is, or whose key it has (as when a root was issued
    /// again, or signed by another).
    pub fn find(&self, certificate: &Certificate) -> Option<&Certificate> {
        let same = self.by_certificate.get(&certificate.sha256());
        let at = same.or_else(|| self.by_key.get(&certificate.spki_sha256()))?;
        self.roots.get(*at)
    }

    /// The public root that this certificate is or whose key it has, or the one that issued it by
    /// its own word: a CA that is named so is no private one.
    pub fn over(&self, certificate: &Certificate) -> Option<&Certificate> {
        let issuer = self.by_subject.get(certificate.issuer());
        self.find(certificate)
            .or_else(|| issuer.and_then(|at| self.roots.get(*at)))
    }

    /// The public root that has this key.
    pub fn with_key(&self, key: SpkiSha256) -> Option<&Certificate> {
        self.by_key.get(&key).and_then(|at| self.roots.get(*at))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_root_is_read_and_found() {
        let all = PublicRoots::mozilla();
        assert_eq!(all.len(), TLS_SERVER_ROOT_CERTS.len());
        assert!(all.len() > 100);
        for der in TLS_SERVER_ROOT_CERTS {
            let root = Certificate::parse(der).unwrap();
            assert!(root.is_ca() && root.key_algorithm().is_accepted());
            let found = all.find(&root).unwrap();
            assert_eq!(found.sha256(), root.sha256());
            assert_eq!(
                all.with_key(root.spki_sha256()).unwrap().spki_sha256(),
                root.spki_sha256()
            );
        }
    }
}
