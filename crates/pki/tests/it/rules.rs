//! Rules of RFC 5280 that the path building library does not know: what breaks one is refused, and
//! what is merely out of order is found.

use hookseal_pki::anchor_set::{AnchorCertificate, AnchorSetError};
use hookseal_pki::inspection::{Finding, Role, inspect, inspect_crl};
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::VerifyError;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::UnixTime;

use crate::authority::{Authority, NOW_SECS, server, verdict};

const NAME: &str = "hooks.example.com";
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const PRIVATE: &[u64] = &[1, 3, 6, 1, 4, 1, 99_999, 1];

fn extension(oid: &[u64], content: &[u8]) -> CustomExtension {
    CustomExtension::from_oid_content(oid, content.to_vec())
}

fn critical(oid: &[u64], content: &[u8]) -> CustomExtension {
    let mut extension = extension(oid, content);
    extension.set_criticality(true);
    extension
}

/// What is said of a chain below a root whose parameters are these.
fn below_root(root: CertificateParams, leaf: &CertificateParams) -> Result<(), VerifyError> {
    let key = KeyPair::generate().unwrap();
    let pem = root.self_signed(&key).unwrap().pem();
    let anchors = TrustAnchors::none().with_pem(pem.as_bytes()).unwrap();
    let issuer = Issuer::new(root, key);
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer);
    verdict(leaf.unwrap().der(), &[], &anchors, NAME).map(|_| ())
}

fn below_intermediate(intermediate: CertificateParams) -> Result<(), VerifyError> {
    let root = Authority::root("Root");
    let intermediate = root.intermediate(intermediate);
    let leaf = intermediate.issue(&server(&[NAME]));
    verdict(&leaf, &[intermediate.der], &root.anchors(), NAME).map(|_| ())
}

fn check_broken(got: Result<(), VerifyError>, words: &str) {
    let error = got.unwrap_err();
    assert!(matches!(error, VerifyError::RuleBroken { .. }), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

/// RFC 5280 §4.2.
#[test]
fn extensions_occur_once_and_can_be_read() {
    let mut params = server(&[NAME]);
    params.custom_extensions = vec![extension(PRIVATE, &[5, 0])];
    below_root(Authority::params("Root"), &params).unwrap();
    params.custom_extensions.push(extension(PRIVATE, &[5, 0]));
    let got = below_root(Authority::params("Root"), &params);
    check_broken(got, "CN=server breaks a rule: no extension occurs twice");
    let mut params = server(&[NAME]);
    params.custom_extensions = vec![extension(AUTHORITY_INFO_ACCESS, b"malformed")];
    let got = below_root(Authority::params("Root"), &params);
    check_broken(got, "extensions that decide something can be read");
}

/// RFC 5280 §4.2.1.10.
#[test]
fn name_constraints_stand_in_cas_and_say_something() {
    // permittedSubtrees: example.com.
    let constraint = [
        &[0x30, 17, 0xa0, 15, 0x30, 13, 0x82, 11][..],
        b"example.com",
    ]
    .concat();
    let with = |mut params: CertificateParams, content: &[u8]| {
        params.custom_extensions = vec![critical(NAME_CONSTRAINTS, content)];
        params
    };
    let leaf = with(server(&[NAME]), &constraint);
    let got = below_root(Authority::params("Root"), &leaf);
    check_broken(got, "in a CA's certificate only");
    let ca = || Authority::params("CA");
    below_intermediate(with(ca(), &constraint)).unwrap();
    below_root(with(ca(), &constraint), &server(&[NAME])).unwrap();
    for empty in [&[0x30, 0][..], &[0x30, 4, 0xa0, 0, 0xa1, 0]] {
        assert!(below_intermediate(with(ca(), empty)).is_err(), "{empty:?}");
    }
}

/// RFC 5280 §6.1.4(n).
#[test]
fn a_cas_key_may_sign_certificates() {
    let with = |usages: &[KeyUsagePurpose]| {
        let mut params = Authority::params("CA");
        params.key_usages = usages.to_vec();
        params
    };
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
    for usages in [&[][..], &[KeyCertSign], &[KeyCertSign, CrlSign]] {
        below_intermediate(with(usages)).unwrap();
        below_root(with(usages), &server(&[NAME])).unwrap();
    }
    let not = [DigitalSignature, CrlSign];
    check_broken(below_intermediate(with(&not)), "keyCertSign");
    check_broken(below_root(with(&not), &server(&[NAME])), "keyCertSign");
}

/// RFC 5280 §4.1.2.6 and §4.2: what a root has to have, when it is used and when it is saved.
#[test]
fn roots() {
    let mut nameless = Authority::params("Root");
    nameless.distinguished_name = DistinguishedName::new();
    let mut unknown = Authority::params("Root");
    unknown.custom_extensions = vec![critical(PRIVATE, &[5, 0])];
    for (params, words) in [
        (nameless, "a CA has a name"),
        (unknown, "critical extensions are known"),
    ] {
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW_SECS));
        let error = AnchorCertificate::parse_set(pem.pem().as_bytes(), now).unwrap_err();
        assert!(matches!(error, AnchorSetError::RuleBroken { entry: 1, .. }));
        assert!(error.to_string().contains(words), "{error}");
        assert!(below_root(params, &server(&[NAME])).is_err());
    }
}

