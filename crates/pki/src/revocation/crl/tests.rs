//! Lists that rcgen makes, and lists that nobody should make.

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{CertificateParams, CrlScope, KeyUsagePurpose, RevocationReason, SerialNumber};
use rustls_pki_types::CertificateDer;
use webpki::{
    ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::*;
use crate::revocation::fixture::{
    Ca, DAY_SECS, List, NOW_SECS, at, now, server, server_with_point,
};
use crate::verify::ALGORITHMS;

const REVOKED: &[(u64, Option<RevocationReason>)] = &[
    (0x77, None),
    (0x2a, Some(RevocationReason::KeyCompromise)),
    (0xff11_2233_4455_6677, None),
];

/// A root, an intermediate CA, and a server's certificate.
struct Chain {
    root: Ca,
    ca: Ca,
    certificates: Vec<CertificateDer<'static>>,
    links: Vec<Link>,
}

fn chain(leaf: &CertificateParams) -> Chain {
    let root = Ca::root("Root");
    let mut params = Ca::params("Intermediate");
    params.serial_number = Some(7.into());
    let ca = root.intermediate(params);
    let certificates = vec![ca.issue(leaf), ca.der.clone()];
    let links = root.links(&certificates);
    Chain {
        root,
        ca,
        certificates,
        links,
    }
}

fn parse(list: &[u8]) -> Crl {
    Crl::parse(list).unwrap()
}

#[test]
fn facts_are_those_of_the_list() {
    let ca = Ca::root("Root");
    let revoked = List {
        revoked: REVOKED,
        ..List::default()
    };
    let der = ca.list(&revoked);
    let list = parse(&der);
    let facts = CrlFacts {
        issuer: "CN=Root".to_owned(),
        this_update: Seconds(NOW_SECS - DAY_SECS),
        next_update: Seconds(NOW_SECS + 7 * DAY_SECS),
        number: Some("1234".to_owned()),
        entries: 3,
    };
    assert_eq!(list.facts(), &facts);
    assert_eq!(list.bytes(), der.len() + 3 * 8);
}

#[test]
fn a_list_names_the_revoked() {
    let check = |serial: u64, expect: Standing| {
        let chain = chain(&server(serial));
        let list = parse(&chain.ca.list(&List {
            revoked: REVOKED,
            ..List::default()
        }));
        let leaf = chain.links.first().unwrap();
        // The second time the signature is known to be right.
        for _ in 0..2 {
            assert_eq!(list.check(leaf, now()), Ok(expect), "{serial:x}");
        }
    };
    let since = Seconds(NOW_SECS - 2 * DAY_SECS);
    let revoked = |reason| Standing::Revoked(Revoked { at: since, reason });
    check(0x2a, revoked(Some(Reason::KeyCompromise)));
    check(0x77, revoked(None));
    check(0xff11_2233_4455_6677, revoked(None));
    check(0x2b, Standing::Good);
    check(0x2a00, Standing::Good);
}

/// What differs before the last eight bytes only is another number.
#[test]
fn long_serial_numbers_are_compared_whole() {
    let chain = chain(&{
        let mut params = server(1);
        params.serial_number = Some(SerialNumber::from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0x77]));
        params
    });
    let list = parse(&chain.ca.list(&List {
        revoked: REVOKED,
        ..List::default()
    }));
    let leaf = chain.links.first().unwrap();
    assert_eq!(list.check(leaf, now()), Ok(Standing::Good));
}

