//! What we may prove ourselves with.

use std::time::Duration;

use hookseal_pki::certificate::{Certificate, SpkiSha256};
use hookseal_pki::certificate_request::{CertificateRequestError, certificate_request};
use hookseal_pki::identity::{Identity, IdentityChain, IdentityChainError, IdentityError};
use hookseal_pki::pin_source::{PinSource, PinSourceKind};
use hookseal_pki::private_key::{NewKey, PrivateKey, PrivateKeyError};
use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PublicKeyData, date_time_ymd,
};
use rustls_pki_types::UnixTime;

use crate::authority::{Authority, NOW_SECS, server};

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW_SECS))
}

/// A client's parameters.
fn client() -> CertificateParams {
    let mut params = server(&["hookseal.example"]);
    params.distinguished_name.push(DnType::CommonName, "client");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A client certificate below an intermediate CA.
struct Made {
    root: Authority,
    intermediate: Authority,
    own_pem: String,
    key: KeyPair,
}

fn made(params: &CertificateParams) -> Made {
    let root = Authority::root("Root");
    let intermediate = root.intermediate(Authority::params("Intermediate"));
    let key = KeyPair::generate().unwrap();
    let own = params.signed_by(&key, &intermediate.issuer).unwrap();
    Made {
        own_pem: own.pem(),
        root,
        intermediate,
        key,
    }
}

fn check_refused(pem: &str, words: &[&str]) -> IdentityChainError {
    let error = IdentityChain::parse(pem.as_bytes(), now()).unwrap_err();
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    error
}

#[test]
fn chains_are_put_in_order_and_the_root_is_left_out() {
    let made = made(&client());
    let (own, ca, root) = (&made.own_pem, &made.intermediate.pem, &made.root.pem);
    for pem in [
        format!("{own}{ca}{root}"),
        format!("{root}{ca}{own}"),
        format!("{ca}{own}"),
        format!("{own}{own}{ca}"),
    ] {
        let chain = IdentityChain::parse(pem.as_bytes(), now()).unwrap();
        assert_eq!(chain.chain().len(), 2);
        assert_eq!(chain.chain()[1], made.intermediate.der);
        assert_eq!(chain.own().subject(), "CN=client");
        assert!(chain.matches(SpkiSha256::of_spki(&made.key.subject_public_key_info())));
        assert!(!chain.matches(SpkiSha256::of_spki(b"another")));
    }
    let alone = IdentityChain::parse(own.as_bytes(), now()).unwrap();
    assert_eq!(alone.chain().len(), 1);
}

/// A key of ours that nobody issued a certificate for: some receivers pin it.
#[test]
fn self_signed_passes() {
    let key = KeyPair::generate().unwrap();
    let pem = client().self_signed(&key).unwrap().pem();
    assert_eq!(
        IdentityChain::parse(pem.as_bytes(), now())
            .unwrap()
            .chain()
            .len(),
        1
    );
}

#[test]
fn what_is_no_chain() {
    use IdentityChainError as E;
    let made = made(&client());
    let (own, ca, root) = (&made.own_pem, &made.intermediate.pem, &made.root.pem);
    assert_eq!(check_refused("", &[]), E::Empty);
    check_refused(
        &format!("{ca}{root}"),
        &["CAs only", "our own certificate is missing"],
    );
    let other = self::made(&client());
    let two = format!("{own}{}", other.own_pem);
    check_refused(&two, &["more than one certificate that is not a CA's"]);
    let stranger = Authority::root("Stranger").pem;
    check_refused(
        &format!("{own}{ca}{stranger}"),
        &["CN=Stranger does not belong"],
    );
    // The right name and the wrong key.
    let impostor = &other.intermediate.pem;
    check_refused(&format!("{own}{impostor}"), &["do not form a chain"]);
    let many: String = (0..9)
        .map(|n| Authority::root(&format!("{n}")).pem)
        .collect();
    assert_eq!(check_refused(&many, &[]), E::TooMany);
    let bytes = 128 * 1024 + 1;
    assert_eq!(
        check_refused(&"\n".repeat(bytes), &[]),
        E::TooLong { bytes }
    );
}

#[test]
fn certificates_that_are_not_valid_now() {
    let mut params = client();
    params.not_after = date_time_ymd(2026, 11, 1);
    check_refused(&made(&params).own_pem, &["CN=client expired on 2026-11-01"]);
    let mut params = client();
    params.not_before = date_time_ymd(2026, 12, 1);
    check_refused(
        &made(&params).own_pem,
        &["CN=client is valid from 2026-12-01"],
    );
    let mut params = Authority::params("Old");
    params.not_after = date_time_ymd(2026, 11, 1);
    let old = Authority::root("Root").intermediate(params);
    let key = KeyPair::generate().unwrap();
    let own = client().signed_by(&key, &old.issuer).unwrap().pem();
    check_refused(&format!("{own}{}", old.pem), &["CN=Old expired"]);
}

/// RFC 5280 §4.2.1.12 and §4.2.1.3.
#[test]
fn certificates_that_a_client_may_not_show() {
    let with_usages = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = client();
        params.extended_key_usages = usages.to_vec();
        made(&params).own_pem
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let pem = with_usages(&[ServerAuth]);
    check_refused(&pem, &["CN=client is not meant for clients", "clientAuth"]);
    for usages in [&[][..], &[ClientAuth], &[ServerAuth, ClientAuth]] {
        IdentityChain::parse(with_usages(usages).as_bytes(), now()).unwrap();
    }
    let mut params = client();
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    check_refused(&made(&params).own_pem, &["digitalSignature"]);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    IdentityChain::parse(made(&params).own_pem.as_bytes(), now()).unwrap();
}

#[test]
fn certificate_and_key_belong_together() {
    let made = made(&client());
    let chain = format!("{}{}", made.own_pem, made.intermediate.pem);
    let key = made.key.serialize_pem();
    for pem in [format!("{chain}{key}"), format!("{key}{chain}")] {
        let identity = Identity::from_pem(pem.as_bytes(), now()).unwrap();
        assert!(identity.chain.matches(identity.key.spki_sha256()));
    }
    let other = KeyPair::generate().unwrap().serialize_pem();
    let error = Identity::from_parts(chain.as_bytes(), other.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, IdentityError::Mismatch { .. }), "{error}");
    let error = Identity::from_pem(chain.as_bytes(), now()).unwrap_err();
    assert_eq!(error, IdentityError::Key(PrivateKeyError::Missing));
}

