//! What an operator may give as roots.

use hookseal_pki::certificate::CertificateError;
use hookseal_pki::trust_anchor::{TrustAnchorError, TrustAnchors};
use rcgen::KeyPair;

use crate::authority::{Authority, server};

fn check(bundle: &str, expect: Result<usize, TrustAnchorError>) {
    let got = TrustAnchors::none().with_pem(bundle.as_bytes());
    assert_eq!(got.map(|anchors| anchors.len()), expect, "{bundle}");
}

#[test]
fn bundles_are_used_whole_or_refused() {
    let (one, two) = (Authority::root("One").pem, Authority::root("Two").pem);
    check(&one, Ok(1));
    check(&format!("# One\n{one}\n\nTwo, trailing text\n{two}"), Ok(2));
    check("", Err(TrustAnchorError::Empty));
    check("no PEM at all", Err(TrustAnchorError::Empty));

    let key = KeyPair::generate().unwrap().serialize_pem();
    let kind = "private key, which must not be here";
    check(
        &format!("{one}{key}"),
        Err(TrustAnchorError::NotCertificate { entry: 2, kind }),
    );
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(
        &format!("{one}{two}{garbage}"),
        Err(TrustAnchorError::Unreadable {
            entry: 3,
            source: CertificateError::Malformed,
        }),
    );
}

#[test]
fn a_servers_own_certificate_is_no_root() {
    let key = KeyPair::generate().unwrap();
    let leaf = server(&["a.example"]).self_signed(&key).unwrap();
    let error = TrustAnchors::none()
        .with_pem(leaf.pem().as_bytes())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 1 (CN=server) is not the certificate of a CA; give the root that issued it"
    );
}

#[test]
fn broken_pem_names_its_entry() {
    let one = Authority::root("One").pem;
    let cut = format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n");
    let error = TrustAnchors::none().with_pem(cut.as_bytes()).unwrap_err();
    assert!(
        matches!(error, TrustAnchorError::Pem { entry: 2, .. }),
        "{error}"
    );
    let bad = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let error = TrustAnchors::none().with_pem(bad.as_bytes()).unwrap_err();
    assert!(
        matches!(error, TrustAnchorError::Pem { entry: 1, .. }),
        "{error}"
    );
}

#[test]
fn bundles_are_bounded() {
    let bytes = 4 * 1024 * 1024 + 1;
    let error = TrustAnchors::none()
        .with_pem(&vec![b'\n'; bytes])
        .unwrap_err();
    assert_eq!(error, TrustAnchorError::TooLong { bytes });
}