#[test]
fn intermediates_are_listed_by_the_root() {
    let chain = chain(&server(7));
    let list = parse(&chain.root.list(&List {
        revoked: &[(7, Some(RevocationReason::CaCompromise))],
        ..List::default()
    }));
    let [leaf, intermediate] = chain.links.as_slice() else {
        panic!("{:?}", chain.links)
    };
    let Ok(Standing::Revoked(revoked)) = list.check(intermediate, now()) else {
        panic!("not revoked")
    };
    assert_eq!(
        revoked.to_string(),
        "on 2026-11-21T00:00:00Z (cACompromise)"
    );
    assert!(list.is_of_issuer(intermediate) && !list.is_of_issuer(leaf));
    let refused = list.check(leaf, now());
    assert!(
        matches!(refused, Err(CrlRefused::OtherIssuer { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_list_has_to_be_signed_by_the_issuer() {
    let chain = chain(&server(1));
    let leaf = chain.links.first().unwrap();
    let imposter = Ca::root("Intermediate");
    let refused = parse(&imposter.list(&List::default())).check(leaf, now());
    assert_eq!(refused, Err(SignatureError::Wrong.into()));

    let mut forged = chain.ca.list(&List::default());
    *forged.last_mut().unwrap() ^= 1;
    let refused = parse(&forged).check(leaf, now());
    assert_eq!(refused, Err(SignatureError::Wrong.into()));
}

/// The memory of a right signature is one key's, not the list's.
#[test]
fn a_right_signature_counts_for_its_key_only() {
    let chain = chain(&server(1));
    let list = parse(&chain.ca.list(&List::default()));
    let leaf = chain.links.first().unwrap();
    assert_eq!(list.check(leaf, now()), Ok(Standing::Good));
    let root = Ca::root("Intermediate");
    let other = root.links(&[root.issue(&server(1))]);
    let refused = list.check(other.first().unwrap(), now());
    assert_eq!(refused, Err(SignatureError::Wrong.into()));
}

#[test]
fn a_list_has_to_be_current() {
    let chain = chain(&server(1));
    let leaf = chain.links.first().unwrap();
    let list = parse(&chain.ca.list(&List::default()));
    let (from, to) = (NOW_SECS - DAY_SECS, NOW_SECS + 7 * DAY_SECS);
    assert_eq!(list.check(leaf, at(to - 1)), Ok(Standing::Good));
    let (next_update, now) = (Seconds(to), Seconds(to));
    let expired = CrlRefused::Expired { next_update, now };
    assert_eq!(list.check(leaf, at(to)), Err(expired));
    assert_eq!(list.check(leaf, at(from - 300)), Ok(Standing::Good));
    let (this_update, now) = (Seconds(from), Seconds(from - 301));
    let early = CrlRefused::FromFuture { this_update, now };
    assert_eq!(list.check(leaf, at(from - 301)), Err(early));
}

#[test]
fn an_issuer_may_be_forbidden_to_sign_lists() {
    let root = Ca::root("Root");
    let mut params = Ca::params("Intermediate");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = root.intermediate(params);
    let links = root.links(&[ca.issue(&server(1)), ca.der.clone()]);
    // rcgen refuses to sign it in this CA's name: a CA of the same key without the limit does.
    let signer = Ca {
        issuer: rcgen::Issuer::new(
            Ca::params("Intermediate"),
            rcgen::KeyPair::from_pem(&ca.issuer.key().serialize_pem()).unwrap(),
        ),
        ..ca
    };
    let list = parse(&signer.list(&List::default()));
    let refused = list.check(links.first().unwrap(), now());
    assert_eq!(refused, Err(CrlRefused::IssuerMayNotSign));
}

/// RFC 5280 §5.2.5 and §6.3.3 (b)(2).
#[test]
fn parts_of_a_list_cover_parts_of_the_certificates() {
    let check = |point: Option<&str>, part: (&str, Option<CrlScope>), which: usize, expect| {
        let leaf = match point {
            Some(uri) => server_with_point(1, uri),
            None => server(1),
        };
        let chain = chain(&leaf);
        let list = List {
            point: Some(part),
            ..List::default()
        };
        let ca = [&chain.ca, &chain.root];
        let list = parse(&ca.get(which).unwrap().list(&list));
        let verdict = list.check(chain.links.get(which).unwrap(), now());
        assert_eq!(verdict, expect, "{point:?} {part:?} {which}");
    };
    let good = Ok(Standing::Good);
    let (one, two) = ("http://ca.example/1.crl", "http://ca.example/2.crl");
    check(Some(one), (one, None), 0, good.clone());
    check(Some(one), (two, None), 0, Err(OutOfScope::OtherPart.into()));
    check(None, (two, None), 0, good.clone());
    check(
        Some(one),
        (one, Some(CrlScope::UserCertsOnly)),
        0,
        good.clone(),
    );
    check(None, (one, Some(CrlScope::CaCertsOnly)), 1, good);
    let covered = "the certificates of CAs";
    let other: CrlRefused = OutOfScope::OtherKind { covered }.into();
    check(Some(one), (one, Some(CrlScope::CaCertsOnly)), 0, Err(other));
    let covered = "the certificates of non-CAs";
    let other: CrlRefused = OutOfScope::OtherKind { covered }.into();
    check(None, (one, Some(CrlScope::UserCertsOnly)), 1, Err(other));
}

/// "Not about this one" is the CA's word only if the CA signed it, and while it holds.
#[test]
fn only_a_sound_list_is_of_other_certificates() {
    let chain = chain(&server_with_point(1, "http://ca.example/1.crl"));
    let leaf = chain.links.first().unwrap();
    let part = List {
        point: Some(("http://ca.example/2.crl", None)),
        ..List::default()
    };
    let refused = parse(&chain.ca.list(&part)).check(leaf, now());
    assert_eq!(refused, Err(OutOfScope::OtherPart.into()));
    let imposter = Ca::root("Intermediate");
    let refused = parse(&imposter.list(&part)).check(leaf, now());
    assert_eq!(refused, Err(SignatureError::Wrong.into()));
    let list = parse(&chain.ca.list(&part));
    let early = list.check(leaf, at(NOW_SECS - DAY_SECS - 301));
    assert!(
        matches!(early, Err(CrlRefused::FromFuture { .. })),
        "{early:?}"
    );
    let late = list.check(leaf, at(NOW_SECS + 7 * DAY_SECS));
    assert!(matches!(late, Err(CrlRefused::Expired { .. })), "{late:?}");
}

/// The verdicts of rustls-webpki on whole paths, with the same lists.
#[test]
fn agrees_with_webpki() {
    let part = |uri| Some((uri, None));
    let (ours, others) = ("http://ca.example/1.crl", "http://ca.example/2.crl");
    let lists = [
        List::default(),
        List {
            revoked: REVOKED,
            ..List::default()
        },
        List {
            next_update: NOW_SECS - 1,
            ..List::default()
        },
        List {
            point: part(ours),
            ..List::default()
        },
        List {
            point: part(others),
            ..List::default()
        },
        List {
            revoked: REVOKED,
            point: part(others),
            ..List::default()
        },
    ];
    let chain = chain(&server_with_point(0x77, ours));
    let imposter = Ca::root("Intermediate");
    for (place, list) in lists.iter().enumerate() {
        for signer in [&chain.ca, &imposter] {
            let leaf_list = signer.list(list);
            let root_list = chain.root.list(&List::default());
            let [leaf, intermediate] = chain.links.as_slice() else {
                panic!("two links")
            };
            let ours = [(&leaf_list, leaf), (&root_list, intermediate)]
                .iter()
                .all(|(list, link)| parse(list).check(link, now()) == Ok(Standing::Good));
            let theirs = webpki_accepts(&chain, &[&leaf_list, &root_list]);
            assert_eq!(ours, theirs, "list {place}");
        }
    }
}

fn webpki_accepts(chain: &Chain, lists: &[&[u8]]) -> bool {
    let lists: Vec<CertRevocationList<'_>> = lists
        .iter()
        .map(|der| BorrowedCertRevocationList::from_der(der).unwrap().into())
        .collect();
    let lists: Vec<_> = lists.iter().collect();
    let options = RevocationOptionsBuilder::new(&lists)
        .unwrap()
        .with_depth(RevocationCheckDepth::Chain)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let (leaf, intermediates) = chain.certificates.split_first().unwrap();
    let leaf = webpki::EndEntityCert::try_from(leaf).unwrap();
    let anchors = chain.root.anchors();
    leaf.verify_for_usage(
        ALGORITHMS,
        anchors.as_slice(),
        intermediates,
        now(),
        KeyUsage::server_auth(),
        Some(options),
        None,
    )
    .is_ok()
}

#[test]
fn pem_is_read_too() {
    let ca = Ca::root("Root");
    let der = ca.list(&List::default());
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der);
    let pem = format!("A list:\n-----BEGIN X509 CRL-----\n{base64}\n-----END X509 CRL-----\n");
    assert_eq!(parse(pem.as_bytes()).facts(), parse(&der).facts());
    let other = pem.replace("X509 CRL", "CERTIFICATE");
    assert_eq!(
        Crl::parse(other.as_bytes()).unwrap_err(),
        CrlError::Malformed
    );
}

/// Lists that we can't use, each with the reason that leads to the fix. What rcgen does not write
/// is made by replacing parts: a list is read before its signature is checked.
#[test]
fn unusable_lists_are_refused_with_a_reason() {
    let check = |list: &[u8], expect: &CrlError| {
        assert_eq!(&Crl::parse(list).unwrap_err(), expect);
    };
    check(b"", &CrlError::Malformed);
    check(b"<html>404</html>", &CrlError::Malformed);
    check(&[0x30, 0], &CrlError::Malformed);
    let bytes = CRL_BYTES_MAX + 1;
    let mut long = vec![0; bytes];
    long[0] = der::SEQUENCE;
    check(&long, &CrlError::TooLong { bytes });
    let bytes = CRL_PEM_BYTES_MAX + 1;
    check(&vec![b'-'; bytes], &CrlError::TooLong { bytes });

    let outline = Parts::default();
    assert!(Crl::parse(&outline.list()).is_ok());
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::default();
        change(&mut parts);
        parts.list()
    };
    check(
        &with(&|parts| parts.extensions = None),
        &CrlError::NoExtensions,
    );
    check(&with(&|parts| parts.version = vec![]), &CrlError::Malformed);
    check(
        &with(&|parts| parts.version = vec![2, 1, 0]),
        &CrlError::NoExtensions,
    );
    check(
        &with(&|parts| parts.next_update = vec![]),
        &CrlError::NoNextUpdate,
    );
    let extended = |oid: u8, value: &[u8]| {
        let extension = extension(oid, value);
        with(&|parts| parts.extensions = Some(extension.clone()))
    };
    check(&extended(27, &[2, 1, 1]), &CrlError::Delta);
    let name: &[u8] = &[0xa0, 7, 0xa0, 5, 0x86, 3, b'a', b':', b'b'];
    let point = |rest: &[u8]| extended(28, &der::write(der::SEQUENCE, &[name, rest]));
    assert!(Crl::parse(&point(&[])).is_ok());
    check(&point(&[0x84, 1, 0xff]), &CrlError::Indirect);
    check(&point(&[0x83, 2, 1, 0x02]), &CrlError::SomeReasons);
    let nameless = der::write(der::SEQUENCE, &[&[0x81, 1, 0xff]]);
    check(&extended(28, &nameless), &CrlError::NoFullName);
    let unknown = Crl::parse(&extended(99, &[5, 0])).unwrap_err();
    assert!(matches!(unknown, CrlError::Unusable(_)), "{unknown:?}");
}

/// A list put together by hand; its signature is wrong.
struct Parts {
    version: Vec<u8>,
    next_update: Vec<u8>,
    extensions: Option<Vec<u8>>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            version: vec![2, 1, 1],
            next_update: der::write(der::UTC_TIME, &[b"270101000000Z"]),
            extensions: Some(extension(20, &[2, 1, 1])),
        }
    }
}

impl Parts {
    fn list(&self) -> Vec<u8> {
        let algorithm = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let this_update = der::write(der::UTC_TIME, &[b"260101000000Z"]);
        let extensions = match &self.extensions {
            Some(all) => der::write(
                der::context_constructed(0),
                &[&der::write(der::SEQUENCE, &[all])],
            ),
            None => Vec::new(),
        };
        let tbs = der::write(
            der::SEQUENCE,
            &[
                &self.version,
                &algorithm,
                &der::write(der::SEQUENCE, &[]),
                &this_update,
                &self.next_update,
                &extensions,
            ],
        );
        let signature = der::write(der::BIT_STRING, &[&[0, 1]]);
        der::write(der::SEQUENCE, &[&tbs, &algorithm, &signature])
    }
}

/// A critical extension 2.5.29.`oid`.
fn extension(oid: u8, value: &[u8]) -> Vec<u8> {
    der::write(
        der::SEQUENCE,
        &[
            &der::write(der::OID, &[&[0x55, 0x1d, oid]]),
            &der::write(der::BOOLEAN, &[&[0xff]]),
            &der::write(der::OCTET_STRING, &[value]),
        ],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is changed in a list, it is refused or not about the same: never a panic, and
    /// never `good` from a list that the CA did not sign.
    #[test]
    fn changed_lists_prove_nothing(place in any::<prop::sample::Index>(), to in any::<u8>()) {
        static MADE: LazyLock<(Vec<u8>, Vec<Link>)> = LazyLock::new(|| {
            let ca = Ca::root("Root");
            let links = ca.links(&[ca.issue(&server(0x77))]);
            (ca.list(&List { revoked: REVOKED, ..List::default() }), links)
        });
        let (mut list, links) = MADE.clone();
        let byte = place.index(list.len());
        prop_assume!(list[byte] != to);
        list[byte] = to;
        if let Ok(list) = Crl::parse(&list) {
            let verdict = list.check(links.first().unwrap(), now());
            prop_assert!(verdict.is_err(), "{:?}", verdict);
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(Crl::parse(&bytes).is_err());
    }
}
