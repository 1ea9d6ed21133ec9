//! Tests of the breaker, as stories: attempts that end, and a time that moves.

use std::time::Duration;

use crate::transport::failure::TlsFailure;

use super::*;

const RULE: BreakerRule = BreakerRule {
    probe_interval: Duration::from_secs(60),
    failures_max: 5,
    failure_percent: 80,
    attempts_min: 20,
    window: Duration::from_secs(60),
    pause_first: Duration::from_secs(5),
    pause_max: Duration::from_secs(40),
};
const EXPIRED: EndpointFailure = EndpointFailure::Tls(TlsFailure::PeerExpired);
const TLS_FAILED: Verdict = Verdict::Failed(EXPIRED);
const REFUSED: Verdict = Verdict::Failed(EndpointFailure::Unreachable);
const CRASHED: Verdict = Verdict::Failed(EndpointFailure::ServerError(500));
const TOO_MUCH: Verdict = Verdict::Failed(EndpointFailure::PushedBack(429));

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

    fn paused_by_tls() -> Self {
        let mut story = Self::new();
        story.attempts(3, TLS_FAILED);
        story
    }

    fn paused_by(verdict: Verdict) -> Self {
        let mut story = Self::new();
        story.attempts(5, verdict);
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

    /// One after the other.
    fn attempts(&mut self, count: usize, verdict: Verdict) {
        for _ in 0..count {
            let turn = self.begin().unwrap();
            self.end(turn, verdict);
        }
    }

    /// All at the same time.
    fn side_by_side(&mut self, count: usize, verdict: Verdict) {
        let turns: Vec<_> = (0..count).map(|_| self.begin().unwrap()).collect();
        for turn in turns {
            self.end(turn, verdict);
        }
    }

    fn is(&self, expect: BreakerState) {
        assert_eq!(self.breaker.state(), expect, "at {}", self.now);
    }

    fn is_at_rest(&self) {
        assert!(self.breaker.is_at_rest(), "{:?}", self.breaker);
    }

    fn is_delivering(&self) {
        assert!(self.breaker.is_delivering(), "{:?}", self.breaker);
    }

    /// Since when, until when, and why.
    #[track_caller]
    fn is_paused(&self, since: i64, until: i64, reason: PauseReason, failure: EndpointFailure) {
        let pause = Pause {
            since: at(since),
            reason,
            failure,
            failed_at: at(self.now),
        };
        let until = at(until);
        self.is(BreakerState::Paused { pause, until });
    }

    /// The lengths of so many pauses one after the other, with a probe after each.
    fn pauses(&mut self, count: usize, verdict: Verdict) -> Vec<i64> {
        let mut lengths = Vec::new();
        for _ in 0..count {
            let BreakerState::Paused { until, .. } = self.breaker.state() else {
                panic!("{:?}", self.breaker);
            };
            let until = until.as_millis() / 1000;
            lengths.push(until - self.now);
            self.now = until - 1;
            assert_eq!(self.begin(), None);
            self.now = until;
            self.attempts(1, verdict);
        }
        lengths
    }
}

#[test]
fn three_failures_of_tls_in_a_row_pause() {
    let mut story = Story::new();
    story.now = 5;
    story.attempts(2, TLS_FAILED);
    // Neither says that TLS works, nor that it fails.
    story.attempts(1, REFUSED);
    story.attempts(5, Verdict::Unclear);
    story.attempts(5, Verdict::Untried);
    story.is(BreakerState::Delivering {
        failures: Some(Failures {
            count: 3,
            of_tls: 2,
            push_backs: 0,
            since: at(5),
            last: EndpointFailure::Unreachable,
            last_at: at(5),
        }),
    });
    story.now = 7;
    story.attempts(1, TLS_FAILED);
    story.is_paused(7, 67, PauseReason::TlsFailure, EXPIRED);
}

#[test]
fn failures_of_tls_count_even_side_by_side() {
    let mut story = Story::new();
    story.side_by_side(3, TLS_FAILED);
    story.is_paused(0, 60, PauseReason::TlsFailure, EXPIRED);
}

