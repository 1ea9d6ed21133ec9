//! Decides when an endpoint gets no attempts for a while, and which single one tries whether it was
//! mended.
//!
//! **Invariant:** no clock, no IO. An attempt counts only in the state that it was begun in.

use std::time::Duration;

use crate::time::Timestamp;
use crate::transport::failure::TlsFailure;

/// Failures of TLS in a row that pause an endpoint. Each of them would happen again, but behind one
/// name there can be several servers, of which one is set up wrongly.
pub const TLS_FAILURES_MAX: u32 = 3;

/// What an endpoint's breaker goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BreakerRule {
    /// How long a pause is: after it a single attempt tries whether the endpoint was mended.
    pub probe_interval: Duration,
}

/// One endpoint's breaker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Breaker {
    state: BreakerState,
    /// When the pause began that is on or was last: only what is later can be in it.
    paused_at: Timestamp,
    /// Grows whenever attempts that are under way stop counting.
    term: u32,
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
        /// When it began.
        since: Timestamp,
        /// When a single one tries again.
        until: Timestamp,
        /// Why.
        reason: PauseReason,
    },
    /// A single one tries.
    Probing {
        /// When the pause before it began.
        since: Timestamp,
        /// Why there was one.
        reason: PauseReason,
    },
}

/// Failures that came one after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one was.
    pub last_at: Timestamp,
}

/// Why an endpoint is paused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PauseReason {
    /// No TLS session with it comes about, and none will before people mend something.
    TlsFailure(TlsFailure),
}

/// The permission to make one attempt.
#[must_use = "the breaker has to be told how the attempt ended"]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turn {
    term: u32,
}

/// What an attempt says of its endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It answered, whatever its answer.
    Answered,
    /// TLS failed, and would fail again.
    TlsFailed(TlsFailure),
    /// It did not answer, which says nothing of what the breaker goes by.
    Unclear,
    /// It was not even tried: there was nothing to send.
    Untried,
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
            BreakerState::Paused { since, reason, .. } if self.allows(now) => {
                let probing = self.into_term(BreakerState::Probing { since, reason });
                (probing, Some(probing.turn()))
            }
            BreakerState::Paused { .. } | BreakerState::Probing { .. } => (self, None),
        }
    }

    /// Takes note of how an attempt ended.
    #[must_use]
    pub fn ended(self, turn: Turn, verdict: Verdict, rule: BreakerRule, now: Timestamp) -> Self {
        if turn != self.turn() {
            return self;
        }
        match self.state {
            BreakerState::Delivering { failures } => self.counted(failures, verdict, rule, now),
            BreakerState::Probing { since, reason } => {
                self.probed(since, reason, verdict, rule, now)
            }
            // No attempt begins in a pause.
            BreakerState::Paused { .. } => self,
        }
    }

    /// People changed something: whatever failed counts no more, nor do attempts under way.
    #[must_use]
    pub fn reset(self) -> Self {
        self.into_term(BreakerState::default())
    }

    /// Whether it can be forgotten: so long after the last failure that forgetting lets no more
    /// attempts through than one for each interval.
    pub fn is_forgettable(&self, rule: BreakerRule, now: Timestamp) -> bool {
        let quiet = rule.probe_interval.saturating_mul(TLS_FAILURES_MAX);
        match self.state {
            BreakerState::Delivering { failures } => {
                failures.is_none_or(|failures| failures.last_at.plus(quiet) <= now)
            }
            BreakerState::Paused { until, .. } => until.plus(quiet) <= now,
            BreakerState::Probing { .. } => false,
        }
    }

    fn counted(
        self,
        failures: Option<Failures>,
        verdict: Verdict,
        rule: BreakerRule,
        now: Timestamp,
    ) -> Self {
        let failures = match verdict {
            Verdict::Answered => None,
            Verdict::Unclear | Verdict::Untried => return self,
            Verdict::TlsFailed(failure) => {
                let count = failures.map_or(0, |failures| failures.count) + 1;
                if count >= TLS_FAILURES_MAX {
                    let reason = PauseReason::TlsFailure(failure);
                    return self.paused(now, now, now.plus(rule.probe_interval), reason);
                }
                Some(Failures {
                    count,
                    last_at: now,
                })
            }
        };
        let state = BreakerState::Delivering { failures };
        Self { state, ..self }
    }

    fn probed(
        self,
        since: Timestamp,
        reason: PauseReason,
        verdict: Verdict,
        rule: BreakerRule,
        now: Timestamp,
    ) -> Self {
        let next = now.plus(rule.probe_interval);
        match verdict {
            Verdict::Answered => self.reset(),
            Verdict::TlsFailed(failure) => {
                self.paused(now, since, next, PauseReason::TlsFailure(failure))
            }
            Verdict::Unclear => self.paused(now, since, next, reason),
            // The next one tries instead.
            Verdict::Untried => self.paused(now, since, now, reason),
        }
    }

    fn paused(
        self,
        now: Timestamp,
        since: Timestamp,
        until: Timestamp,
        reason: PauseReason,
    ) -> Self {
        let state = BreakerState::Paused {
            since,
            until,
            reason,
        };
        Self {
            paused_at: now,
            ..self.into_term(state)
        }
    }

    fn into_term(self, state: BreakerState) -> Self {
        Self {
            state,
            term: self.term.wrapping_add(1),
            ..self
        }
    }

    const fn turn(self) -> Turn {
        Turn { term: self.term }
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
    pub const fn reason(&self) -> Option<PauseReason> {
        match self {
            Self::Delivering { .. } => None,
            Self::Paused { reason, .. } | Self::Probing { reason, .. } => Some(*reason),
        }
    }
}

