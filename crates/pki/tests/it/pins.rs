//! What a pin can be made from.

use hookseal_pki::certificate::{Certificate, SpkiSha256};
use hookseal_pki::pin_source::{PinSource, PinSourceError, PinSourceKind};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use crate::authority::{Authority, server};

fn key_of(source: &[u8], kind: PinSourceKind) -> SpkiSha256 {
    let found = PinSource::parse(source).unwrap();
    assert_eq!(found.kind(), kind);
    found.spki_sha256()
}

#[test]
fn certificate_request_and_key_name_the_same_key() {
    use PinSourceKind as Kind;
    let (root, key) = (Authority::root("Root"), KeyPair::generate().unwrap());
    let params = server(&["a.example"]);
    let certificate = params.signed_by(&key, &root.issuer).unwrap();
    let request = CertificateParams::new(["a.example".to_owned()])
        .unwrap()
        .serialize_request(&key)
        .unwrap();
    let (pem, spki) = (key.public_key_pem(), key.subject_public_key_info());
    let expect = Certificate::parse(certificate.der()).unwrap().spki_sha256();
    assert_eq!(expect, SpkiSha256::of_spki(&spki));
    for (source, kind) in [
        (certificate.pem().as_bytes(), Kind::Certificate),
        (certificate.der(), Kind::Certificate),
        (request.pem().unwrap().as_bytes(), Kind::CertificateRequest),
        (request.der(), Kind::CertificateRequest),
        (pem.as_bytes(), Kind::PublicKey),
        (&spki, Kind::PublicKey),
    ] {
        assert_eq!(key_of(source, kind), expect, "{kind:?}");
    }
    let found = PinSource::parse(certificate.der()).unwrap();
    assert_eq!(found.subject(), Some("CN=server"));
    assert_eq!(found.key_algorithm().to_string(), "ECDSA P-256");
}

#[test]
fn private_keys_are_refused_in_every_form() {
    let key = KeyPair::generate().unwrap();
    let pkcs8 = key.serialize_pem();
    let label = |label: &str| pkcs8.replace("PRIVATE KEY", label);
    for source in [
        pkcs8.clone().into_bytes(),
        key.serialize_der(),
        label("RSA PRIVATE KEY").into_bytes(),
        label("EC PRIVATE KEY").into_bytes(),
        label("ENCRYPTED PRIVATE KEY").into_bytes(),
        label("OPENSSH PRIVATE KEY").into_bytes(),
        format!("{}{pkcs8}", key.public_key_pem()).into_bytes(),
    ] {
        let refused = PinSource::parse(&source).unwrap_err();
        assert_eq!(refused, PinSourceError::PrivateKey);
    }
}

#[test]
fn anything_else_is_refused() {
    use PinSourceError as E;
    let check = |source: &[u8], expect: E| assert_eq!(PinSource::parse(source), Err(expect));
    check(b"", E::Empty);
    check(b" \n", E::Empty);
    check(b"no key", E::Unreadable);
    check(&[0x30; 65_537], E::TooLong { bytes: 65_537 });
    let pem = Authority::root("Root").pem;
    check(format!("{pem}{pem}").as_bytes(), E::Several);
    let crl = pem.replace("CERTIFICATE", "X509 CRL");
    check(crl.as_bytes(), E::Unreadable);
    let cut = PinSource::parse(b"-----BEGIN CERTIFICATE-----\nAAAA\n");
    assert!(matches!(cut, Err(E::Pem(_))), "{cut:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let key = KeyPair::generate().unwrap();
        let mut der = server(&["a.example"]).serialize_request(&key).unwrap().der().to_vec();
        let at = at.index(der.len());
        der[at] = byte;
        let _source = PinSource::parse(&der);
    }
}
