//! A named set of private roots. Replacing one overlaps: the new one is added, the old one is
//! marked, and goes when no endpoint's chain ends in it any more.

use hookseal_pki::certificate::SpkiSha256;

use crate::time::Timestamp;
use crate::transport::name::Name;

/// Most roots in a set: one CA's, its next one's, and a few partners'.
pub const ANCHORS_MAX: usize = 32;

/// A named set of private roots, as of one version. Two are equal if they hold the same roots under
/// the same name: a version begins again when a name is used again.
#[derive(Clone, Debug)]
pub struct AnchorSet {
    /// Its name.
    pub name: Name,
    /// Grows with each change.
    pub version: i64,
    /// The roots, in the order in which they were added.
    pub anchors: Vec<Anchor>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One private root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Anchor {
    /// The certificate, in DER.
    pub der: Vec<u8>,
    /// SHA-256 of `der`: names the certificate.
    pub sha256: [u8; 32],
    /// Names its key.
    pub spki_sha256: SpkiSha256,
    /// Whose it is, for people.
    pub subject: String,
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
    /// When it was added.
    pub added_at: Timestamp,
    /// Since when it is to go.
    pub retiring_since: Option<Timestamp>,
}

/// Why a root can't be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AnchorRemovalError {
    /// It is not there.
    #[error("the set has no such root")]
    Unknown,
    /// Verified chains of endpoints end in it.
    #[error(
        "the chains of {endpoints} endpoints ended in this root when they were last verified; \
         remove it when there are none left, or force it"
    )]
    Needed {
        /// Of how many.
        endpoints: u64,
    },
    /// Nothing would be left.
    #[error("it is the last root of the set; delete the set instead, or force it")]
    Last,
}

// === impl AnchorSet ===

impl AnchorSet {
    /// Decides whether a root may be removed, which `endpoints` verified chains end in.
    pub fn may_remove(&self, sha256: [u8; 32], endpoints: u64) -> Result<(), AnchorRemovalError> {
        if !self.anchors.iter().any(|anchor| anchor.sha256 == sha256) {
            return Err(AnchorRemovalError::Unknown);
        }
        if endpoints > 0 {
            return Err(AnchorRemovalError::Needed { endpoints });
        }
        if self.anchors.len() == 1 {
            return Err(AnchorRemovalError::Last);
        }
        Ok(())
    }
}

impl PartialEq for AnchorSet {
    fn eq(&self, other: &Self) -> bool {
        let roots = |set: &Self| {
            set.anchors
                .iter()
                .map(|anchor| anchor.sha256)
                .collect::<Vec<_>>()
        };
        self.name == other.name && roots(self) == roots(other)
    }
}
