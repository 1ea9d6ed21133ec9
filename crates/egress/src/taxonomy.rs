//! What the errors of the libraries mean in our words: what a peer's alert says of us, and what we
//! found wrong with a peer.
//!
//! **Invariant:** an alert that was received is the receiver's word about us; a local error is ours
//! about the receiver. The two are never mixed.

use hookseal_domain::transport::failure::TlsFailure;
use hookseal_pki::verify::VerifyError;
use rustls::{AlertDescription, CertificateError, PeerIncompatible, PeerMisbehaved};

use crate::pkcs11::TokenError;
use crate::verifier::Distrust;

/// What a refusal of ours means.
pub(crate) fn of_distrust(distrust: &Distrust) -> TlsFailure {
    match distrust {
        Distrust::Chain(error) => of_verification(error),
        Distrust::Pins(_) => TlsFailure::PinMismatch,
    }
}

fn of_verification(error: &VerifyError) -> TlsFailure {
    use VerifyError as E;
    match error {
        E::TooBig(_) | E::Unreadable(_) | E::TooComplex | E::Malformed(_) => {
            TlsFailure::PeerMalformed
        }
        E::Expired { .. } => TlsFailure::PeerExpired,
        E::NotYetValid { .. } => TlsFailure::PeerNotYetValid,
        E::RootExpired { .. } | E::RootNotYetValid { .. } => TlsFailure::AnchorExpired,
        E::WrongName { .. } => TlsFailure::PeerWrongName,
        E::SelfSigned { .. } => TlsFailure::PeerSelfSigned,
        E::IntermediateMissing(_) => TlsFailure::PeerIntermediateMissing,
        E::UnknownIssuer { .. } => TlsFailure::PeerUnknownIssuer,
        E::PublicCaNotAllowed { .. } => TlsFailure::PeerPublicCa,
        E::WrongPurpose => TlsFailure::PeerWrongPurpose,
        E::CaAsServer { .. }
        | E::IssuerNotCa
        | E::PathTooLong
        | E::NameConstraint
        | E::RuleBroken { .. } => TlsFailure::PeerBadPath,
        E::BadSignature => TlsFailure::PeerBadSignature,
        E::WeakKey { .. } => TlsFailure::PeerWeakKey,
        E::WeakSignature { .. } | E::UnsupportedAlgorithm => TlsFailure::PeerWeakSignature,
        E::Distrusted => TlsFailure::PeerDistrusted,
    }
}

/// Whether the error's own words tell what to do.
pub(crate) fn has_advice(error: &VerifyError) -> bool {
    use VerifyError as E;
    !matches!(
        error,
        E::TooBig(_)
            | E::Unreadable(_)
            | E::RootNotYetValid { .. }
            | E::PathTooLong
            | E::NameConstraint
            | E::TooComplex
            | E::Malformed(_)
    )
}

/// What an alert that was received means.
pub(crate) fn of_alert(alert: AlertDescription) -> TlsFailure {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => TlsFailure::CertificateRequired,
        A::UnknownCA => TlsFailure::UnknownCa,
        A::CertificateExpired => TlsFailure::CertificateExpired,
        A::CertificateRevoked => TlsFailure::CertificateRevoked,
        A::BadCertificate => TlsFailure::BadCertificate,
        A::UnsupportedCertificate => TlsFailure::UnsupportedCertificate,
        A::CertificateUnknown => TlsFailure::CertificateUnknown,
        A::AccessDenied => TlsFailure::AccessDenied,
        A::HandshakeFailure => TlsFailure::HandshakeFailure,
        A::UnrecognisedName => TlsFailure::UnrecognizedName,
        A::ProtocolVersion => TlsFailure::VersionTooLow,
        A::InsufficientSecurity => TlsFailure::NothingInCommon,
        A::InternalError | A::UserCanceled => TlsFailure::PeerTrouble,
        _ => TlsFailure::OtherAlert,
    }
}

/// What an error of the TLS library means that is neither an alert nor a verdict of ours.
pub(crate) fn of_library(error: &rustls::Error) -> TlsFailure {
    use rustls::Error as E;
    match error {
        E::AlertReceived(alert) => of_alert(*alert),
        E::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => TlsFailure::VersionTooLow,
        E::PeerIncompatible(_) => TlsFailure::NothingInCommon,
        E::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests) => {
            TlsFailure::RenegotiationDemanded
        }
        E::NoCertificatesPresented => TlsFailure::PeerMalformed,
        E::InvalidCertificate(error) => of_handshake_signature(error),
        E::Other(other) if other.0.is::<TokenError>() => TlsFailure::IdentityUnusable,
        _ => TlsFailure::Broken,
    }
}

/// The chain is judged elsewhere: what is left is the signature over the handshake.
fn of_handshake_signature(error: &CertificateError) -> TlsFailure {
    match error {
        CertificateError::BadSignature => TlsFailure::PeerBadSignature,
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFailure::PeerWeakSignature
        }
        _ => TlsFailure::PeerMalformed,
    }
}

/// An alert as RFC 9846 §6 writes it.
pub(crate) fn alert_name(alert: AlertDescription) -> String {
    if alert == AlertDescription::UnrecognisedName {
        return "unrecognized_name".to_owned();
    }
    let Some(name) = alert.as_str() else {
        return format!("number {}", u8::from(alert));
    };
    let mut written = String::with_capacity(name.len() + 3);
    let mut after_small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_small {
            written.push('_');
        }
        written.push(c.to_ascii_lowercase());
        after_small = c.is_ascii_lowercase();
    }
    written
}

#[cfg(test)]
mod tests {
    use hookseal_domain::delivery::outcome::Again;

    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_standard() {
        let check = |alert, name: &str| assert_eq!(alert_name(alert), name);
        check(AlertDescription::UnknownCA, "unknown_ca");
        check(
            AlertDescription::CertificateRequired,
            "certificate_required",
        );
        check(AlertDescription::BadRecordMac, "bad_record_mac");
        check(AlertDescription::UnrecognisedName, "unrecognized_name");
        check(AlertDescription::Unknown(77), "number 77");
    }

    #[test]
    fn alerts_that_say_nothing_of_us() {
        let again = |number| of_alert(AlertDescription::from(number)).again();
        assert_eq!([80, 90].map(again), [Again::Soon; 2]);
        assert_eq!([10, 47, 77, 120].map(again), [Again::Later; 4]);
    }

    /// Where a failure has an alert's name, it is that alert's.
    #[test]
    fn alerts_of_the_same_name() {
        for number in 0..=255 {
            let alert = AlertDescription::from(number);
            if let Some(failure) = TlsFailure::parse(&alert_name(alert)) {
                assert_eq!(of_alert(alert), failure);
            }
        }
    }
}