#[test]
fn an_answer_in_between_begins_the_count_of_tls_anew() {
    for answer in [Verdict::Answered, CRASHED, TOO_MUCH] {
        let mut story = Story::new();
        story.attempts(2, TLS_FAILED);
        story.attempts(1, answer);
        story.attempts(1, TLS_FAILED);
        story.is_delivering();
    }
}

#[test]
fn a_failure_of_tls_that_may_pass_counts_as_any_other() {
    let unknown = EndpointFailure::Tls(TlsFailure::RevocationUnknown);
    let mut story = Story::new();
    story.attempts(4, Verdict::Failed(unknown));
    story.is_delivering();
    story.attempts(1, Verdict::Failed(unknown));
    story.is_paused(0, 5, PauseReason::FailuresInARow, unknown);
}

#[test]
fn failures_in_a_row_pause_whatever_they_are() {
    for failure in [
        EndpointFailure::Unreachable,
        EndpointFailure::TimedOut,
        EndpointFailure::ServerError(502),
    ] {
        let mut story = Story::new();
        story.attempts(4, CRASHED);
        story.attempts(5, Verdict::Unclear);
        story.attempts(5, Verdict::Untried);
        story.is_delivering();
        story.now = 3;
        story.attempts(1, Verdict::Failed(failure));
        story.is_paused(3, 8, PauseReason::FailuresInARow, failure);
    }
}

#[test]
fn an_answer_in_between_begins_the_row_anew() {
    let mut story = Story::new();
    // Fewer than would make a rate.
    for _ in 0..3 {
        story.attempts(4, CRASHED);
        story.attempts(1, Verdict::Answered);
        story.is_at_rest();
    }
}

#[test]
fn what_fails_side_by_side_is_one_failure() {
    let mut story = Story::new();
    story.attempts(100, Verdict::Answered);
    // A server that restarts takes everything with it that is under way.
    story.side_by_side(64, REFUSED);
    story.is_delivering();
    story.attempts(1, Verdict::Answered);
    for _ in 0..4 {
        story.side_by_side(2, REFUSED);
    }
    story.is_delivering();
    story.side_by_side(1, REFUSED);
    let unreachable = EndpointFailure::Unreachable;
    story.is_paused(0, 5, PauseReason::FailuresInARow, unreachable);
}

#[test]
fn most_of_what_came_lately_pauses() {
    let mut story = Story::new();
    for second in 0..3 {
        story.now = second;
        story.attempts(1, Verdict::Answered);
        story.attempts(4, CRASHED);
    }
    story.attempts(1, Verdict::Answered);
    story.attempts(3, CRASHED);
    story.is_delivering();
    story.attempts(1, CRASHED);
    let crashed = EndpointFailure::ServerError(500);
    story.is_paused(2, 7, PauseReason::FailureRate, crashed);
}

#[test]
fn what_fails_less_often_goes_on() {
    let mut story = Story::new();
    for second in 0..600 {
        story.now = second;
        story.attempts(1, Verdict::Answered);
        story.attempts(3, CRASHED);
    }
    story.is_delivering();
}

#[test]
fn push_back_pauses_only_where_there_is_nothing_else_for_long() {
    let mut story = Story::new();
    story.attempts(100, TOO_MUCH);
    story.is_delivering();
    story.now = 50;
    story.attempts(1, Verdict::Answered);
    story.now = 70;
    story.attempts(10, TOO_MUCH);
    story.is_delivering();
    story.now = 129;
    story.attempts(10, TOO_MUCH);
    story.is_delivering();
    story.now = 130;
    story.attempts(1, TOO_MUCH);
    let pushed_back = EndpointFailure::PushedBack(429);
    story.is_paused(130, 135, PauseReason::PushBack, pushed_back);
    assert_eq!(story.pauses(3, TOO_MUCH), [5, 10, 20]);
    story.now += 40;
    story.attempts(1, Verdict::Answered);
    story.is_at_rest();
}

