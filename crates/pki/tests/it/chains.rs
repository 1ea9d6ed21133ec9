//! Good chains, and one for each way in which a chain can be bad.

use std::slice;

use hookseal_pki::certificate::Certificate;
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::{VerifyError, Which};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};
use webpki::anchor_from_trusted_cert;

use crate::authority::{Authority, ca_issuers, issuers_issuer, server, verdict};

const NAME: &str = "hooks.example.com";

/// The reason of a refusal must hold `words`, for the person who reads it.
fn check_refused(error: Result<impl std::fmt::Debug, VerifyError>, words: &[&str]) -> VerifyError {
    let error = error.unwrap_err();
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    error
}

#[test]
fn a_chain_to_a_root_passes_with_its_facts() {
    let root = Authority::root("Root");
    let leaf = root.issue(&server(&[NAME]));
    let verified = verdict(&leaf, &[], &root.anchors(), NAME).unwrap();
    let facts = Certificate::parse(&leaf).unwrap();
    assert_eq!(verified.leaf_spki_sha256(), facts.spki_sha256());
    assert_eq!(verified.leaf_not_after_secs(), 1_798_761_600);
    assert!(
        verified
            .leaf_spki_sha256()
            .to_string()
            .starts_with("sha256/")
    );
    assert_eq!(facts.names().to_string(), NAME);
    assert!(!facts.is_ca() && !facts.is_self_issued());
}

/// What is on the path counts, not what was sent: a pin must not match a certificate that somebody
/// added.
#[test]
fn the_path_is_that_which_was_verified() {
    let root = Authority::root("Root");
    let mut params = Authority::params("Upper");
    params.not_after = date_time_ymd(2026, 12, 1);
    let upper = root.intermediate(params);
    let lower = upper.intermediate(Authority::params("Lower"));
    let leaf = lower.issue(&server(&[NAME]));
    let stranger = Authority::root("Stranger");
    let sent = [stranger.der.clone(), upper.der.clone(), lower.der.clone()];
    let verified = verdict(&leaf, &sent, &root.anchors(), NAME).unwrap();

    let facts = |der: &[u8]| Certificate::parse(der).unwrap();
    let expect = [&leaf, &lower.der, &upper.der, &root.der].map(|der| facts(der));
    assert_eq!(verified.path().len(), expect.len());
    for (on_path, expect) in verified.path().iter().zip(&expect) {
        assert_eq!(on_path.sha256(), Some(expect.sha256()));
        assert_eq!(on_path.spki_sha256(), expect.spki_sha256());
        assert_eq!(on_path.subject(), expect.subject());
        assert_eq!(on_path.not_after_secs(), Some(expect.not_after_secs()));
        assert!(verified.contains_key(expect.spki_sha256()));
    }
    assert_eq!(verified.anchor(), &verified.path()[3]);
    assert!(!verified.contains_key(facts(&stranger.der).spki_sha256()));
    assert_eq!(verified.earliest_not_after_secs(), 1_796_083_200);
    assert!(verified.leaf_not_after_secs() > 1_796_083_200);
}

/// A root that is known by name and key only has the same key as its certificate.
#[test]
fn roots_without_certificate_are_named_by_their_key() {
    let root = Authority::root("Root");
    let known = anchor_from_trusted_cert(&root.der).unwrap().to_owned();
    let leaf = root.issue(&server(&[NAME]));
    let verified = verdict(&leaf, &[], &TrustAnchors::from_known(&[known]), NAME).unwrap();
    let facts = Certificate::parse(&root.der).unwrap();
    let anchor = verified.anchor();
    assert_eq!(anchor.spki_sha256(), facts.spki_sha256());
    assert_eq!(anchor.subject(), "CN=Root");
    assert_eq!((anchor.sha256(), anchor.not_after_secs()), (None, None));
    assert_eq!(
        verified.earliest_not_after_secs(),
        verified.leaf_not_after_secs()
    );
}

