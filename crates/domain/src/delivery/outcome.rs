//! What an attempt meant, whose fault it was, and whether to try again.
//!
//! **Invariant:** a total, pure function of response or failure and the endpoint's parking rule.

use std::time::Duration;

use crate::endpoint::ParkOn;
use crate::time::Timestamp;
use crate::transport::failure::TlsFailure;

/// What came back from an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// A response.
    Response {
        /// Its status code.
        status: u16,
        /// Its `Retry-After`, where it had a valid one.
        retry_after: Option<RetryAfter>,
    },
    /// None.
    Failure(FailureKind),
}

/// `Retry-After` (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryAfter {
    /// A number of seconds.
    Delay(Duration),
    /// An HTTP date.
    Date(Timestamp),
}

/// Why there was no response.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FailureKind {
    /// The deadline passed.
    TimedOut,
    /// The name was not resolved.
    Resolve,
    /// No connection, or it broke.
    Connection,
    /// The peers could not agree on TLS: an alert, or no version or suite in common. Will not mend
    /// itself.
    Handshake,
    /// The server's certificate was not accepted.
    NotTrusted,
    /// The address policy refused every address.
    Blocked,
    /// What came back was not HTTP, or more of it than we read.
    Protocol,
    /// We could not make the request: a key or setting of ours can't be applied.
    Internal,
    /// The endpoint does not exist any more; nothing was sent.
    EndpointDeleted,
    /// The payload does not exist any more; nothing was sent.
    PayloadExpired,
    /// The time that the message set is over; nothing was sent.
    MessageExpired,
}

/// What an attempt meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// 2xx.
    Accepted,
    /// The receiver answered, but did not accept: tried again.
    Retry,
    /// The receiver says that the data is wrong: inspect, do not retry.
    Parked,
    /// 410: the endpoint is disabled.
    Gone,
    /// No TLS session with a verified server came about.
    NotTrusted,
    /// The address policy forbids it: nothing was sent.
    Blocked,
    /// No connection, no name, a broken exchange.
    Unreachable,
    /// The deadline passed.
    TimedOut,
    /// Our own fault.
    Internal,
    /// There was nothing to send, or nobody to send it to.
    Unsendable,
}

/// Whose fault a failed attempt is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// The receiver's.
    Receiver,
    /// Ours.
    Us,
    /// The way between.
    Network,
}

/// Whether and how soon another attempt makes sense.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Again {
    /// By the schedule.
    Soon,
    /// At the schedule's long steps: people have to mend something first.
    Later,
    /// Not by itself.
    Never,
}

// === impl Outcome ===

impl Outcome {
    /// Classifies what came back. Where TLS failed, that decides: whatever status there is (nginx
    /// refuses client certificates with 400) says nothing of the message.
    pub fn classify(reply: &Reply, tls_failure: Option<TlsFailure>, park_on: &ParkOn) -> Self {
        match tls_failure.map(TlsFailure::again) {
            Some(Again::Soon) => return Self::Unreachable,
            Some(_) => return Self::NotTrusted,
            None => {}
        }
        match reply {
            Reply::Response { status, .. } => match *status {
                200..=299 => Self::Accepted,
                410 => Self::Gone,
                status if park_on.contains(status) => Self::Parked,
                // 1xx can't be final, 3xx is not followed, 4xx and 5xx were not accepted.
                _ => Self::Retry,
            },
            Reply::Failure(kind) => match kind {
                FailureKind::TimedOut => Self::TimedOut,
                FailureKind::Resolve | FailureKind::Connection | FailureKind::Protocol => {
                    Self::Unreachable
                }
                FailureKind::NotTrusted | FailureKind::Handshake => Self::NotTrusted,
                FailureKind::Blocked => Self::Blocked,
                FailureKind::Internal => Self::Internal,
                FailureKind::EndpointDeleted
                | FailureKind::PayloadExpired
                | FailureKind::MessageExpired => Self::Unsendable,
            },
        }
    }

    /// Whose fault it is; `None` if nobody's.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Accepted => None,
            Self::Retry | Self::Parked | Self::Gone | Self::NotTrusted | Self::Blocked => {
                Some(Fault::Receiver)
            }
            Self::Unreachable | Self::TimedOut => Some(Fault::Network),
            Self::Internal | Self::Unsendable => Some(Fault::Us),
        }
    }

    /// Whether and how soon to try again.
    pub const fn again(self) -> Again {
        match self {
            Self::Retry | Self::Unreachable | Self::TimedOut | Self::Internal => Again::Soon,
            Self::NotTrusted | Self::Blocked => Again::Later,
            Self::Accepted | Self::Parked | Self::Gone | Self::Unsendable => Again::Never,
        }
    }

    /// Stable name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Retry => "retry",
            Self::Parked => "parked",
            Self::Gone => "gone",
            Self::NotTrusted => "not_trusted",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Internal => "internal",
            Self::Unsendable => "unsendable",
        }
    }
}