/// RFC 5280 §4.2.1.9: the limit of the root itself.
#[test]
fn a_root_limits_the_path() {
    let mut params = Authority::params("Root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    below_root(params.clone(), &server(&[NAME])).unwrap();
    let root = Authority::of(params);
    let below = root.intermediate(Authority::params("Below"));
    let leaf = below.issue(&server(&[NAME]));
    let got = verdict(&leaf, &[below.der], &root.anchors(), NAME);
    assert_eq!(got, Err(VerifyError::PathTooLong));
}

fn found(params: &CertificateParams, role: Role) -> Vec<Finding> {
    let root = Authority::root("Root");
    inspect(&root.issue(params), role).unwrap()
}

/// Nothing to find.
fn orderly(params: CertificateParams) -> CertificateParams {
    let mut params = params;
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(1_u64));
    params
}

fn orderly_server() -> CertificateParams {
    let mut params = orderly(server(&[NAME]));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params
}

#[test]
fn order_is_found_in_order() {
    assert_eq!(found(&orderly_server(), Role::Server), []);
    let ca = orderly(Authority::params("CA"));
    assert_eq!(found(&ca, Role::Intermediate), []);
    let root = Authority::root("Root").der;
    assert_eq!(inspect(&root, Role::Root).unwrap(), []);
    inspect(b"no certificate", Role::Root).unwrap_err();
}

#[test]
fn disorder_is_found() {
    use Finding as F;
    let check = |change: &dyn Fn(&mut CertificateParams), expect: Finding| {
        let mut params = orderly_server();
        change(&mut params);
        assert_eq!(found(&params, Role::Server), [expect]);
    };
    let serial = |bytes: &[u8]| Some(SerialNumber::from_slice(bytes));
    check(&|p| p.serial_number = serial(&[0]), F::SerialNotPositive);
    check(&|p| p.serial_number = serial(&[1; 21]), F::SerialTooLong);
    check(
        &|p| p.use_authority_key_identifier_extension = false,
        F::AuthorityKeyIdMissing,
    );
    check(
        &|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
        F::ServerMayNotSign,
    );
    check(
        &|p| {
            p.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
            ];
        },
        F::ServerMayIssue,
    );
    check(
        &|p| {
            p.distinguished_name
                .push(DnType::CommonName, "other.example")
        },
        F::CommonNameElsewhere,
    );
    check(
        &|p| {
            let name = "my_service.example".try_into().unwrap();
            p.subject_alt_names.push(rcgen::SanType::DnsName(name));
        },
        F::HostNameUnusual,
    );
    let key_id = [0x30, 4, 0x80, 2, 1, 2];
    check(
        &|p| {
            p.use_authority_key_identifier_extension = false;
            p.custom_extensions = vec![critical(&[2, 5, 29, 35], &key_id)];
        },
        F::AuthorityKeyIdCritical,
    );
    check(
        &|p| p.custom_extensions = vec![critical(&[2, 5, 29, 14], &[4, 2, 1, 2])],
        F::SubjectKeyIdCritical,
    );
}

#[test]
fn disorder_of_names_is_found() {
    let names = [&[0x30, 19, 0x82, 17][..], NAME.as_bytes()].concat();
    let san = &[2, 5, 29, 17];
    let mut params = orderly_server();
    params.subject_alt_names = vec![];
    params.custom_extensions = vec![critical(san, &names)];
    assert_eq!(found(&params, Role::Server), [Finding::NamesCritical]);
    params.distinguished_name = DistinguishedName::new();
    assert_eq!(found(&params, Role::Server), []);
    params.custom_extensions = vec![extension(san, &names)];
    assert_eq!(found(&params, Role::Server), [Finding::NamesNotCritical]);
}

#[test]
fn disorder_of_cas_is_found() {
    let without = |mut params: CertificateParams| {
        params.is_ca = IsCa::NoCa;
        let constraints = [0x30, 3, 1, 1, 0xff];
        params.custom_extensions = vec![extension(&[2, 5, 29, 19], &constraints)];
        found(&params, Role::Intermediate)
    };
    let expect = [
        Finding::SubjectKeyIdMissing,
        Finding::BasicConstraintsNotCritical,
    ];
    assert_eq!(without(orderly(Authority::params("CA"))), expect);

    let constraint = [
        &[0x30, 18, 0xa0, 16, 0x30, 14, 0x82, 12][..],
        b".example.com",
    ]
    .concat();
    let mut params = orderly(Authority::params("CA"));
    params.custom_extensions = vec![critical(NAME_CONSTRAINTS, &constraint)];
    let got = found(&params, Role::Intermediate);
    assert_eq!(got, [Finding::NameConstraintUnusual]);

    let mut root = Authority::params("Root");
    root.custom_extensions = vec![extension(&[2, 5, 29, 35], &[0x30, 4, 0x80, 2, 1, 2])];
    let root = root.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let got = inspect(root.der(), Role::Root).unwrap();
    assert_eq!(got, [Finding::AuthorityKeyIdUnusual]);
}

#[test]
fn findings_have_names_and_words() {
    let mut names: Vec<_> = Finding::ALL.iter().map(|one| one.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Finding::ALL.len());
    for one in Finding::ALL {
        assert!(one.to_string().ends_with(')'), "{one}");
    }
    assert_eq!(inspect_crl(b"no list"), []);
}