#[test]
fn the_spki_hash_is_that_of_the_key() {
    let root = Authority::root("Root");
    let key = KeyPair::generate().unwrap();
    let leaf = server(&[NAME]).signed_by(&key, &root.issuer).unwrap();
    let again = server(&["other.example"])
        .signed_by(&key, &root.issuer)
        .unwrap();
    let hash = |der: &[u8]| Certificate::parse(der).unwrap().spki_sha256();
    assert_eq!(hash(leaf.der()), hash(again.der()));
    assert_ne!(hash(leaf.der()), hash(&root.der));
}

#[test]
fn intermediates_pass_in_any_order_and_with_the_root_sent() {
    let root = Authority::root("Root");
    let upper = root.intermediate(Authority::params("Upper"));
    let lower = upper.intermediate(Authority::params("Lower"));
    let leaf = lower.issue(&server(&[NAME]));
    let (upper, lower, root_der) = (upper.der, lower.der, root.der.clone());
    for sent in [
        vec![lower.clone(), upper.clone()],
        vec![upper.clone(), lower.clone()],
        vec![lower, upper, root_der],
    ] {
        verdict(&leaf, &sent, &root.anchors(), NAME).unwrap();
    }
}

#[test]
fn every_accepted_key_type_passes() {
    let root = Authority::root("Root");
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = Authority::params("Intermediate");
        let certificate = params.signed_by(&key, &root.issuer).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf = server(&[NAME])
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        let sent = [certificate.der().clone()];
        verdict(leaf.der(), &sent, &root.anchors(), NAME).unwrap();
    }
}

/// RFC 9525 §6.3: a wildcard stands for one left-most label; §6.4: an address matches an iPAddress
/// only.
#[test]
fn names() {
    let root = Authority::root("Root");
    let check = |names: &[&str], wanted: &str, expect: bool| {
        let leaf = root.issue(&server(names));
        let got = verdict(&leaf, &[], &root.anchors(), wanted);
        assert_eq!(got.is_ok(), expect, "{names:?} for {wanted}: {got:?}");
    };
    check(&["a.example", NAME], NAME, true);
    check(&[NAME], "HOOKS.example.com", true);
    check(&["*.example.com"], NAME, true);
    check(&["*.example.com"], "a.hooks.example.com", false);
    check(&["*.example.com"], "example.com", false);
    check(&["example.com"], NAME, false);
    check(&["192.0.2.7"], "192.0.2.7", true);
    check(&["2001:db8::7"], "2001:db8::7", true);
    check(&["192.0.2.7"], "192.0.2.8", false);
    check(&[NAME], "192.0.2.7", false);
    check(&["192.0.2.7"], NAME, false);
    check(&[], "server", false);
}

#[test]
fn a_wrong_name_says_which_names_there_are() {
    let root = Authority::root("Root");
    let leaf = root.issue(&server(&["a.example", "192.0.2.7"]));
    let got = verdict(&leaf, &[], &root.anchors(), NAME);
    let words = [
        "not valid for hooks.example.com",
        "only for a.example, 192.0.2.7",
    ];
    check_refused(got, &words);
    let nameless = root.issue(&server(&[]));
    let got = verdict(&nameless, &[], &root.anchors(), NAME);
    check_refused(got, &["only for no name at all"]);
}

#[test]
fn expired_and_not_yet_valid() {
    let root = Authority::root("Root");
    let mut params = server(&[NAME]);
    params.not_after = date_time_ymd(2026, 11, 1);
    let got = verdict(&root.issue(&params), &[], &root.anchors(), NAME);
    let words = [
        "the server's certificate expired on 2026-11-01T00:00:00Z",
        "2026-11-23",
    ];
    check_refused(got, &words);

    let mut params = server(&[NAME]);
    params.not_before = date_time_ymd(2026, 12, 1);
    let got = verdict(&root.issue(&params), &[], &root.anchors(), NAME);
    check_refused(got, &["valid from 2026-12-01T00:00:00Z only"]);
}

