//! Settings of the circuit breaker.

use std::time::Duration;

use hookseal_domain::delivery::breaker::BreakerRule;

use crate::config::section::section;

section! {
    /// When an endpoint that fails gets no attempts for a while. Its deliveries wait meanwhile, and
    /// no attempt is counted against them. For failures of TLS that would happen again, see
    /// `delivery.handshake_probe_interval`.
    pub struct BreakerSection in "breaker" {
        /// Failures in a row that pause an endpoint: no connection, no answer in time, 5xx. What
        /// fails side by side counts as one, since a receiver that restarts takes all of its
        /// connections down at once. 429 and 503 count only where there is nothing else for a whole
        /// `breaker.window`.
        failures: u32 = "5", from "2" to "1000";
        /// The share of failures among the attempts of the last `breaker.window` that pauses an
        /// endpoint, in percent. An endpoint that takes every other delivery gets all of them by
        /// trying again, and would get them later if it were paused.
        failure_percent: u32 = "80", from "1" to "100";
        /// Below so many attempts within `breaker.window`, their share of failures does not count.
        attempts: u32 = "20", from "1" to "1000000";
        /// How far back the share of failures is looked at.
        window: Duration = "60s", from "1s" to "1h";
        /// The first pause: after it, a single delivery tries. A restart of a receiver takes about
        /// so long. As long as it fails, each pause is twice as long as the one before.
        pause_first: Duration = "5s", from "100ms" to "1h";
        /// The longest pause, if it is longer than the first: so late at most is it noticed that an
        /// endpoint works again.
        pause_max: Duration = "5m", from "100ms" to "24h";
    }
}

// === impl BreakerSection ===

impl BreakerSection {
    /// For the engine.
    pub fn rule(&self, probe_interval: Duration) -> BreakerRule {
        BreakerRule {
            probe_interval,
            failures_max: self.failures,
            failure_percent: self.failure_percent,
            attempts_min: self.attempts,
            window: self.window,
            pause_first: self.pause_first,
            pause_max: self.pause_max,
        }
    }
}
