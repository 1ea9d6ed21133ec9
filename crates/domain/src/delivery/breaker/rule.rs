//! What an endpoint's breaker goes by.

use std::time::Duration;

use crate::delivery::breaker::PauseReason;

/// Deterministic failures of TLS in a row that pause an endpoint. Each of them would happen again,
/// but behind one name there can be several servers, of which one is set up wrongly.
pub const TLS_FAILURES_MAX: u32 = 3;

/// What an endpoint's breaker goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BreakerRule {
    /// How long a pause is whose reason is TLS: after it a single attempt tries whether that was
    /// mended. Always the same, since a person mends it, and wants to see that soon.
    pub probe_interval: Duration,
    /// Failures in a row that pause an endpoint. Attempts that were under way side by side count as
    /// one: a server that goes down takes them all with it at once, and may be back at once.
    pub failures_max: u32,
    /// The share of failures within the window that pauses an endpoint, in percent.
    pub failure_percent: u32,
    /// Below so many attempts within the window their share of failures says nothing.
    pub attempts_min: u32,
    /// How far back the share of failures is looked at.
    pub window: Duration,
    /// How long the first pause is whose reason is not TLS; each further one is twice as long.
    pub pause_first: Duration,
    /// How long such a pause is at most.
    pub pause_max: Duration,
}

// === impl BreakerRule ===

impl BreakerRule {
    /// How long a pause is after so many before it.
    pub(super) fn pause(&self, reason: PauseReason, pauses_before: u32) -> Duration {
        if reason == PauseReason::TlsFailure {
            return self.probe_interval;
        }
        let factor = 1_u32.checked_shl(pauses_before).unwrap_or(u32::MAX);
        let grown = self.pause_first.saturating_mul(factor);
        grown.min(self.pause_max.max(self.pause_first))
    }

    /// How long after a failure it can be forgotten, so that forgetting lets no more attempts
    /// through than one for each pause.
    pub(super) fn quiet(&self) -> Duration {
        let tls = self.probe_interval.saturating_mul(TLS_FAILURES_MAX);
        tls.max(self.pause_max.saturating_mul(self.failures_max))
    }
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(60),
            failures_max: 5,
            failure_percent: 80,
            attempts_min: 20,
            window: Duration::from_secs(60),
            pause_first: Duration::from_secs(5),
            pause_max: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let rule = BreakerRule::default();
        let pause = |before| rule.pause(PauseReason::FailuresInARow, before).as_secs();
        let pauses: Vec<_> = (0..9).map(pause).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!([pause(31), pause(32), pause(u32::MAX)], [300; 3]);
        for before in [0, 1, 50] {
            assert_eq!(
                rule.pause(PauseReason::TlsFailure, before),
                rule.probe_interval
            );
        }
    }
}