#[test]
fn push_back_neither_ends_a_row_nor_adds_to_it() {
    let mut story = Story::new();
    for _ in 0..4 {
        story.attempts(1, CRASHED);
        story.attempts(5, TOO_MUCH);
    }
    story.is_delivering();
    story.attempts(1, CRASHED);
    assert!(!story.breaker.is_delivering());
}

#[test]
fn a_pause_ends_with_a_single_probe() {
    let mut story = Story::paused_by_tls();
    for now in [0, 1, 59] {
        story.now = now;
        assert_eq!(story.begin(), None);
    }
    story.now = 60;
    let probe = story.begin().unwrap();
    let BreakerState::Probing { pause } = story.breaker.state() else {
        panic!("{:?}", story.breaker);
    };
    assert_eq!((pause.since, pause.failed_at), (at(0), at(0)));
    assert_eq!(story.begin(), None, "one at a time");
    story.end(probe, Verdict::Answered);
    story.is_at_rest();
    story.attempts(2, TLS_FAILED);
    story.is_delivering();
}

#[test]
fn a_probe_that_fails_pauses_again_whatever_it_fails_by() {
    let mut story = Story::paused_by_tls();
    story.now = 61;
    story.attempts(1, TLS_FAILED);
    story.is_paused(0, 121, PauseReason::TlsFailure, EXPIRED);
    story.now = 121;
    story.attempts(1, Verdict::Unclear);
    assert!(!story.breaker.is_delivering());
    story.now = 200;
    let revoked = EndpointFailure::Tls(TlsFailure::PeerRevoked);
    story.attempts(1, Verdict::Failed(revoked));
    story.is_paused(0, 260, PauseReason::TlsFailure, revoked);
    story.now = 260;
    story.attempts(1, REFUSED);
    let unreachable = EndpointFailure::Unreachable;
    story.is_paused(0, 300, PauseReason::FailuresInARow, unreachable);
    story.now = 300;
    story.attempts(1, TLS_FAILED);
    story.is_paused(0, 360, PauseReason::TlsFailure, EXPIRED);
}

#[test]
fn an_answer_ends_what_tls_paused_even_if_it_is_an_error() {
    let mut story = Story::paused_by_tls();
    story.now = 60;
    story.attempts(1, CRASHED);
    story.is_delivering();
    story.attempts(4, CRASHED);
    let crashed = EndpointFailure::ServerError(500);
    story.is_paused(60, 65 + 5, PauseReason::FailuresInARow, crashed);
}

#[test]
fn pauses_by_tls_have_one_length_and_others_double() {
    let mut story = Story::paused_by_tls();
    assert_eq!(story.pauses(4, TLS_FAILED), [60, 60, 60, 60]);
    for verdict in [REFUSED, CRASHED, Verdict::Failed(EndpointFailure::TimedOut)] {
        let mut story = Story::paused_by(verdict);
        assert_eq!(story.pauses(6, verdict), [5, 10, 20, 40, 40, 40]);
    }
    let mut story = Story::paused_by(CRASHED);
    assert_eq!(story.pauses(3, TOO_MUCH), [5, 10, 20]);
}

#[test]
fn a_pause_soon_after_another_is_longer() {
    let mut story = Story::paused_by(CRASHED);
    assert_eq!(story.pauses(1, CRASHED), [5]);
    story.now += 10;
    story.attempts(1, Verdict::Answered);
    story.is_at_rest();
    story.now += 59;
    story.attempts(5, CRASHED);
    assert_eq!(story.pauses(1, Verdict::Answered), [20]);
    story.now += 60;
    story.attempts(5, CRASHED);
    assert_eq!(story.pauses(1, Verdict::Answered), [5], "it had recovered");
}

#[test]
fn a_probe_with_nothing_to_send_leaves_it_to_the_next() {
    let mut story = Story::paused_by(CRASHED);
    story.now = 5;
    story.attempts(1, Verdict::Untried);
    assert!(!story.breaker.is_delivering());
    story.attempts(1, CRASHED);
    let crashed = EndpointFailure::ServerError(500);
    story.is_paused(0, 15, PauseReason::FailuresInARow, crashed);
}