#[test]
fn an_expired_intermediate_is_named_as_such() {
    let root = Authority::root("Root");
    let mut params = Authority::params("Old");
    params.not_after = date_time_ymd(2026, 6, 1);
    let old = root.intermediate(params);
    let leaf = old.issue(&server(&[NAME]));
    let got = verdict(&leaf, &[old.der], &root.anchors(), NAME);
    let words = ["an intermediate certificate of the server expired on 2026-06-01"];
    let error = check_refused(got, &words);
    let which = Which::Intermediate;
    assert!(matches!(error, VerifyError::Expired { which: got, .. } if got == which));
}

#[test]
fn no_way_to_a_root() {
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let intermediate = root.intermediate(Authority::params("Intermediate"));
    let leaf = intermediate.issue(&server(&[NAME]));

    // Nobody can tell whether the issuer is a root or not: the reason names both.
    let alone = verdict(&leaf, &[], &root.anchors(), NAME);
    let words = [
        "is not trusted here (issuer: CN=Intermediate)",
        "a private CA, which has to be trusted with a trust anchor set",
        "an intermediate CA, whose certificate the server has to send",
    ];
    let alone = check_refused(alone, &words);
    assert!(matches!(alone, VerifyError::UnknownIssuer { .. }));

    let sent = [intermediate.der.clone()];
    let unknown = verdict(&leaf, &sent, &other.anchors(), NAME);
    let words = ["leads to no trusted root", "issuer: CN=Root"];
    check_refused(unknown, &words);

    let nobody = verdict(&leaf, &sent, &TrustAnchors::none(), NAME);
    check_refused(nobody, &["leads to no trusted root"]);

    let sent = [intermediate.der, root.der.clone()];
    let with_root = verdict(&leaf, &sent, &other.anchors(), NAME);
    let issuer = "CN=Root".to_owned();
    assert_eq!(with_root, Err(VerifyError::UnknownIssuer { issuer }));
}

/// The root of a private CA issues its servers' certificates itself, and nobody has trusted it yet:
/// nothing is missing in what the server sends.
#[test]
fn below_a_root_that_is_not_trusted() {
    let (root, other) = (Authority::root("Private"), Authority::root("Other"));
    let mut params = server(&[NAME]);
    params.use_authority_key_identifier_extension = true;
    let leaf = root.issue(&params);
    let issuer = "CN=Private".to_owned();
    let unknown = VerifyError::UnknownIssuer { issuer };
    let stale = other.intermediate(Authority::params("Stale"));
    for sent in [vec![], vec![root.der.clone()], vec![stale.der]] {
        let got = verdict(&leaf, &sent, &other.anchors(), NAME);
        assert_eq!(got, Err(unknown.clone()));
    }
    verdict(&leaf, &[], &root.anchors(), NAME).unwrap();
}

/// What is missing is named, and where it can be had (RFC 5280 §4.2.2.1).
#[test]
fn which_certificate_is_missing() {
    let root = Authority::root("Root");
    let upper = root.intermediate(Authority::params("Upper"));
    let fetched_from = |mut params: CertificateParams, url: &str| {
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions = vec![ca_issuers(url)];
        params
    };
    let params = fetched_from(Authority::params("Lower"), "http://ca.example/upper.cer");
    let lower = upper.intermediate(params);
    let params = fetched_from(server(&[NAME]), "http://ca.example/lower.cer");
    let leaf = lower.issue(&params);

    let sent = [lower.der];
    let got = verdict(&leaf, &sent, &root.anchors(), NAME);
    let words = [
        "the certificate of CN=Lower (issuer: CN=Upper, key identifier ",
        "did not send the certificate of that issuer",
        "it can be fetched from http://ca.example/upper.cer; install it in the server's chain",
    ];
    let VerifyError::IntermediateMissing(missing) = check_refused(got, &words) else {
        panic!("another reason");
    };
    let upper_facts = Certificate::parse(&upper.der).unwrap();
    assert_eq!(missing.authority_key_id(), upper_facts.subject_key_id());
    assert_eq!(missing.issuer(), "CN=Upper");

    let got = verdict(&leaf, &[], &root.anchors(), NAME);
    let words = [
        "CN=server (issuer: CN=Lower",
        "sent no intermediate certificate",
        "http://ca.example/lower.cer",
    ];
    check_refused(got, &words);
    // Something was sent that leads nowhere: the wrong intermediate certificate.
    let got = verdict(&leaf, &[upper.der], &root.anchors(), NAME);
    check_refused(got, &["CN=server (issuer: CN=Lower", "did not send"]);
}

