//! Why an exchange failed, and what kind of failure that is. Recognised by type, never by text.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hookseal_domain::address_policy::EgressDenied;
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::limits::RESPONSE_HEAD_BYTES_MAX;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::Failed;
use hookseal_domain::transport::name::Name;
use rustls::AlertDescription;

use crate::connect::ConnectError;
use crate::proxy::ProxyError;
use crate::resolve::ResolveError;
use crate::stream::Signs;
use crate::target::BadTarget;
use crate::taxonomy::{alert_name, has_advice, of_alert, of_library};
use crate::tls::TlsError;
use crate::verifier::Distrust;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Target(#[from] BadTarget),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Blocked(#[from] Blocked),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Proxy(Box<ProxyError>),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{}", .0.reason)]
    Revocation(Failed),
    #[error("no certificate of the client identity {0} is valid now; nothing was sent")]
    NoValidCertificate(Name),
    #[error("the client identity {name} can't be used: {why}; nothing was sent")]
    UnusableIdentity { name: Name, why: String },
    #[error("the endpoint's transport policy was changed meanwhile; nothing was sent")]
    Retired,
    #[error("the server ended the TLS session: it sent the alert {}", alert_name(*.0))]
    TlsAlert(AlertDescription),
    #[error("what the server sent is not valid TLS")]
    TlsBroken(#[source] rustls::Error),
    #[error("the server demanded another TLS handshake within the session and did not go on")]
    Renegotiation(#[source] hyper::Error),
    #[error(
        "the server asked for a client certificate, and closed the connection before it answered \
         anything"
    )]
    ClosedWithoutAlert(#[source] hyper::Error),
    #[error("the server closed the connection without an answer")]
    Closed(#[source] hyper::Error),
    #[error("the server closed the connection within its answer")]
    Truncated(#[source] hyper::Error),
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    #[error(
        "the head of the answer is too large: more than {RESPONSE_HEAD_BYTES_MAX} bytes or 100 \
         fields"
    )]
    HeadTooLarge(#[source] hyper::Error),
    #[error("the answer is not HTTP")]
    NotHttp(#[source] hyper::Error),
    #[error("the request can't be sent")]
    Request(#[source] hyper::Error),
}

/// The policy refuses every address of the server. At least one.
#[derive(Debug)]
pub(crate) struct Blocked(pub(crate) Vec<EgressDenied>);

// === impl ExchangeError ===

impl ExchangeError {
    /// What a failed request means. `answered` tells whether the peer sent anything.
    pub(crate) fn of_request(error: hyper::Error, signs: &Signs, answered: bool) -> Self {
        if signs.renegotiation_demanded() {
            return Self::Renegotiation(error);
        }
        match signs.tls_error() {
            Some(rustls::Error::AlertReceived(alert)) => return Self::TlsAlert(*alert),
            Some(other) => return Self::TlsBroken(other.clone()),
            None => {}
        }
        if error.is_parse_too_large() {
            Self::HeadTooLarge(error)
        } else if error.is_parse() {
            Self::NotHttp(error)
        } else if error.is_user() {
            Self::Request(error)
        } else if find_cause::<h2::Error>(&error).is_some_and(is_protocol_error) {
            Self::NotHttp(error)
        } else if !is_closure(&error) {
            Self::Broken(error)
        } else if answered {
            Self::Truncated(error)
        } else {
            Self::Closed(error)
        }
    }

    /// Whether a request on a kept connection failed only because the peer had closed it, in
    /// whichever way. If it has a reason that lasts, a new connection meets it too.
    pub(crate) fn is_stale_connection(&self) -> bool {
        matches!(
            self,
            Self::Closed(_) | Self::ClosedWithoutAlert(_) | Self::TlsAlert(_) | Self::TlsBroken(_)
        )
    }

    /// Whether the connection ended before the request was written, or the peer said, as it left,
    /// that it does not answer it any more (RFC 9113 §8.7): on another one it can be made again.
    pub(crate) fn is_leave(&self) -> bool {
        match self {
            Self::Closed(error) => {
                error.is_canceled() || find_cause::<h2::Error>(error).is_some_and(is_peer_leaving)
            }
            _ => false,
        }
    }

    /// Whether the peer answered something, though it can't be used.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Truncated(_) | Self::HeadTooLarge(_) | Self::NotHttp(_)
        )
    }

    /// What it means for TLS, if it has to do with it.
    pub(crate) fn tls_failure(&self) -> Option<TlsFailure> {
        match self {
            Self::Proxy(error) => error.tls_failure(),
            Self::Tls(error) => error.failure(),
            Self::Revocation(failed) => Some(failed.failure),
            Self::NoValidCertificate(_) | Self::UnusableIdentity { .. } => {
                Some(TlsFailure::IdentityUnusable)
            }
            Self::TlsAlert(alert) => Some(of_alert(*alert)),
            Self::TlsBroken(error) => Some(of_library(error)),
            Self::Renegotiation(_) => Some(TlsFailure::RenegotiationDemanded),
            Self::ClosedWithoutAlert(_) => Some(TlsFailure::ClosedWithoutAlert),
            _ => None,
        }
    }

    /// For the person who reads the attempt.
    pub(crate) fn in_words(&self) -> String {
        let what = reason(self);
        match (self, self.tls_failure()) {
            // Most verdicts say themselves what to do.
            (Self::Tls(TlsError::NotTrusted(Distrust::Chain(error))), _) if has_advice(error) => {
                what
            }
            (_, None) => what,
            (_, Some(failure)) => with_advice(&what, failure),
        }
    }

    /// Which kind of failure this is.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Target(BadTarget::Host(_)) | Self::Resolve(_) => FailureKind::Resolve,
            Self::Target(BadTarget::Uri) | Self::Request(_) => FailureKind::Internal,
            Self::Tls(TlsError::Unverified)
            | Self::NoValidCertificate(_)
            | Self::UnusableIdentity { .. }
            | Self::Retired => FailureKind::Internal,
            Self::Blocked(_) => FailureKind::Blocked,
            Self::Tls(TlsError::NotTrusted(_)) | Self::Revocation(_) => FailureKind::NotTrusted,
            Self::Connect(_)
            | Self::Proxy(_)
            | Self::Closed(_)
            | Self::Truncated(_)
            | Self::Broken(_)
            | Self::ClosedWithoutAlert(_)
            | Self::Tls(TlsError::Broken(_) | TlsError::ClosedWithoutAlert(_)) => {
                FailureKind::Connection
            }
            Self::Tls(_) | Self::TlsAlert(_) | Self::Renegotiation(_) => FailureKind::Handshake,
            Self::TlsBroken(_) | Self::HeadTooLarge(_) | Self::NotHttp(_) => FailureKind::Protocol,
        }
    }
}