// === impl RetryAfter ===

impl RetryAfter {
    /// Reads the header's value: seconds, or an HTTP date in any of the three forms of RFC 9110
    /// §5.6.7. Anything else is as good as absent.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit()) {
            let secs = value.parse().unwrap_or(u64::from(u32::MAX));
            return Some(Self::Delay(Duration::from_secs(
                secs.min(u64::from(u32::MAX)),
            )));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        let since_epoch = date
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .ok()?;
        let millis = i64::try_from(since_epoch.as_millis()).ok()?;
        Some(Self::Date(Timestamp::from_millis(millis)))
    }

    /// How long to wait from `now`.
    pub fn delay(self, now: Timestamp) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::Date(at) => at.since(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, park_on: &[u16], expect: Outcome) {
        let reply = Reply::Response {
            status,
            retry_after: None,
        };
        let got = Outcome::classify(&reply, None, &ParkOn::parse(park_on).unwrap());
        assert_eq!(got, expect, "{status} with parkOn {park_on:?}");
    }

    #[test]
    fn every_status_has_one_outcome() {
        for status in 0..=999 {
            let expect = match status {
                200..=299 => Outcome::Accepted,
                410 => Outcome::Gone,
                _ => Outcome::Retry,
            };
            check(status, &[], expect);
        }
        check(422, &[400, 422], Outcome::Parked);
        check(400, &[422], Outcome::Retry);
    }

    #[test]
    fn failures() {
        for (kind, outcome, fault, again) in [
            (
                FailureKind::TimedOut,
                Outcome::TimedOut,
                Fault::Network,
                Again::Soon,
            ),
            (
                FailureKind::Resolve,
                Outcome::Unreachable,
                Fault::Network,
                Again::Soon,
            ),
            (
                FailureKind::Connection,
                Outcome::Unreachable,
                Fault::Network,
                Again::Soon,
            ),
            (
                FailureKind::Handshake,
                Outcome::NotTrusted,
                Fault::Receiver,
                Again::Later,
            ),
            (
                FailureKind::Protocol,
                Outcome::Unreachable,
                Fault::Network,
                Again::Soon,
            ),
            (
                FailureKind::NotTrusted,
                Outcome::NotTrusted,
                Fault::Receiver,
                Again::Later,
            ),
            (
                FailureKind::Blocked,
                Outcome::Blocked,
                Fault::Receiver,
                Again::Later,
            ),
            (
                FailureKind::Internal,
                Outcome::Internal,
                Fault::Us,
                Again::Soon,
            ),
            (
                FailureKind::EndpointDeleted,
                Outcome::Unsendable,
                Fault::Us,
                Again::Never,
            ),
            (
                FailureKind::MessageExpired,
                Outcome::Unsendable,
                Fault::Us,
                Again::Never,
            ),
            (
                FailureKind::PayloadExpired,
                Outcome::Unsendable,
                Fault::Us,
                Again::Never,
            ),
        ] {
            let got = Outcome::classify(&Reply::Failure(kind), None, &ParkOn::default());
            assert_eq!(
                (got, got.fault(), got.again()),
                (outcome, Some(fault), again)
            );
        }
    }

    #[test]
    fn a_failure_of_tls_decides() {
        let nginx = Reply::Response {
            status: 400,
            retry_after: None,
        };
        let park_on = ParkOn::parse(&[400]).unwrap();
        let classify = |failure| Outcome::classify(&nginx, failure, &park_on);
        assert_eq!(classify(None), Outcome::Parked);
        assert_eq!(
            classify(Some(TlsFailure::HttpNoCertificate)),
            Outcome::NotTrusted
        );
        assert_eq!(
            classify(Some(TlsFailure::ClosedWithoutAlert)),
            Outcome::Unreachable
        );
    }

    #[test]
    fn retry_after_forms() {
        let now = Timestamp::parse_rfc3339("1994-11-06T08:49:00Z").unwrap();
        let delay = |value| RetryAfter::parse(value).map(|r| r.delay(now).as_secs());
        assert_eq!(delay("120"), Some(120));
        assert_eq!(delay(" 0 "), Some(0));
        assert_eq!(delay("99999999999999999999"), Some(u64::from(u32::MAX)));
        assert_eq!(delay("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(delay("Sunday, 06-Nov-94 08:49:37 GMT"), Some(37));
        assert_eq!(delay("Sun Nov  6 08:49:37 1994"), Some(37));
        assert_eq!(delay("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "past");
        for bad in ["", "-5", "soon", "1.5", "12abc"] {
            assert_eq!(delay(bad), None, "{bad}");
        }
    }
}
