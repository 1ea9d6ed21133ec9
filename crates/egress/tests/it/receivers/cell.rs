//! What an attempt with one sort of client certificate comes to at one server, and what it has to.

use std::fmt;

use hookseal_domain::delivery::outcome::{FailureKind, Reply};
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_egress::Exchanged;
use hookseal_testkit::real_server::Software;

/// Which client certificate is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    None,
    WrongCa,
    Expired,
    Right,
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cell {
    /// The server got the request and answered 200.
    Delivered,
    /// The server got the request; what it answered is not HTTP.
    DeliveredWithoutAnswer,
    /// The server did not get the request; this is why.
    Refused(TlsFailure),
}

// === impl Shown ===

impl Shown {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::WrongCa, Self::Expired, Self::Right];
}

// === impl Cell ===

impl Cell {
    /// What it has to be, in TLS 1.2 and 1.3 alike.
    pub(crate) fn expected(software: Software, shown: Shown) -> Self {
        use Software as S;
        match (software, shown) {
            // It can't answer a POST, and sends back what it received.
            (S::GnutlsServ, Shown::Right) => Self::DeliveredWithoutAnswer,
            (_, Shown::Right) => Self::Delivered,
            (_, Shown::None) => Self::Refused(without_certificate(software)),
            (_, Shown::WrongCa | Shown::Expired) => Self::Refused(with_bad_one(software, shown)),
        }
    }

    /// Why the server did not get the request.
    pub(crate) fn failure(self) -> Option<TlsFailure> {
        match self {
            Self::Refused(failure) => Some(failure),
            Self::Delivered | Self::DeliveredWithoutAnswer => None,
        }
    }

    /// What it was, or in words what nobody expects.
    pub(crate) fn observed(exchanged: &Exchanged, arrived: bool) -> Result<Self, String> {
        match (&exchanged.reply, exchanged.tls_failure, arrived) {
            (Reply::Response { status: 200, .. }, None, true) => Ok(Self::Delivered),
            (Reply::Failure(FailureKind::Protocol), None, true) => Ok(Self::DeliveredWithoutAnswer),
            (Reply::Failure(_) | Reply::Response { status: 400, .. }, Some(failure), false) => {
                Ok(Self::Refused(failure))
            }
            _ => Err(format!("arrived: {arrived}, {exchanged:?}")),
        }
    }
}

fn without_certificate(software: Software) -> TlsFailure {
    match software {
        // It completes the handshake and answers 400.
        Software::Nginx => TlsFailure::HttpNoCertificate,
        Software::JavaHttpsServer => TlsFailure::ClosedWithoutAlert,
        // In TLS 1.3, too, where the standard has another alert.
        Software::JavaSslServerSocket => TlsFailure::BadCertificate,
        // TLS 1.2 has no alert for it: they send handshake_failure or decode_error then.
        _ => TlsFailure::CertificateRequired,
    }
}

fn with_bad_one(software: Software, shown: Shown) -> TlsFailure {
    use Software as S;
    match software {
        S::Nginx => TlsFailure::HttpCertificateRejected,
        S::GnutlsServ => TlsFailure::AccessDenied,
        S::Node | S::JavaHttpsServer => TlsFailure::ClosedWithoutAlert,
        S::JavaSslServerSocket => TlsFailure::CertificateUnknown,
        // All are made of OpenSSL.
        S::Haproxy | S::Stunnel | S::Hitch | S::OpensslServer | S::Python => match shown {
            Shown::Expired => TlsFailure::CertificateExpired,
            _ => TlsFailure::UnknownCa,
        },
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => f.write_str("**delivered**"),
            Self::DeliveredWithoutAnswer => f.write_str("**delivered** [^1]"),
            Self::Refused(failure) => write!(f, "`{}`", failure.as_str()),
        }
    }
}