#[test]
fn keys_of_every_accepted_kind() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_ED25519,
    ] {
        let made = KeyPair::generate_for(algorithm).unwrap();
        let key = PrivateKey::from_pem(made.serialize_pem().as_bytes()).unwrap();
        let spki = SpkiSha256::of_spki(&made.subject_public_key_info());
        assert_eq!(key.spki_sha256(), spki, "{}", key.algorithm());
        // What is kept is the same key.
        let kept = KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
        assert_eq!(SpkiSha256::of_spki(&kept.subject_public_key_info()), spki);
    }
}

/// PKCS#1, SEC1 and PKCS#8, each as OpenSSL writes it.
#[test]
fn keys_in_every_form() {
    let check = |pem: &str, expect: &str| {
        let key = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(key.algorithm().to_string(), expect);
        KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
        key.spki_sha256()
    };
    let rsa = check(include_str!("fixtures/keys/rsa.pkcs1.pem"), "RSA 2048 bits");
    let same = check(include_str!("fixtures/keys/rsa.pkcs8.pem"), "RSA 2048 bits");
    assert_eq!(rsa, same);
    let ec = check(include_str!("fixtures/keys/ec.sec1.pem"), "ECDSA P-384");
    let same = check(include_str!("fixtures/keys/ec.pkcs8.pem"), "ECDSA P-384");
    assert_eq!(ec, same);
    check(include_str!("fixtures/keys/ed25519.pem"), "Ed25519");
}

