//! Decides when an endpoint gets no attempts for a while, and which single one tries whether it was
//! mended.
//!
//! **Invariant:** no clock, no IO, and of the same size whatever happens. An attempt counts only in
//! the state that it was begun in.

mod failure_rate;
mod failures;
mod pause;
mod rule;
mod verdict;

use crate::delivery::breaker::failure_rate::FailureRate;
use crate::delivery::breaker::failures::Along;
use crate::time::Timestamp;

pub use crate::delivery::breaker::failures::Failures;
pub use crate::delivery::breaker::pause::{Pause, PauseReason};
pub use crate::delivery::breaker::rule::{BreakerRule, TLS_FAILURES_MAX};
pub use crate::delivery::breaker::verdict::{EndpointFailure, Verdict};

/// One endpoint's breaker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Breaker {
    state: BreakerState,
    /// When the pause began that is on or was last: only what is later can be in it.
    paused_at: Timestamp,
    /// Grows whenever attempts that are under way stop counting.
    term: u32,
    /// Grows with each failure that is counted.
    failed: u32,
    /// Pauses since it last worked for longer than the rule's window.
    pauses: u32,
    /// When a probe succeeded last.
    resumed_at: Option<Timestamp>,
    /// What came of the attempts of the last while.
    rate: FailureRate,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BreakerState {
    /// Attempts are made.
    Delivering {
        /// What the last ones failed by, where they did.
        failures: Option<Failures>,
    },
    /// None is made.
    Paused {
        /// Since when, and why.
        pause: Pause,
        /// When a single one tries again.
        until: Timestamp,
    },
    /// A single one tries.
    Probing {
        /// The pause before it.
        pause: Pause,
    },
}

/// The permission to make one attempt.
#[must_use = "the breaker has to be told how the attempt ended"]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turn {
    term: u32,
    /// Which failure was the last one when it began.
    failed: u32,
}

// === impl Breaker ===

impl Breaker {
    /// Where it stands.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Whether nothing speaks against attempts.
    pub const fn is_at_rest(&self) -> bool {
        matches!(self.state, BreakerState::Delivering { failures: None })
    }

    /// Whether attempts are made, one after the other or side by side.
    pub const fn is_delivering(&self) -> bool {
        matches!(self.state, BreakerState::Delivering { .. })
    }

