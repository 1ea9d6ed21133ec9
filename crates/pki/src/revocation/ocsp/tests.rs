//! Answers that prove something, and all the others.

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls_pki_types::CertificateDer;

use super::*;
use crate::revocation::fixture::{
    By, Ca, DAY_SECS, Hash, NOW_SECS, Reply, at, explicit, now, responder, revoked, server, unknown,
};
use crate::revocation::{Reason, SignatureError};

const SERIAL: u64 = 0x2a;

/// A CA and the link to a certificate that it issued.
static MADE: LazyLock<(Ca, Link)> = LazyLock::new(|| {
    let ca = Ca::root("Root");
    let mut links = ca.links(&[ca.issue(&server(SERIAL))]);
    (ca, links.remove(0))
});

/// What is said of a good answer with one change.
fn with(change: impl FnOnce(&mut Reply<'static>)) -> Result<Standing, OcspError> {
    let (ca, link) = &*MADE;
    let mut reply = Reply::good(ca, SERIAL);
    change(&mut reply);
    verify(&reply.der(), link, now()).map(|answer| answer.standing)
}

fn delegated(
    issuer: &Ca,
    params: &CertificateParams,
    change: impl FnOnce(&mut Reply<'_>),
) -> Result<Standing, OcspError> {
    let (ca, link) = &*MADE;
    let key = KeyPair::generate().unwrap();
    let certificate = issuer.issue_for(params, &key);
    let mut reply = Reply::good(ca, SERIAL);
    reply.signer = (&certificate, &key);
    reply.sent_along = vec![&certificate];
    change(&mut reply);
    verify(&reply.der(), link, now()).map(|answer| answer.standing)
}

fn refused(error: ResponderError) -> Result<Standing, OcspError> {
    Err(error.into())
}

#[test]
fn the_issuer_answers() {
    assert_eq!(with(|_| {}), Ok(Standing::Good));
    assert_eq!(with(|reply| reply.by = By::Name), Ok(Standing::Good));
    assert_eq!(with(|reply| reply.hash = Hash::Sha256), Ok(Standing::Good));
    let since = NOW_SECS - DAY_SECS;
    let is_revoked = |reason| {
        Ok(Standing::Revoked(Revoked {
            at: Seconds(since),
            reason,
        }))
    };
    assert_eq!(
        with(|reply| reply.status = revoked(since, None)),
        is_revoked(None)
    );
    let compromised = with(|reply| reply.status = revoked(since, Some(1)));
    assert_eq!(compromised, is_revoked(Some(Reason::KeyCompromise)));
    let odd = with(|reply| reply.status = revoked(since, Some(7)));
    assert_eq!(odd, is_revoked(None));
}

#[test]
fn unknown_is_not_good() {
    assert_eq!(
        with(|reply| reply.status = unknown()),
        Err(OcspError::Unknown)
    );
}

#[test]
fn an_answer_has_to_be_current() {
    let (ca, link) = &*MADE;
    let answer = Reply::good(ca, SERIAL).der();
    let (from, to) = (NOW_SECS - 3600, NOW_SECS + DAY_SECS);
    let until = Seconds(to);
    let good = Ok(Answer {
        standing: Standing::Good,
        this_update: Seconds(from),
        until,
    });
    assert_eq!(verify(&answer, link, at(to - 1)), good);
    let stale = Err(OcspError::Stale { until, now: until });
    assert_eq!(verify(&answer, link, at(to)), stale);
    assert_eq!(verify(&answer, link, at(from - 300)), good);
    let (this_update, now) = (Seconds(from), Seconds(from - 301));
    let early = Err(OcspError::FromFuture { this_update, now });
    assert_eq!(verify(&answer, link, at(from - 301)), early);
}

#[test]
fn an_answer_without_an_end_counts_for_a_day() {
    let (ca, link) = &*MADE;
    let mut reply = Reply::good(ca, SERIAL);
    reply.next_update = None;
    let answer = reply.der();
    let until = Seconds(NOW_SECS - 3600 + DAY_SECS);
    assert_eq!(verify(&answer, link, now()).unwrap().until, until);
    let stale = Err(OcspError::Stale { until, now: until });
    assert_eq!(verify(&answer, link, at(until.0)), stale);
}

/// A stale revocation is not current either: a hold may have ended.
#[test]
fn a_stale_answer_says_nothing() {
    let stale = with(|reply| {
        reply.status = revoked(NOW_SECS - DAY_SECS, None);
        reply.next_update = Some(NOW_SECS);
    });
    assert!(matches!(stale, Err(OcspError::Stale { .. })), "{stale:?}");
}

#[test]
fn an_answer_is_about_one_certificate_of_one_issuer() {
    let other = Err(OcspError::OtherCertificate);
    assert_eq!(with(|reply| reply.about = SERIAL + 1), other);
    assert_eq!(with(|reply| reply.hash = Hash::Md5), other);
    // The same name with another key, and the same key with another name.
    let (ca, link) = &*MADE;
    let namesake = Ca::root("Root");
    let mut reply = Reply::good(ca, SERIAL);
    reply.issuer = &namesake.der;
    assert_eq!(
        verify(&reply.der(), link, now()),
        Err(OcspError::OtherCertificate)
    );
    let renamed = Ca::params("Other").self_signed(ca.issuer.key()).unwrap();
    reply.issuer = renamed.der();
    assert_eq!(
        verify(&reply.der(), link, now()),
        Err(OcspError::OtherCertificate)
    );
}

#[test]
fn a_named_responder_answers_for_its_ca() {
    let (ca, _) = &*MADE;
    assert_eq!(delegated(ca, &responder(), |_| {}), Ok(Standing::Good));
    let by_name = delegated(ca, &responder(), |reply| reply.by = By::Name);
    assert_eq!(by_name, Ok(Standing::Good));
    // Even if it has the CA's own name.
    let mut namesake = responder();
    namesake.distinguished_name = Ca::params("Root").distinguished_name;
    let by_name = delegated(ca, &namesake, |reply| reply.by = By::Name);
    assert_eq!(by_name, Ok(Standing::Good));
    // The CA's own certificate may come along and does not disturb.
    let with_ca = delegated(ca, &responder(), |reply| {
        reply.sent_along.insert(0, &ca.der)
    });
    assert_eq!(with_ca, Ok(Standing::Good));
}

#[test]
fn others_may_not_answer() {
    let (ca, _) = &*MADE;
    let stranger = Ca::root("Stranger");
    let own = with_signer(&stranger, |_| {});
    assert_eq!(own, refused(ResponderError::Absent));
    let pretending = with_signer(&Ca::root("Root"), |reply| reply.by = By::Name);
    assert_eq!(pretending, refused(SignatureError::Wrong.into()));

    let of_stranger = delegated(&stranger, &responder(), |_| {});
    assert_eq!(of_stranger, refused(ResponderError::NotOfIssuer));
    let of_namesake = delegated(&Ca::root("Root"), &responder(), |_| {});
    assert_eq!(of_namesake, refused(ResponderError::NotOfIssuer));
    let of_ca_below = delegated(&ca.intermediate(Ca::params("Below")), &responder(), |_| {});
    assert_eq!(of_ca_below, refused(ResponderError::NotOfIssuer));

    // A server's certificate of the same CA does not make a responder.
    let a_server = delegated(ca, &server(9), |_| {});
    assert_eq!(a_server, refused(ResponderError::NotForOcsp));
    let mut aimless = responder();
    aimless.extended_key_usages = vec![];
    let aimless = delegated(ca, &aimless, |_| {});
    assert_eq!(aimless, refused(ResponderError::NotForOcsp));
    let mut any = responder();
    any.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    let any = delegated(ca, &any, |_| {});
    assert_eq!(any, refused(ResponderError::NotForOcsp));

    let mut silent = responder();
    silent.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let silent = delegated(ca, &silent, |_| {});
    assert!(
        matches!(
            silent,
            Err(OcspError::Responder(ResponderError::Unusable(_)))
        ),
        "{silent:?}"
    );
    let absent = delegated(ca, &responder(), |reply| reply.sent_along.clear());
    assert_eq!(absent, refused(ResponderError::Absent));
}

fn with_signer(signer: &Ca, change: impl FnOnce(&mut Reply<'_>)) -> Result<Standing, OcspError> {
    let (ca, link) = &*MADE;
    let mut reply = Reply::good(ca, SERIAL);
    reply.signer = (&signer.der, signer.issuer.key());
    change(&mut reply);
    verify(&reply.der(), link, now()).map(|answer| answer.standing)
}

#[test]
fn a_responder_has_to_be_valid_now() {
    let (ca, _) = &*MADE;
    let not_valid = refused(ResponderError::NotValidNow {
        now: Seconds(NOW_SECS),
    });
    let mut old = responder();
    old.not_after = date_time_ymd(2026, 11, 22);
    assert_eq!(delegated(ca, &old, |_| {}), not_valid);
    let mut new = responder();
    new.not_before = date_time_ymd(2026, 11, 24);
    assert_eq!(delegated(ca, &new, |_| {}), not_valid);
}

/// The key that signed has to be the one of the certificate that came along.
#[test]
fn a_borrowed_certificate_is_no_use() {
    let (ca, _) = &*MADE;
    let thief = KeyPair::generate().unwrap();
    let (signer, honest) = (&thief, ca.issue(&responder()));
    let (ca, link) = &*MADE;
    let mut reply = Reply::good(ca, SERIAL);
    reply.signer = (&honest, signer);
    reply.sent_along = vec![&honest];
    let verdict = verify(&reply.der(), link, now());
    assert_eq!(
        verdict,
        Err(ResponderError::Signature(SignatureError::Wrong).into())
    );
}

#[test]
fn only_successful_basic_answers_count() {
    let (ca, link) = &*MADE;
    let status = |code: u8| {
        let answer = der::write(der::SEQUENCE, &[&[der::ENUMERATED, 1, code]]);
        verify(&answer, link, now()).unwrap_err()
    };
    let says = |status| OcspError::Unsuccessful { status };
    assert_eq!(status(1), says("malformedRequest"));
    assert_eq!(status(3), says("tryLater"));
    assert_eq!(status(6), says("unauthorized"));
    assert_eq!(status(4), OcspError::Malformed);
    assert_eq!(status(0), OcspError::Malformed);

    let bytes = RESPONSE_BYTES_MAX + 1;
    let long = verify(&vec![0x30; bytes], link, now());
    assert_eq!(long, Err(OcspError::TooLong { bytes }));
    let answer = Reply::good(ca, SERIAL).der();
    for length in 0..answer.len() {
        let cut = verify(answer.get(..length).unwrap(), link, now());
        assert_eq!(cut, Err(OcspError::Malformed), "{length}");
    }
    let and_more = [answer.as_slice(), &[0]].concat();
    assert_eq!(verify(&and_more, link, now()), Err(OcspError::Malformed));
}

#[test]
fn extensions_may_be_there_but_not_critical() {
    let nonce = |critical: &[u8]| {
        let oid = der::write(der::OID, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2]]);
        let value = der::write(der::OCTET_STRING, &[&[4, 1, 9]]);
        let extension = der::write(der::SEQUENCE, &[&oid, critical, &value]);
        explicit(1, &der::write(der::SEQUENCE, &[&extension]))
    };
    assert_eq!(
        with(|reply| reply.extensions = nonce(&[])),
        Ok(Standing::Good)
    );
    let critical = with(|reply| reply.extensions = nonce(&[1, 1, 0xff]));
    assert_eq!(critical, Err(OcspError::CriticalExtension));
}

/// RFC 6960 §4.1.1, byte by byte but for the hashes.
#[test]
fn a_request_names_the_certificate() {
    let (ca, link) = &*MADE;
    let request = request(link).unwrap();
    // OCSPRequest, TBSRequest, requestList, Request.
    let mut one = Reader::new(&request);
    for _ in 0..4 {
        let inner = one.enter(der::SEQUENCE).unwrap();
        one.end().unwrap();
        one = inner;
    }
    assert!(CertId::read(&mut one).unwrap().names(link));
    one.end().unwrap();
    let other = ca.links(&[ca.issue(&server(SERIAL + 1))]);
    assert_ne!(super::request(other.first().unwrap()).unwrap(), request);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is changed in an answer, it proves nothing or the same: never a panic, and a
    /// revocation never turns into `good`.
    #[test]
    fn changed_answers_prove_nothing_else(
        place in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        static ANSWER: LazyLock<(Vec<u8>, Standing)> = LazyLock::new(|| {
            let (ca, link) = &*MADE;
            let key = KeyPair::generate().unwrap();
            let certificate: CertificateDer<'static> = ca.issue_for(&responder(), &key);
            let mut reply = Reply::good(ca, SERIAL);
            reply.status = revoked(NOW_SECS - DAY_SECS, Some(1));
            reply.signer = (&certificate, &key);
            reply.sent_along = vec![&certificate];
            let answer = reply.der();
            let standing = verify(&answer, link, now()).unwrap().standing;
            (answer, standing)
        });
        let (mut answer, standing) = ANSWER.clone();
        let byte = place.index(answer.len());
        answer[byte] = to;
        if let Ok(believed) = verify(&answer, &MADE.1, now()) {
            prop_assert_eq!(believed.standing, standing);
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(verify(&bytes, &MADE.1, now()).is_err());
    }
}
