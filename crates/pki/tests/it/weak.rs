//! Keys that can be broken and signatures that can be forged. What is used here was made once with
//! OpenSSL, because nothing that we build with makes such certificates any more.

use hookseal_pki::chain::ObservedChain;
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::{VerifiedChain, VerifyError, verify};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Within the hundred years in which the fixtures are valid.
const LATER_SECS: u64 = 1_830_000_000;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name, ".pem"))
    };
}

fn verdict(leaf: &[u8], root: &[u8]) -> Result<VerifiedChain, VerifyError> {
    let leaf = CertificateDer::from_pem_slice(leaf).unwrap();
    let anchors = TrustAnchors::none().with_pem(root).unwrap();
    let name = ServerName::try_from("hooks.example.com").unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(LATER_SECS));
    verify(&ObservedChain::new(&leaf, &[])?, &anchors, &name, now)
}

fn check(leaf: &[u8], root: &[u8], words: &[&str]) -> VerifyError {
    let refused = verdict(leaf, root).unwrap_err();
    let text = refused.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    refused
}

#[test]
fn strong_ones_pass() {
    verdict(fixture!("rsa-good"), fixture!("rsa-root")).unwrap();
}

/// NIST SP 800-57: RSA below 2048 bits and curves below 224 bits have less than 112 bits of
/// security.
#[test]
fn weak_keys() {
    let root = fixture!("root");
    let words = ["the key of CN=rsa-1024 is too weak (RSA 1024 bits)"];
    let refused = check(fixture!("rsa-1024"), root, &words);
    assert!(matches!(refused, VerifyError::WeakKey { .. }));
    check(fixture!("p-192"), root, &["too weak (ECDSA P-192)"]);
    let words = ["the key of CN=weak-root is too weak (RSA 1024 bits)"];
    check(fixture!("under-weak"), fixture!("weak-root"), &words);
}

#[test]
fn keys_of_other_kinds() {
    let refused = verdict(fixture!("k-256"), fixture!("root"));
    assert_eq!(refused, Err(VerifyError::UnsupportedAlgorithm));
}

#[test]
fn weak_signatures() {
    let (rsa, ecdsa) = (fixture!("rsa-root"), fixture!("root"));
    let words = [
        "CN=rsa-sha1 is signed with RSA with SHA-1",
        "SHA-256 or better",
    ];
    let refused = check(fixture!("rsa-sha1"), rsa, &words);
    assert!(matches!(refused, VerifyError::WeakSignature { .. }));
    check(fixture!("rsa-md5"), rsa, &["signed with RSA with MD5"]);
    check(
        fixture!("ecdsa-sha1"),
        ecdsa,
        &["signed with ECDSA with SHA-1"],
    );
    let refused = verdict(fixture!("rsa-sha224"), rsa);
    assert_eq!(refused, Err(VerifyError::UnsupportedAlgorithm));
}
