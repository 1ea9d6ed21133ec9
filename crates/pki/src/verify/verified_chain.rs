//! The proof that a chain was verified, and what it consists of.
//!
//! **Invariant:** made by [`verify`](super::verify) only, of the certificates on the path that was
//! verified: what a peer sent besides them is not in it, so that no pin can match it.

use crate::certificate::{Certificate, CertificateSha256, SpkiSha256};

/// A chain that was verified for one server name at one time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedChain {
    leaf_spki_sha256: SpkiSha256,
    leaf_not_after_secs: i64,
    anchor: PathCertificate,
    /// The server's own first, the root last.
    path: Vec<PathCertificate>,
}

/// One certificate of a verified path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathCertificate {
    spki_sha256: SpkiSha256,
    sha256: Option<CertificateSha256>,
    subject: String,
    not_after_secs: Option<i64>,
}

// === impl VerifiedChain ===

impl VerifiedChain {
    pub(super) fn new(
        leaf: &Certificate,
        intermediates: &[Certificate],
        anchor: &PathCertificate,
    ) -> Self {
        let mut path = Vec::with_capacity(intermediates.len().saturating_add(2));
        path.push(PathCertificate::of(leaf));
        path.extend(intermediates.iter().map(PathCertificate::of));
        path.push(anchor.clone());
        Self {
            leaf_spki_sha256: leaf.spki_sha256(),
            leaf_not_after_secs: leaf.not_after_secs(),
            anchor: anchor.clone(),
            path,
        }
    }

    /// Names the server's key.
    pub fn leaf_spki_sha256(&self) -> SpkiSha256 {
        self.leaf_spki_sha256
    }

    /// The last second in which the server's certificate is valid, since the Unix epoch.
    pub fn leaf_not_after_secs(&self) -> i64 {
        self.leaf_not_after_secs
    }

    /// The verified path: the server's own certificate first, the root last.
    pub fn path(&self) -> &[PathCertificate] {
        &self.path
    }

    /// The root that it ends in.
    pub fn anchor(&self) -> &PathCertificate {
        &self.anchor
    }

    /// Whether the key of a certificate on the path, or of its root, is this one.
    pub fn contains_key(&self, key: SpkiSha256) -> bool {
        self.path.iter().any(|on_path| on_path.spki_sha256 == key)
    }

    /// The last second in which every certificate of the path is valid, since the Unix epoch. A
    /// root of which only name and key are known counts for nothing here.
    pub fn earliest_not_after_secs(&self) -> i64 {
        self.path
            .iter()
            .filter_map(|on_path| on_path.not_after_secs)
            .fold(self.leaf_not_after_secs, i64::min)
    }
}

// === impl PathCertificate ===

impl PathCertificate {
    pub(crate) fn of(certificate: &Certificate) -> Self {
        Self {
            spki_sha256: certificate.spki_sha256(),
            sha256: Some(certificate.sha256()),
            subject: certificate.subject().to_owned(),
            not_after_secs: Some(certificate.not_after_secs()),
        }
    }

    /// A root of which nothing but its name and its key is known.
    pub(crate) fn key_only(spki_sha256: SpkiSha256, subject: String) -> Self {
        Self {
            spki_sha256,
            sha256: None,
            subject,
            not_after_secs: None,
        }
    }

    /// Names its key.
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// Names the certificate; `None` for a root that is known by its key only.
    pub fn sha256(&self) -> Option<CertificateSha256> {
        self.sha256
    }

    /// Whom it was issued to, for messages.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The last second in which it is valid, since the Unix epoch; `None` for a root that is known
    /// by its key only.
    pub fn not_after_secs(&self) -> Option<i64> {
        self.not_after_secs
    }
}