    /// Whether an attempt may be made at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        match self.state {
            BreakerState::Delivering { .. } => true,
            // Before its beginning, the clock was set back: nobody knows how long it lasts already.
            BreakerState::Paused { until, .. } => until <= now || now < self.paused_at,
            BreakerState::Probing { .. } => false,
        }
    }

    /// The turn of any attempt, while attempts are made; otherwise one has to be asked for.
    pub fn open_turn(&self) -> Option<Turn> {
        self.is_delivering().then(|| self.turn())
    }

    /// Asks for an attempt. After a pause there is one.
    pub fn begin(self, now: Timestamp) -> (Self, Option<Turn>) {
        match self.state {
            BreakerState::Delivering { .. } => (self, Some(self.turn())),
            BreakerState::Paused { pause, .. } if self.allows(now) => {
                let probing = self.into_term(BreakerState::Probing { pause });
                (probing, Some(probing.turn()))
            }
            BreakerState::Paused { .. } | BreakerState::Probing { .. } => (self, None),
        }
    }

    /// Takes note of how an attempt ended.
    #[must_use]
    pub fn ended(self, turn: Turn, verdict: Verdict, rule: BreakerRule, now: Timestamp) -> Self {
        if turn.term != self.term {
            return self;
        }
        match self.state {
            BreakerState::Delivering { failures } => {
                self.counted(failures, turn, verdict, rule, now)
            }
            BreakerState::Probing { pause } => self.probed(pause, turn, verdict, rule, now),
            // No attempt begins in a pause.
            BreakerState::Paused { .. } => self,
        }
    }

    /// People changed something, or say that it was mended: whatever failed counts no more, nor do
    /// attempts under way.
    #[must_use]
    pub fn reset(self) -> Self {
        Self {
            pauses: 0,
            resumed_at: None,
            ..self.into_term(BreakerState::default())
        }
    }

    /// Whether it can be forgotten: so long after the last failure that forgetting lets no more
    /// attempts through than one for each pause.
    pub fn is_forgettable(&self, rule: BreakerRule, now: Timestamp) -> bool {
        let quiet = rule.quiet();
        match self.state {
            BreakerState::Delivering { failures } => {
                failures.is_none_or(|failures| failures.last_at.plus(quiet) <= now)
            }
            BreakerState::Paused { until, .. } => until.plus(quiet) <= now,
            BreakerState::Probing { .. } => false,
        }
    }

    fn counted(
        mut self,
        failures: Option<Failures>,
        turn: Turn,
        verdict: Verdict,
        rule: BreakerRule,
        now: Timestamp,
    ) -> Self {
        let failures = match verdict {
            Verdict::Unclear | Verdict::Untried => return self,
            Verdict::Answered => {
                self.rate.succeeded(now, rule.window);
                None
            }
            Verdict::Failed(failure) => {
                let along = if turn.failed == self.failed {
                    Along::After
                } else {
                    Along::SideBySide
                };
                let failures = Failures::and(failures, failure, along, now);
                if !failure.is_push_back() {
                    self.rate.failed(now, rule.window);
                    self.failed = self.failed.wrapping_add(u32::from(along == Along::After));
                }
                if let Some(reason) = self.reason_to_pause(failures, rule, now) {
                    return self.tripped(reason, failure, rule, now);
                }
                Some(failures)
            }
        };
        let state = BreakerState::Delivering { failures };
        Self { state, ..self }
    }

    fn reason_to_pause(
        &self,
        failures: Failures,
        rule: BreakerRule,
        now: Timestamp,
    ) -> Option<PauseReason> {
        if failures.of_tls >= TLS_FAILURES_MAX {
            return Some(PauseReason::TlsFailure);
        }
        if failures.last.is_push_back() {
            // The lane's pace answers to it. Here it counts only where there is nothing else.
            let for_long = failures.since.plus(rule.window) <= now;
            let is_all = failures.push_backs >= rule.failures_max;
            return (for_long && is_all).then_some(PauseReason::PushBack);
        }
        if failures.count >= rule.failures_max {
            return Some(PauseReason::FailuresInARow);
        }
        let (percent, attempts_min) = (rule.failure_percent, rule.attempts_min);
        let most_failed = self.rate.is_at_least(percent, attempts_min);
        most_failed.then_some(PauseReason::FailureRate)
    }

    /// Begins a pause. One that comes soon after another is longer: a receiver that takes a few
    /// deliveries and fails again has not recovered.
    fn tripped(
        self,
        reason: PauseReason,
        failure: EndpointFailure,
        rule: BreakerRule,
        now: Timestamp,
    ) -> Self {
        let soon = |resumed_at: Timestamp| now < resumed_at.plus(rule.window);
        let pauses = if self.resumed_at.is_some_and(soon) {
            self.pauses
        } else {
            0
        };
        let pause = Pause {
            since: now,
            reason,
            failure,
            failed_at: now,
        };
        Self { pauses, ..self }.paused(pause, rule, now)
    }

    fn probed(
        self,
        pause: Pause,
        turn: Turn,
        verdict: Verdict,
        rule: BreakerRule,
        now: Timestamp,
    ) -> Self {
        match verdict {
            Verdict::Answered => self.resumed(now),
            Verdict::Failed(failure)
                if pause.reason == PauseReason::TlsFailure && failure.is_answer() =>
            {
                // What it was paused for is over.
                let resumed = self.resumed(now);
                resumed.counted(None, turn, verdict, rule, now)
            }
            Verdict::Failed(failure) => {
                let reason = match pause.reason {
                    _ if failure.is_deterministic_tls() => PauseReason::TlsFailure,
                    PauseReason::TlsFailure => PauseReason::FailuresInARow,
                    reason => reason,
                };
                let pause = Pause {
                    reason,
                    failure,
                    failed_at: now,
                    ..pause
                };
                self.paused(pause, rule, now)
            }
            Verdict::Unclear => self.paused(pause, rule, now),
            // The next one tries instead.
            Verdict::Untried => {
                let state = BreakerState::Paused { pause, until: now };
                Self {
                    paused_at: now,
                    ..self.into_term(state)
                }
            }
        }
    }

    fn resumed(self, now: Timestamp) -> Self {
        Self {
            resumed_at: Some(now),
            ..self.into_term(BreakerState::default())
        }
    }

    fn paused(self, pause: Pause, rule: BreakerRule, now: Timestamp) -> Self {
        let until = now.plus(rule.pause(pause.reason, self.pauses));
        Self {
            paused_at: now,
            pauses: self.pauses.saturating_add(1),
            ..self.into_term(BreakerState::Paused { pause, until })
        }
    }

    fn into_term(self, state: BreakerState) -> Self {
        Self {
            state,
            term: self.term.wrapping_add(1),
            rate: FailureRate::default(),
            ..self
        }
    }

    const fn turn(&self) -> Turn {
        Turn {
            term: self.term,
            failed: self.failed,
        }
    }
}

// === impl BreakerState ===

impl BreakerState {
    /// Its name, for the API.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivering { .. } => "delivering",
            Self::Paused { .. } => "paused",
            Self::Probing { .. } => "probing",
        }
    }

    /// Why nothing is sent, if so.
    pub const fn pause(&self) -> Option<Pause> {
        match self {
            Self::Delivering { .. } => None,
            Self::Paused { pause, .. } | Self::Probing { pause } => Some(*pause),
        }
    }

    /// What failed last, and when, if nothing was answered since.
    pub fn last_failure(&self) -> Option<(EndpointFailure, Timestamp)> {
        match self {
            Self::Delivering { failures } => failures.map(|all| (all.last, all.last_at)),
            Self::Paused { pause, .. } | Self::Probing { pause } => {
                Some((pause.failure, pause.failed_at))
            }
        }
    }
}

impl Default for BreakerState {
    fn default() -> Self {
        Self::Delivering { failures: None }
    }
}

#[cfg(test)]
mod tests;