/// What happened and what to do.
pub(crate) fn with_advice(what: &str, failure: TlsFailure) -> String {
    format!("{what}. {}", failure.advice())
}

impl From<ProxyError> for ExchangeError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(Box::new(error))
    }
}

/// The peer ended the connection, in whichever way, before the exchange was over.
fn is_closure(error: &hyper::Error) -> bool {
    let gone = |error: &io::Error| {
        use io::ErrorKind as Kind;
        matches!(
            error.kind(),
            Kind::BrokenPipe
                | Kind::ConnectionAborted
                | Kind::ConnectionReset
                | Kind::NotConnected
                | Kind::UnexpectedEof
        )
    };
    error.is_canceled()
        || error.is_closed()
        || error.is_incomplete_message()
        || find_cause::<io::Error>(error).is_some_and(gone)
        || find_cause::<h2::Error>(error).is_some_and(is_peer_leaving)
}

/// RFC 9113 §8.7: the peer did not process the request, or is about to close the connection.
fn is_peer_leaving(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Whether the peer of a [`ExchangeError::Closed`] spoke HTTP/2 before it went: then it left, and
/// did not refuse us in silence.
pub(crate) fn is_leave(error: &hyper::Error, signs: &Signs) -> bool {
    // A request that was never sent says nothing of why.
    error.is_canceled() && signs.answered()
        || find_cause::<h2::Error>(error).is_some_and(is_peer_leaving)
}

fn is_protocol_error(error: &h2::Error) -> bool {
    error.is_library() && !error.is_io()
}

/// The first cause of a certain type, `error` itself included.
pub(crate) fn find_cause<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of an `io::Error` is its inner error's source: the inner one is skipped.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// An error and its causes in one line, for the person who reads the attempt.
pub(crate) fn reason(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

// === impl Blocked ===

impl StdError for Blocked {}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing was sent: ")?;
        for (place, denied) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            denied.fmt(f)?;
        }
        Ok(())
    }
}
