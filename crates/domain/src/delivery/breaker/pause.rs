//! A pause of an endpoint, and the rule that it comes from.

use crate::delivery::breaker::EndpointFailure;
use crate::time::Timestamp;

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pause {
    /// Since when: probes that failed do not begin it anew.
    pub since: Timestamp,
    /// By which rule.
    pub reason: PauseReason,
    /// What failed last.
    pub failure: EndpointFailure,
    /// When that was.
    pub failed_at: Timestamp,
}

/// The rule by which an endpoint is paused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PauseReason {
    /// No TLS session with it comes about, and none will before people mend something.
    TlsFailure,
    /// It failed several times, one after the other.
    FailuresInARow,
    /// Most of what it got lately failed.
    FailureRate,
    /// It has only asked for less for longer than the rule's window.
    PushBack,
}

// === impl PauseReason ===

impl PauseReason {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::TlsFailure,
        Self::FailuresInARow,
        Self::FailureRate,
        Self::PushBack,
    ];

    /// Its name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsFailure => "tls_failure",
            Self::FailuresInARow => "failures_in_a_row",
            Self::FailureRate => "failure_rate",
            Self::PushBack => "push_back",
        }
    }
}