#[test]
fn keys_that_are_refused() {
    use PrivateKeyError as E;
    let check = |pem: &str, expect: E| {
        assert_eq!(PrivateKey::from_pem(pem.as_bytes()).unwrap_err(), expect);
    };
    check("", E::Missing);
    check(&Authority::root("Root").pem, E::Missing);
    let key = KeyPair::generate().unwrap().serialize_pem();
    check(&format!("{key}{key}"), E::Several);
    check(
        &"\n".repeat(32 * 1024 + 1),
        E::TooLong {
            bytes: 32 * 1024 + 1,
        },
    );
    check(
        include_str!("fixtures/keys/encrypted.pkcs8.pem"),
        E::Encrypted,
    );
    check(
        include_str!("fixtures/keys/encrypted.pkcs1.pem"),
        E::Encrypted,
    );
    check(include_str!("fixtures/keys/rsa-1024.pem"), E::Unusable);
    check(include_str!("fixtures/keys/secp256k1.pem"), E::Unusable);
    check(&key[..60], E::Pem);
    let key = PrivateKey::generate(NewKey::EcdsaP256).unwrap();
    assert!(!format!("{key:?}").contains("pkcs8"));
}

#[test]
fn requests_are_for_the_key_and_for_clients() {
    for new in [NewKey::EcdsaP256, NewKey::EcdsaP384, NewKey::Rsa3072] {
        let key = PrivateKey::generate(new).unwrap();
        let names = [
            "hookseal.example",
            "spiffe://example.org/hookseal",
            "192.0.2.7",
        ];
        let pem = certificate_request("Hookseal", &names.map(str::to_owned), &key).unwrap();
        let source = PinSource::parse(pem.as_bytes()).unwrap();
        assert_eq!(source.kind(), PinSourceKind::CertificateRequest);
        assert_eq!(source.spki_sha256(), key.spki_sha256());
        assert_eq!(source.subject(), Some("CN=Hookseal"));
    }
}

/// The whole way: key and request made here, certificate issued elsewhere, both belong together.
#[test]
fn an_outside_ca_answers_a_request() {
    let key = PrivateKey::generate(NewKey::EcdsaP256).unwrap();
    let pem = certificate_request("Hookseal", &["hookseal.example".to_owned()], &key).unwrap();
    let request = rcgen::CertificateSigningRequestParams::from_pem(&pem).unwrap();
    let root = Authority::root("Outside");
    let mut params = request.params.clone();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let issued = params.signed_by(&request.public_key, &root.issuer).unwrap();
    let chain = IdentityChain::parse(issued.pem().as_bytes(), now()).unwrap();
    assert!(chain.matches(key.spki_sha256()));
    let facts = Certificate::parse(issued.der()).unwrap();
    assert!(facts.purpose().allows_client() && !facts.purpose().allows_server());
    assert_eq!(facts.names().to_string(), "hookseal.example");
}

#[test]
fn requests_that_are_refused() {
    use CertificateRequestError as E;
    let key = PrivateKey::generate(NewKey::EcdsaP256).unwrap();
    let request = |cn: &str, names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        certificate_request(cn, &names, &key).map(|_| ())
    };
    assert_eq!(request("", &[]), Err(E::CommonName));
    assert_eq!(request("a\nb", &[]), Err(E::CommonName));
    assert_eq!(request(&"a".repeat(65), &[]), Err(E::CommonName));
    assert_eq!(request(&"ä".repeat(64), &[]), Ok(()));
    assert_eq!(request("a", &["b c"]), Err(E::Name("b c".to_owned())));
    assert_eq!(request("a", &["b/c"]), Err(E::Name("b/c".to_owned())));
    assert_eq!(request("a", &[""]), Err(E::Name(String::new())));
    assert_eq!(request("a", &["b"; 17]), Err(E::TooManyNames));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(pem in "(-----BEGIN [A-Z ]{0,15}-----\n)?[ -~\n]{0,200}(-----END [A-Z ]{0,15}-----)?") {
        let _key = PrivateKey::from_pem(pem.as_bytes());
        let _identity = Identity::from_pem(pem.as_bytes(), now());
    }

    #[test]
    fn any_change(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let made = made(&client());
        let mut pem = format!("{}{}", made.own_pem, made.key.serialize_pem()).into_bytes();
        for (at, byte) in changes {
            let at = at.index(pem.len());
            pem[at] = byte;
        }
        let _identity = Identity::from_pem(&pem, now());
    }
}