impl Default for BreakerState {
    fn default() -> Self {
        Self::Delivering { failures: None }
    }
}

// === impl PauseReason ===

impl PauseReason {
    /// Its kind's name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsFailure(_) => "tls_failure",
        }
    }

    /// What to do, for people.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::TlsFailure(failure) => failure.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BreakerRule = BreakerRule {
        probe_interval: Duration::from_secs(60),
    };
    const EXPIRED: TlsFailure = TlsFailure::PeerExpired;
    const FAILED: Verdict = Verdict::TlsFailed(EXPIRED);
    const REASON: PauseReason = PauseReason::TlsFailure(EXPIRED);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    /// A breaker and its time.
    struct Story {
        breaker: Breaker,
        now: i64,
    }

    impl Story {
        fn new() -> Self {
            Self {
                breaker: Breaker::default(),
                now: 0,
            }
        }

        fn paused() -> Self {
            let mut story = Self::new();
            story.attempts(3, FAILED);
            story
        }

        fn begin(&mut self) -> Option<Turn> {
            let (breaker, turn) = self.breaker.begin(at(self.now));
            assert_eq!(turn.is_some(), self.breaker.allows(at(self.now)));
            self.breaker = breaker;
            turn
        }

        fn end(&mut self, turn: Turn, verdict: Verdict) {
            self.breaker = self.breaker.ended(turn, verdict, RULE, at(self.now));
        }

        fn attempts(&mut self, count: usize, verdict: Verdict) {
            for _ in 0..count {
                let turn = self.begin().unwrap();
                self.end(turn, verdict);
            }
        }

        fn is(&self, expect: BreakerState) {
            assert_eq!(self.breaker.state(), expect, "at {}", self.now);
        }

        fn is_at_rest(&self) {
            assert!(self.breaker.is_at_rest(), "{:?}", self.breaker);
        }

        fn is_paused(&self, since: i64, until: i64) {
            self.is(BreakerState::Paused {
                since: at(since),
                until: at(until),
                reason: REASON,
            });
        }
    }

    #[test]
    fn three_failures_in_a_row_pause() {
        let mut story = Story::new();
        story.now = 5;
        story.attempts(2, FAILED);
        story.is(BreakerState::Delivering {
            failures: Some(Failures {
                count: 2,
                last_at: at(5),
            }),
        });
        // Neither says that TLS works, nor that it fails.
        story.attempts(5, Verdict::Unclear);
        story.attempts(5, Verdict::Untried);
        story.now = 7;
        story.attempts(1, FAILED);
        story.is_paused(7, 67);
        assert_eq!(story.breaker.state().reason(), Some(REASON));
    }

    #[test]
    fn an_answer_in_between_begins_the_count_anew() {
        let mut story = Story::new();
        for _ in 0..10 {
            story.attempts(2, FAILED);
            story.attempts(1, Verdict::Answered);
            story.is_at_rest();
        }
    }

    #[test]
    fn a_pause_ends_with_a_single_probe() {
        let mut story = Story::paused();
        for now in [0, 1, 59] {
            story.now = now;
            assert_eq!(story.begin(), None);
        }
        story.now = 60;
        let probe = story.begin().unwrap();
        story.is(BreakerState::Probing {
            since: at(0),
            reason: REASON,
        });
        assert_eq!(story.begin(), None, "one at a time");
        story.end(probe, Verdict::Answered);
        story.is_at_rest();
        story.attempts(2, FAILED);
        assert!(story.breaker.is_delivering(), "the count began anew");
    }

    #[test]
    fn a_probe_that_fails_pauses_again_whatever_it_fails_by() {
        let mut story = Story::paused();
        story.now = 61;
        story.attempts(1, FAILED);
        story.is_paused(0, 121);
        story.now = 121;
        story.attempts(1, Verdict::Unclear);
        story.is_paused(0, 181);
        story.now = 200;
        let revoked = TlsFailure::PeerRevoked;
        story.attempts(1, Verdict::TlsFailed(revoked));
        let reason = PauseReason::TlsFailure(revoked);
        assert_eq!(story.breaker.state().reason(), Some(reason));
    }

    #[test]
    fn a_probe_with_nothing_to_send_leaves_it_to_the_next() {
        let mut story = Story::paused();
        story.now = 60;
        story.attempts(1, Verdict::Untried);
        story.is_paused(0, 60);
        story.attempts(1, Verdict::Answered);
        story.is_at_rest();
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_pause_longer() {
        let mut story = Story::new();
        story.now = 3600;
        story.attempts(3, FAILED);
        story.is_paused(3600, 3660);
        story.now = 3599;
        let probe = story.begin().unwrap();
        assert_eq!(story.begin(), None, "still one at a time");
        story.end(probe, FAILED);
        story.is_paused(3600, 3659);
        story.now = 3610;
        assert_eq!(story.begin(), None);
    }

    #[test]
    fn what_was_begun_in_another_state_does_not_count() {
        let mut story = Story::new();
        let before = [(); 4].map(|()| story.begin().unwrap());
        story.attempts(3, FAILED);
        let [first, second, third, fourth] = before;
        story.end(first, FAILED);
        story.end(second, Verdict::Answered);
        story.is_paused(0, 60);
        story.now = 60;
        let probe = story.begin().unwrap();
        story.end(third, FAILED);
        story.end(fourth, Verdict::Answered);
        assert_eq!(story.begin(), None, "still the probe's turn");
        story.end(probe, Verdict::Answered);
        story.is_at_rest();
    }

    #[test]
    fn a_change_resets_and_nothing_older_counts() {
        let mut story = Story::new();
        let before = [(); 4].map(|()| story.begin().unwrap());
        story.breaker = story.breaker.reset();
        for turn in before {
            story.end(turn, FAILED);
        }
        story.is_at_rest();

        let mut story = Story::paused();
        story.breaker = story.breaker.reset();
        story.attempts(1, Verdict::Answered);

        let mut story = Story::paused();
        story.now = 60;
        let probe = story.begin().unwrap();
        story.breaker = story.breaker.reset();
        story.end(probe, FAILED);
        story.is_at_rest();
    }

    #[test]
    fn is_forgotten_only_when_that_costs_no_more_than_probes() {
        let forgettable = |story: &Story, now| story.breaker.is_forgettable(RULE, at(now));
        let mut story = Story::new();
        assert!(forgettable(&story, 0));
        story.attempts(1, FAILED);
        assert!(!forgettable(&story, 179));
        assert!(forgettable(&story, 180));
        story.attempts(2, FAILED);
        assert!(!forgettable(&story, 239));
        assert!(forgettable(&story, 240));
        story.now = 60;
        let _probe = story.begin();
        assert!(!forgettable(&story, 100_000));
    }
}
