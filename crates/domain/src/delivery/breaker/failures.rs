//! Failures of an endpoint with no answer in between.

use crate::delivery::breaker::EndpointFailure;
use crate::time::Timestamp;

/// Failures that came one after the other, without an answer in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failures {
    /// How many, one after the other: what failed side by side counts as one, and being asked for
    /// less not at all.
    pub count: u32,
    /// How many were of TLS and would happen again, each of them counted.
    pub of_tls: u32,
    /// How often it asked for less.
    pub push_backs: u32,
    /// When the first one was.
    pub since: Timestamp,
    /// The last one.
    pub last: EndpointFailure,
    /// When that was.
    pub last_at: Timestamp,
}

/// Whether attempts that failed were under way at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Along {
    /// It began after the last failure that was counted.
    After,
    /// It began before that one ended.
    SideBySide,
}

// === impl Failures ===

impl Failures {
    /// These and one more.
    pub(super) fn and(
        before: Option<Self>,
        failure: EndpointFailure,
        along: Along,
        now: Timestamp,
    ) -> Self {
        let before = before.unwrap_or(Self {
            count: 0,
            of_tls: 0,
            push_backs: 0,
            since: now,
            last: failure,
            last_at: now,
        });
        let counts = along == Along::After && !failure.is_push_back();
        Self {
            count: before.count.saturating_add(u32::from(counts)),
            of_tls: match failure {
                _ if failure.is_deterministic_tls() => before.of_tls.saturating_add(1),
                _ if failure.is_answer() => 0,
                _ => before.of_tls,
            },
            push_backs: before
                .push_backs
                .saturating_add(u32::from(failure.is_push_back())),
            since: before.since,
            last: failure,
            last_at: now,
        }
    }
}
