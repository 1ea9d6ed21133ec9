//! Whatever the bytes are: an answer, never a panic.

use std::sync::LazyLock;

use hookseal_pki::certificate::{Certificate, CertificateError};
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::VerifyError;
use proptest::collection::vec;
use proptest::prelude::*;
use rustls_pki_types::CertificateDer;

use crate::authority::{Authority, server, verdict};

/// A root, and a certificate of it.
static GOOD: LazyLock<(Authority, Vec<u8>)> = LazyLock::new(|| {
    let root = Authority::root("Root");
    let leaf = root.issue(&server(&["a.example"])).to_vec();
    (root, leaf)
});

#[test]
fn garbage_is_unreadable() {
    for garbage in [
        &[][..],
        &[0x30],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0; 64],
    ] {
        let leaf = CertificateDer::from(garbage.to_vec());
        let got = verdict(&leaf, &[], &TrustAnchors::none(), "a.example");
        let expect = VerifyError::Unreadable(CertificateError::Malformed);
        assert_eq!(got, Err(expect));
    }
    assert_eq!(
        Certificate::parse(&[0x30; 65_537]),
        Err(CertificateError::TooLong { bytes: 65_537 })
    );
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = GOOD.1.clone();
    bytes.push(0);
    assert_eq!(Certificate::parse(&bytes), Err(CertificateError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(leaf in vec(any::<u8>(), 0..512), other in vec(any::<u8>(), 0..512)) {
        let _parsed = Certificate::parse(&leaf);
        let got = verdict(&leaf.into(), &[other.into()], &GOOD.0.anchors(), "a.example");
        prop_assert!(got.is_err());
    }

    /// Most changes break the signature; the point is to get past the outer layers.
    #[test]
    fn any_change(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = GOOD.1.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let unchanged = bytes == GOOD.1;
        let got = verdict(&bytes.into(), &[], &GOOD.0.anchors(), "a.example");
        prop_assert_eq!(got.is_ok(), unchanged);
    }

    #[test]
    fn any_bundle(bundle in "(-----BEGIN [A-Z ]{0,12}-----\n)?[ -~\n]{0,200}(-----END [A-Z ]{0,12}-----)?") {
        let _anchors = TrustAnchors::none().with_pem(bundle.as_bytes());
    }
}
