//! Whether the one who signed an OCSP answer may (RFC 6960 §4.2.2.2): the CA that issued the
//! certificate, or a responder that this CA named by a certificate for that purpose.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls_pki_types::{CertificateDer, Der, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

use super::response::{BasicResponse, ResponderId};
use super::{Reader, der};
use crate::certificate::Certificate;
use crate::revocation::link::{Issuer, key_bits};
use crate::revocation::signature::SignatureError;
use crate::verify::{ALGORITHMS, Seconds};

/// The contents of `id-kp-OCSPSigning`, 1.3.6.1.5.5.7.3.9.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// The one who signed an answer may not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResponderError {
    /// Neither the issuer nor a certificate that came along.
    #[error("it is signed neither by the CA nor by the owner of a certificate that came with it")]
    Absent,
    /// Not issued by the CA itself.
    #[error("its responder's certificate was not issued by the CA that issued the certificate")]
    NotOfIssuer,
    /// Not meant for that.
    #[error(
        "its responder's certificate is not meant for OCSP: its extended key usage lacks \
         OCSPSigning (RFC 6960 §4.2.2.2)"
    )]
    NotForOcsp,
    /// Its dates.
    #[error("its responder's certificate is not valid now ({now})")]
    NotValidNow {
        /// When we looked.
        now: Seconds,
    },
    /// Broken in another way.
    #[error("its responder's certificate can't be used: {0}")]
    Unusable(String),
    /// Not signed by the one it names.
    #[error("{0}")]
    Signature(#[from] SignatureError),
}

/// Whether the answer is signed by one who may speak for `issuer`.
pub(super) fn check(
    basic: &BasicResponse<'_>,
    issuer: &Issuer,
    now: UnixTime,
) -> Result<(), ResponderError> {
    let mut outcome = Err(ResponderError::Absent);
    if names(basic.responder, &issuer.name, issuer.key_bits()) {
        match basic.signed.verify(&issuer.key) {
            Ok(()) => return Ok(()),
            // A responder may have the name of its CA.
            Err(error) => outcome = Err(error.into()),
        }
    }
    for der in &basic.certificates {
        let der = CertificateDer::from(*der);
        let Ok(certificate) = EndEntityCert::try_from(&der) else {
            continue;
        };
        let key = certificate.subject_public_key_info();
        if key == issuer.key || !names(basic.responder, certificate.subject(), key_bits(&key)) {
            continue;
        }
        let delegated = check_delegation(&certificate, issuer, now)
            .and_then(|()| Ok(basic.signed.verify(&key)?));
        match delegated {
            Ok(()) => return Ok(()),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

fn names(id: ResponderId<'_>, name: &[u8], key: Option<&[u8]>) -> bool {
    match id {
        ResponderId::Name(theirs) => theirs == name,
        ResponderId::Key(theirs) => {
            key.is_some_and(|key| digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref() == theirs)
        }
    }
}

/// Whether `issuer` itself issued the certificate, for OCSP, and it is valid now. The certificate's
/// own revocation is not looked up: CAs issue these for days or weeks and mark them as not to be
/// looked up (RFC 6960 §4.2.2.2.1).
fn check_delegation(
    certificate: &EndEntityCert<'_>,
    issuer: &Issuer,
    now: UnixTime,
) -> Result<(), ResponderError> {
    let key = Reader::new(&issuer.key).take(der::SEQUENCE);
    let key = key.map_err(|_| ResponderError::NotOfIssuer)?;
    let anchor = TrustAnchor {
        subject: Der::from_slice(&issuer.name),
        subject_public_key_info: Der::from_slice(key),
        name_constraints: None,
    };
    certificate
        .verify_for_usage(
            ALGORITHMS,
            &[anchor],
            &[],
            now,
            KeyUsage::required(OCSP_SIGNING),
            None,
            None,
        )
        .map_err(|error| explain(error, now))?;
    if may_sign(&certificate.der()) {
        Ok(())
    } else {
        Err(ResponderError::Unusable(
            "its key usage lacks digitalSignature (RFC 5280 §4.2.1.3)".to_owned(),
        ))
    }
}

fn may_sign(certificate: &CertificateDer<'_>) -> bool {
    Certificate::parse(certificate).is_ok_and(|certificate| certificate.may_sign())
}

fn explain(error: Error, now: UnixTime) -> ResponderError {
    match error {
        Error::UnknownIssuer
        | Error::InvalidSignatureForPublicKey
        | Error::SignatureAlgorithmMismatch => ResponderError::NotOfIssuer,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            ResponderError::NotForOcsp
        }
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => {
            let now = Seconds::of(now);
            ResponderError::NotValidNow { now }
        }
        other => ResponderError::Unusable(other.to_string()),
    }
}