#[test]
fn a_clock_that_is_set_back_makes_no_pause_longer() {
    let mut story = Story::new();
    story.now = 3600;
    story.attempts(3, TLS_FAILED);
    story.is_paused(3600, 3660, PauseReason::TlsFailure, EXPIRED);
    story.now = 3599;
    let probe = story.begin().unwrap();
    assert_eq!(story.begin(), None, "still one at a time");
    story.end(probe, TLS_FAILED);
    story.is_paused(3600, 3659, PauseReason::TlsFailure, EXPIRED);
    story.now = 3610;
    assert_eq!(story.begin(), None);
}

#[test]
fn what_was_begun_in_another_state_does_not_count() {
    let mut story = Story::new();
    let before = [(); 4].map(|()| story.begin().unwrap());
    story.attempts(3, TLS_FAILED);
    let [first, second, third, fourth] = before;
    story.end(first, TLS_FAILED);
    story.end(second, Verdict::Answered);
    story.is_paused(0, 60, PauseReason::TlsFailure, EXPIRED);
    story.now = 60;
    let probe = story.begin().unwrap();
    story.end(third, TLS_FAILED);
    story.end(fourth, Verdict::Answered);
    assert_eq!(story.begin(), None, "still the probe's turn");
    story.end(probe, Verdict::Answered);
    story.is_at_rest();
}

#[test]
fn a_change_resets_and_nothing_older_counts() {
    for verdict in [TLS_FAILED, CRASHED] {
        let mut story = Story::new();
        let before = [(); 30].map(|()| story.begin().unwrap());
        story.breaker = story.breaker.reset();
        for turn in before {
            story.end(turn, verdict);
        }
        story.is_at_rest();

        let mut story = Story::paused_by_tls();
        story.breaker = story.breaker.reset();
        story.attempts(1, Verdict::Answered);

        let mut story = Story::paused_by_tls();
        story.now = 60;
        let probe = story.begin().unwrap();
        story.breaker = story.breaker.reset();
        story.end(probe, verdict);
        story.is_at_rest();
    }
}

#[test]
fn a_reset_makes_the_next_pause_the_first() {
    let mut story = Story::paused_by(CRASHED);
    assert_eq!(story.pauses(3, CRASHED), [5, 10, 20]);
    story.breaker = story.breaker.reset();
    story.attempts(5, CRASHED);
    assert_eq!(story.pauses(1, CRASHED), [5]);
}

#[test]
fn is_forgotten_only_when_that_costs_no_more_than_probes() {
    let forgettable = |story: &Story, now| story.breaker.is_forgettable(RULE, at(now));
    let mut story = Story::new();
    assert!(forgettable(&story, 0));
    story.attempts(1, TLS_FAILED);
    // Five times the longest pause.
    assert!(!forgettable(&story, 199));
    assert!(forgettable(&story, 200));
    story.attempts(2, TLS_FAILED);
    assert!(!forgettable(&story, 259));
    assert!(forgettable(&story, 260));
    story.now = 60;
    let _probe = story.begin();
    assert!(!forgettable(&story, 100_000));
}

#[test]
fn the_last_failure_is_known_until_something_is_answered() {
    let mut story = Story::new();
    assert_eq!(story.breaker.state().last_failure(), None);
    story.now = 4;
    story.attempts(1, CRASHED);
    let crashed = EndpointFailure::ServerError(500);
    assert_eq!(story.breaker.state().last_failure(), Some((crashed, at(4))));
    story.now = 5;
    story.attempts(4, REFUSED);
    let refused = Some((EndpointFailure::Unreachable, at(5)));
    assert_eq!(story.breaker.state().last_failure(), refused);
    story.now = 10;
    let probe = story.begin().unwrap();
    assert_eq!(story.breaker.state().last_failure(), refused);
    story.end(probe, Verdict::Answered);
    assert_eq!(story.breaker.state().last_failure(), None);
}
