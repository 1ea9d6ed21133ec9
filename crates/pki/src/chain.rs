//! What a peer showed. Nothing of it is verified.

use rustls_pki_types::CertificateDer;

use crate::certificate::CERTIFICATE_BYTES_MAX;

/// Most certificates of one chain: real ones have two to four, and each costs signature checks.
pub const CHAIN_CERTIFICATES_MAX: usize = 16;
/// Most bytes of one chain: what a TLS handshake message may hold.
pub const CHAIN_BYTES_MAX: usize = CERTIFICATE_BYTES_MAX;

/// The certificates that a peer sent: its own, and those that should lead to a root.
#[derive(Clone, Copy, Debug)]
pub struct ObservedChain<'a> {
    leaf: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
}

/// More was sent than we look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    /// Too many certificates.
    #[error("it has {certificates} certificates, more than {CHAIN_CERTIFICATES_MAX}")]
    TooMany {
        /// How many there are.
        certificates: usize,
    },
    /// Too many bytes.
    #[error("it has {bytes} bytes, more than {CHAIN_BYTES_MAX}")]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
}

// === impl ObservedChain ===

impl<'a> ObservedChain<'a> {
    /// Takes what a peer sent, in the order in which it was sent.
    pub fn new(
        leaf: &'a CertificateDer<'a>,
        intermediates: &'a [CertificateDer<'a>],
    ) -> Result<Self, ChainError> {
        let certificates = intermediates.len().saturating_add(1);
        if certificates > CHAIN_CERTIFICATES_MAX {
            return Err(ChainError::TooMany { certificates });
        }
        let bytes = intermediates.iter().map(|der| der.len()).sum::<usize>() + leaf.len();
        if bytes > CHAIN_BYTES_MAX {
            return Err(ChainError::TooLong { bytes });
        }
        Ok(Self {
            leaf,
            intermediates,
        })
    }

    /// The peer's own certificate.
    pub fn leaf(&self) -> &'a CertificateDer<'a> {
        self.leaf
    }

    /// The others.
    pub fn intermediates(&self) -> &'a [CertificateDer<'a>] {
        self.intermediates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let leaf = CertificateDer::from(vec![0; 1024]);
        let check = |count: usize, bytes: usize| {
            let others = vec![CertificateDer::from(vec![0; bytes]); count];
            ObservedChain::new(&leaf, &others).map(|_| ())
        };
        assert_eq!(check(15, 4096), Ok(()));
        let certificates = 17;
        assert_eq!(check(16, 1), Err(ChainError::TooMany { certificates }));
        assert_eq!(
            check(1, 64 * 1024),
            Err(ChainError::TooLong { bytes: 65 * 1024 })
        );
    }
}
