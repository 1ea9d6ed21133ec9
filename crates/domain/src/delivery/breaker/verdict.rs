//! What an attempt says of its endpoint, as opposed to what it says of its delivery.
//!
//! **Invariant:** a total, pure function of what came back.

use crate::delivery::outcome::{FailureKind, Reply};
use crate::transport::failure::TlsFailure;

/// What an attempt says of its endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It answered, and not that it can't.
    Answered,
    /// It is down, broken, or takes nothing now.
    Failed(EndpointFailure),
    /// Nothing that the breaker goes by.
    Unclear,
    /// It was not even tried: there was nothing to send.
    Untried,
}

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointFailure {
    /// No TLS session came about that anything may be sent on.
    Tls(TlsFailure),
    /// It has no address, refuses, breaks off, or does not speak HTTP.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// It answered with this status: 5xx, but 503.
    ServerError(u16),
    /// It answered with this status that it takes nothing now: 429 or 503.
    PushedBack(u16),
}

// === impl Verdict ===

impl Verdict {
    /// Of an attempt that ended so. A 4xx is about what was sent, not about the endpoint.
    pub const fn of(reply: &Reply, tls_failure: Option<TlsFailure>) -> Self {
        if let Some(failure) = tls_failure {
            return Self::Failed(EndpointFailure::Tls(failure));
        }
        match reply {
            Reply::Response { status, .. } => match *status {
                status @ (429 | 503) => Self::Failed(EndpointFailure::PushedBack(status)),
                status @ 500..=599 => Self::Failed(EndpointFailure::ServerError(status)),
                _ => Self::Answered,
            },
            Reply::Failure(kind) => match kind {
                FailureKind::TimedOut => Self::Failed(EndpointFailure::TimedOut),
                FailureKind::Resolve | FailureKind::Connection | FailureKind::Protocol => {
                    Self::Failed(EndpointFailure::Unreachable)
                }
                // A refused address costs nobody a connection, and what is wrong on our side is not
                // the endpoint's.
                FailureKind::Handshake
                | FailureKind::NotTrusted
                | FailureKind::Blocked
                | FailureKind::Internal => Self::Unclear,
                FailureKind::EndpointDeleted
                | FailureKind::PayloadExpired
                | FailureKind::MessageExpired => Self::Untried,
            },
        }
    }
}

// === impl EndpointFailure ===

impl EndpointFailure {
    /// Its stable name, for logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls(failure) => failure.as_str(),
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::ServerError(_) => "server_error",
            Self::PushedBack(_) => "pushed_back",
        }
    }

    /// The status it answered with, if it did.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::ServerError(status) | Self::PushedBack(status) => Some(status),
            Self::Tls(_) | Self::Unreachable | Self::TimedOut => None,
        }
    }

    /// What to do, for people.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Tls(failure) => failure.advice(),
            Self::Unreachable => {
                "Find out whether the receiver runs, and whether its host and port are those of \
                 the URL; the reasons are in the attempts."
            }
            Self::TimedOut => {
                "The receiver has to answer within delivery.timeout: let it take an event in, \
                 answer, and do the work afterwards."
            }
            Self::ServerError(_) => {
                "The receiver fails by itself: its log says why. Its answers are in the attempts."
            }
            Self::PushedBack(_) => {
                "The receiver takes nothing: let it take more, or limit the rate of the endpoint to \
                 what it takes."
            }
        }
    }

    /// Whether it is certain to happen again until people mend something in TLS.
    pub(super) fn is_deterministic_tls(self) -> bool {
        matches!(self, Self::Tls(failure) if failure.is_deterministic())
    }

    /// Whether the endpoint answered, so that TLS works.
    pub(super) const fn is_answer(self) -> bool {
        self.status().is_some()
    }

    /// Whether it only asks for less.
    pub(super) const fn is_push_back(self) -> bool {
        matches!(self, Self::PushedBack(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Verdict {
        let reply = Reply::Response {
            status,
            retry_after: None,
        };
        Verdict::of(&reply, None)
    }

    #[test]
    fn only_some_answers_speak_against_an_endpoint() {
        for status in 0..=999 {
            let expect = match status {
                429 | 503 => Verdict::Failed(EndpointFailure::PushedBack(status)),
                500..=599 => Verdict::Failed(EndpointFailure::ServerError(status)),
                _ => Verdict::Answered,
            };
            assert_eq!(answered(status), expect);
        }
    }

    #[test]
    fn failures() {
        for (kind, expect) in [
            (
                FailureKind::TimedOut,
                Verdict::Failed(EndpointFailure::TimedOut),
            ),
            (
                FailureKind::Resolve,
                Verdict::Failed(EndpointFailure::Unreachable),
            ),
            (
                FailureKind::Connection,
                Verdict::Failed(EndpointFailure::Unreachable),
            ),
            (
                FailureKind::Protocol,
                Verdict::Failed(EndpointFailure::Unreachable),
            ),
            (FailureKind::Blocked, Verdict::Unclear),
            (FailureKind::Internal, Verdict::Unclear),
            (FailureKind::EndpointDeleted, Verdict::Untried),
            (FailureKind::PayloadExpired, Verdict::Untried),
            (FailureKind::MessageExpired, Verdict::Untried),
        ] {
            assert_eq!(Verdict::of(&Reply::Failure(kind), None), expect, "{kind:?}");
        }
    }

    #[test]
    fn a_failure_of_tls_decides() {
        let nginx = Reply::Response {
            status: 400,
            retry_after: None,
        };
        let failure = TlsFailure::HttpNoCertificate;
        assert_eq!(
            Verdict::of(&nginx, Some(failure)),
            Verdict::Failed(EndpointFailure::Tls(failure))
        );
    }
}
