//! What may be saved as a set of private roots.

use std::time::Duration;

use hookseal_pki::anchor_set::{ANCHORS_MAX, AnchorCertificate, AnchorSetError};
use hookseal_pki::certificate::Certificate;
use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls_pki_types::UnixTime;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::authority::{Authority, NOW_SECS, server};

fn parse(pem: &str) -> Result<Vec<AnchorCertificate>, AnchorSetError> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_SECS));
    AnchorCertificate::parse_set(pem.as_bytes(), now)
}

fn check_refused(pem: &str, words: &[&str]) -> AnchorSetError {
    let error = parse(pem).unwrap_err();
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    error
}

fn self_signed(params: &CertificateParams) -> String {
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

#[test]
fn a_set_of_roots() {
    let (one, two) = (Authority::root("One"), Authority::root("Two"));
    let set = parse(&format!("{}\n{}", one.pem, two.pem)).unwrap();
    assert_eq!(set.len(), 2);
    assert_eq!(set[0].der(), one.der.as_ref());
    assert_eq!(set[0].facts(), &Certificate::parse(&one.der).unwrap());
    assert_eq!(set[1].facts().subject(), "CN=Two");
    // What is printed is what was read.
    assert_eq!(parse(&set[1].pem()).unwrap(), set[1..]);
    assert_eq!(set[1].pem(), two.pem.replace("\r\n", "\n"));
}

/// A CA below the root may be trusted by itself.
#[test]
fn an_intermediate_may_be_an_anchor() {
    let below = Authority::root("Root").intermediate(Authority::params("Below"));
    assert_eq!(parse(&below.pem).unwrap().len(), 1);
}

#[test]
fn what_is_no_certificate() {
    use AnchorSetError as E;
    let one = Authority::root("One").pem;
    assert_eq!(parse(""), Err(E::Empty));
    assert_eq!(parse("no PEM"), Err(E::Empty));
    let bytes = 256 * 1024 + 1;
    assert_eq!(parse(&"\n".repeat(bytes)), Err(E::TooLong { bytes }));
    let key = KeyPair::generate().unwrap();
    let with_key = format!("{one}{}", key.serialize_pem());
    assert_eq!(parse(&with_key), Err(E::PrivateKey { entry: 2 }));
    let encrypted = with_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(parse(&encrypted), Err(E::PrivateKey { entry: 2 }));
    let public = format!("{one}{}", key.public_key_pem());
    assert_eq!(parse(&public), Err(E::NotCertificate { entry: 2 }));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check_refused(garbage, &["entry 1 can't be read"]);
    check_refused(&one[..40], &["entry 1 is not valid PEM"]);
}

#[test]
fn bounded() {
    let many: String = (0..=ANCHORS_MAX)
        .map(|number| Authority::root(&format!("Root {number}")).pem)
        .collect();
    assert_eq!(parse(&many), Err(AnchorSetError::TooMany));
}

/// RFC 5280 §4.2.1.9 and §4.2.1.3.
#[test]
fn certificates_that_may_not_issue() {
    let leaf = self_signed(&server(&["a.example"]));
    let words = ["entry 1 (CN=server) is not the certificate of a CA"];
    check_refused(&leaf, &words);

    let mut params = Authority::params("No signer");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let refused = check_refused(&self_signed(&params), &["CN=No signer"]);
    assert!(matches!(refused, AnchorSetError::NotCa { entry: 1, .. }));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parse(&self_signed(&params)).unwrap();
}

#[test]
fn roots_that_are_not_valid_now() {
    let mut params = Authority::params("Old");
    params.not_after = date_time_ymd(2026, 11, 1);
    let words = ["entry 1 (CN=Old) expired on 2026-11-01T00:00:00Z"];
    check_refused(&self_signed(&params), &words);
    let mut params = Authority::params("Early");
    params.not_before = date_time_ymd(2026, 12, 1);
    let words = ["entry 1 (CN=Early) is valid from 2026-12-01"];
    check_refused(&self_signed(&params), &words);
}

#[test]
fn the_same_root_twice() {
    let one = Authority::root("One");
    let words = ["entry 2 (CN=One) is the same root as entry 1"];
    check_refused(&format!("{0}{0}", one.pem), &words);
    // Issued again with the same key and name.
    let mut params = Authority::params("One");
    params.not_after = date_time_ymd(2030, 1, 1);
    let again = params.self_signed(one.issuer.key()).unwrap().pem();
    check_refused(&format!("{}{again}", one.pem), &words);
    // Another key under the same name is another root: this is how they are rotated.
    let other = Authority::root("One");
    assert_eq!(
        parse(&format!("{}{}", one.pem, other.pem)).unwrap().len(),
        2
    );
}

#[test]
fn weak_keys() {
    // Made before the time of the other tests, and valid for a hundred years.
    let later = UnixTime::since_unix_epoch(Duration::from_secs(1_830_000_000));
    let pem = include_bytes!("fixtures/weak-root.pem");
    let error = AnchorCertificate::parse_set(pem, later).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("RSA 1024 bits"), "{text}");
    let pem = include_bytes!("fixtures/rsa-root.pem");
    AnchorCertificate::parse_set(pem, later).unwrap();
}

/// Whoever gets a certificate from a public CA would be trusted.
#[test]
fn public_roots() {
    let public = |der: &[u8]| {
        let pem = hookseal_pki::anchor_set::certificate_pem(der);
        let root = Certificate::parse(der).unwrap();
        let refused = check_refused(&pem, &["is public", "browsers trust"]);
        assert!(
            matches!(refused, AnchorSetError::Public { root: name, .. } if name == root.subject())
        );
    };
    TLS_SERVER_ROOT_CERTS.iter().for_each(|der| public(der));
}

/// By its own word issued by a public root: an intermediate of a public CA.
#[test]
fn what_public_roots_issued() {
    let isrg = TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| Certificate::parse(der).unwrap())
        .find(|root| root.subject().contains("ISRG Root X1"))
        .unwrap();
    let mut name = CertificateParams::default();
    name.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (rcgen::DnType::CountryName, "US"),
        (
            rcgen::DnType::OrganizationName,
            "Internet Security Research Group",
        ),
        (rcgen::DnType::CommonName, "ISRG Root X1"),
    ] {
        name.distinguished_name.push(kind, value);
    }
    let issuer = rcgen::Issuer::new(name, KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let below = Authority::params("R99").signed_by(&key, &issuer).unwrap();
    let facts = Certificate::parse(below.der()).unwrap();
    assert_eq!(facts.issuer(), isrg.subject());
    check_refused(&below.pem(), &["CN=R99", "issued by", "ISRG Root X1"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(pem in "(-----BEGIN [A-Z ]{0,12}-----\n)?[ -~\n]{0,200}(-----END [A-Z ]{0,12}-----)?") {
        let _set = parse(&pem);
    }

    #[test]
    fn any_change(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut der = Authority::root("Root").der.to_vec();
        for (at, byte) in changes {
            let at = at.index(der.len());
            der[at] = byte;
        }
        let _set = parse(&hookseal_pki::anchor_set::certificate_pem(&der));
    }
}
