//! Why an exchange failed, and what kind of failure that is. Recognised by type, never by text.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hookseal_domain::address_policy::EgressDenied;
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::limits::RESPONSE_HEAD_BYTES_MAX;
use rustls::AlertDescription;

use crate::connect::ConnectError;
use crate::resolve::ResolveError;
use crate::target::BadTarget;
use crate::tls::TlsError;

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
    Tls(#[from] TlsError),
    #[error("the server ended the TLS session: it sent the alert {}", .0.as_str().unwrap_or("?"))]
    TlsAlert(AlertDescription),
    #[error("what the server sent is not valid TLS")]
    TlsBroken(#[source] rustls::Error),
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
    pub(crate) fn of_request(error: hyper::Error, answered: bool) -> Self {
        match find_cause::<rustls::Error>(&error) {
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

    /// Whether a request on a kept connection failed only because the peer had closed it.
    pub(crate) fn is_stale_connection(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Which kind of failure this is.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Target(BadTarget::Host(_)) | Self::Resolve(_) => FailureKind::Resolve,
            Self::Target(BadTarget::Uri) | Self::Request(_) => FailureKind::Internal,
            Self::Tls(TlsError::Unverified) => FailureKind::Internal,
            Self::Blocked(_) => FailureKind::Blocked,
            Self::Tls(TlsError::NotTrusted(_)) => FailureKind::NotTrusted,
            Self::Connect(_)
            | Self::Closed(_)
            | Self::Truncated(_)
            | Self::Broken(_)
            | Self::Tls(TlsError::Broken(_)) => FailureKind::Connection,
            Self::Tls(_) | Self::TlsAlert(_) => FailureKind::Handshake,
            Self::TlsBroken(_) | Self::HeadTooLarge(_) | Self::NotHttp(_) => FailureKind::Protocol,
        }
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