/// RFC 5280 §4.2.1.1: a certificate may name who issued its issuer's.
#[test]
fn a_missing_intermediate_that_a_trusted_root_issued() {
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let between = root.intermediate(Authority::params("Between"));
    let mut params = server(&[NAME]);
    params.custom_extensions = vec![issuers_issuer(&between.der)];
    let leaf = between.issue(&params);

    let got = verdict(&leaf, &[], &root.anchors(), NAME);
    let got = check_refused(got, &["CN=Between", "sent no intermediate certificate"]);
    assert!(matches!(got, VerifyError::IntermediateMissing(_)));
    let got = verdict(&leaf, &[], &other.anchors(), NAME);
    assert!(matches!(got, Err(VerifyError::UnknownIssuer { .. })));

    // A root names itself, which tells nothing.
    let mut params = server(&[NAME]);
    params.custom_extensions = vec![issuers_issuer(&root.der)];
    let got = verdict(&root.issue(&params), &[], &other.anchors(), NAME);
    assert!(matches!(got, Err(VerifyError::UnknownIssuer { .. })));
}

/// Our own roots end, too: the set was checked when it was saved, and time goes on.
#[test]
fn an_expired_root() {
    let dated_root = |from: (i32, u8), until: (i32, u8)| {
        let (mut params, key) = (Authority::params("Root"), KeyPair::generate().unwrap());
        params.not_before = date_time_ymd(from.0, from.1, 1);
        params.not_after = date_time_ymd(until.0, until.1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let pem = certificate.pem();
        let issuer = rcgen::Issuer::new(params, key);
        (pem, issuer)
    };
    let (old_pem, old) = dated_root((2020, 1), (2026, 6));
    let key = KeyPair::generate().unwrap();
    let leaf = server(&[NAME]).signed_by(&key, &old).unwrap();
    let anchors = |pem: &str| TrustAnchors::none().with_pem(pem.as_bytes()).unwrap();
    let got = verdict(leaf.der(), &[], &anchors(&old_pem), NAME);
    let words = [
        "the trusted root CN=Root expired on 2026-06-01",
        "replace it",
    ];
    let got = check_refused(got, &words);
    assert!(matches!(got, VerifyError::RootExpired { .. }));

    // The same key, issued again: one of the two is valid, in whatever order they are tried.
    let mut params = Authority::params("Root");
    params.not_after = date_time_ymd(2030, 1, 1);
    let new_pem = params.self_signed(old.key()).unwrap().pem();
    for both in [format!("{old_pem}{new_pem}"), format!("{new_pem}{old_pem}")] {
        let verified = verdict(leaf.der(), &[], &anchors(&both), NAME).unwrap();
        assert_eq!(verified.anchor().not_after_secs(), Some(1_893_456_000));
    }

    let (early_pem, early) = dated_root((2027, 1), (2030, 1));
    let leaf = server(&[NAME]).signed_by(&key, &early).unwrap();
    let got = verdict(leaf.der(), &[], &anchors(&early_pem), NAME);
    assert!(matches!(got, Err(VerifyError::RootNotYetValid { .. })));
}

/// The same names and another key: the signature, not the name, makes the issuer.
#[test]
fn a_root_of_the_same_name_is_another_root() {
    let (root, impostor) = (Authority::root("Root"), Authority::root("Root"));
    let leaf = impostor.issue(&server(&[NAME]));
    let got = verdict(&leaf, &[], &root.anchors(), NAME);
    assert_eq!(got, Err(VerifyError::BadSignature));
}

#[test]
fn self_signed() {
    let root = Authority::root("Root");
    let key = KeyPair::generate().unwrap();
    let leaf = server(&[NAME]).self_signed(&key).unwrap();
    let got = verdict(leaf.der(), &[], &root.anchors(), NAME);
    check_refused(got, &["self-signed", "CN=server", "egress.extra_roots"]);
}

/// As `openssl req -x509` makes them.
#[test]
fn self_signed_and_a_ca() {
    let root = Authority::root("Root");
    let mut params = server(&[NAME]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = Authority::of(params);
    let got = verdict(&own.der, &[], &root.anchors(), NAME);
    check_refused(got, &["self-signed (CN=server)", "that a CA issued to it"]);
    let got = verdict(&own.der, slice::from_ref(&own.der), &root.anchors(), NAME);
    assert!(matches!(got, Err(VerifyError::SelfSigned { .. })));
    // Whoever trusts it as a root should not be told to trust something.
    let got = verdict(&own.der, &[], &own.anchors(), NAME);
    check_refused(got, &["the certificate of a CA (CN=server)"]);
}

#[test]
fn a_ca_as_server() {
    let root = Authority::root("Root");
    let mut params = server(&[NAME]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let got = verdict(&root.issue(&params), &[], &root.anchors(), NAME);
    check_refused(got, &["the certificate of a CA (CN=server)"]);
    let got = verdict(&root.der, &[], &root.anchors(), NAME);
    assert!(got.is_err());
}

#[test]
fn a_server_as_ca() {
    let root = Authority::root("Root");
    let not_ca = root.intermediate(server(&[NAME]));
    let leaf = not_ca.issue(&server(&[NAME]));
    let got = verdict(&leaf, &[not_ca.der], &root.anchors(), NAME);
    assert_eq!(got, Err(VerifyError::IssuerNotCa));
}

/// RFC 5280 §4.2.1.12.
#[test]
fn extended_key_usage() {
    let root = Authority::root("Root");
    let with = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = server(&[NAME]);
        params.extended_key_usages = usages.to_vec();
        verdict(&root.issue(&params), &[], &root.anchors(), NAME).map(|_| ())
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    assert_eq!(with(&[]), Ok(()));
    assert_eq!(with(&[ClientAuth, ServerAuth]), Ok(()));
    assert_eq!(with(&[ClientAuth]), Err(VerifyError::WrongPurpose));
}

/// RFC 5280 §4.2.1.9 and §4.2.1.10.
#[test]
fn what_a_ca_is_limited_to() {
    let root = Authority::root("Root");
    let constrained = |constraint: GeneralSubtree| {
        let mut params = Authority::params("Constrained");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![constraint],
            excluded_subtrees: vec![],
        });
        let ca = root.intermediate(params);
        let leaf = ca.issue(&server(&[NAME]));
        verdict(&leaf, &[ca.der], &root.anchors(), NAME).map(|_| ())
    };
    let subtree = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    assert_eq!(constrained(subtree("example.com")), Ok(()));
    assert_eq!(
        constrained(subtree("example.org")),
        Err(VerifyError::NameConstraint)
    );

    let mut params = Authority::params("Last");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let last = root.intermediate(params);
    let below = last.intermediate(Authority::params("Below"));
    let leaf = below.issue(&server(&[NAME]));
    let got = verdict(&leaf, &[below.der, last.der], &root.anchors(), NAME);
    assert_eq!(got, Err(VerifyError::PathTooLong));
}

#[test]
fn a_changed_byte_breaks_the_signature() {
    let root = Authority::root("Root");
    let mut bytes = root.issue(&server(&[NAME])).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let got = verdict(&bytes.into(), &[], &root.anchors(), NAME);
    assert_eq!(got, Err(VerifyError::BadSignature));
}

#[test]
fn many_names_are_few_in_the_reason() {
    let root = Authority::root("Root");
    let with_names = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}.e")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let leaf = root.issue(&server(&names));
        verdict(&leaf, &[], &root.anchors(), NAME)
    };
    let words = ["only for n0.e, n1.e", "n7.e and 4992 more"];
    let text = check_refused(with_names(5_000), &words).to_string();
    assert!(text.len() < 300, "{text}");
    check_refused(with_names(10_000), &["chain is too big"]);
}
