//! Decides how long an endpoint is left alone that says "not so fast" (429) or "not now" (503).
//!
//! **Invariant:** no clock, no IO. What was begun before a pause makes it no shorter.

use std::time::Duration;

use crate::delivery::outcome::{Outcome, Reply};
use crate::time::Timestamp;

/// Longest pause that a `Retry-After` gets: what an endpoint says by mistake (a date in another
/// year, milliseconds for seconds) must not silence it for days. It can say so again.
pub const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
/// First pause where the endpoint does not say how long.
pub const OWN_PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest of those: they double each time.
pub const OWN_PAUSE_MAX: Duration = Duration::from_secs(60);

/// An endpoint that pushed back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PushBack {
    /// When its last pause began.
    pub since: Timestamp,
    /// When that ends.
    pub until: Timestamp,
    /// Why.
    pub reason: PushBackReason,
    /// How often in a row it did not say for how long.
    times: u32,
}

/// What an endpoint said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PushBackReason {
    /// The status of its answer: 429 or 503.
    pub status: u16,
    /// Whose idea the length of the pause is.
    pub length: PauseLength,
}

/// Whose idea the length of a pause is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PauseLength {
    /// The endpoint's: its answer had a `Retry-After`.
    Asked,
    /// Ours: it doubles until a good answer comes.
    Own,
}

// === impl PushBack ===

impl PushBack {
    /// Takes note of an answer to an attempt that began at `began_at`.
    #[must_use]
    pub fn after(
        before: Option<Self>,
        reply: &Reply,
        outcome: Outcome,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Option<Self> {
        let Reply::Response {
            status,
            retry_after,
        } = *reply
        else {
            return before;
        };
        // Attempts that were under way when it began tell nothing new, unless they ask for longer.
        let meanwhile = before.filter(|before| before.covers(began_at));
        if !matches!(status, 429 | 503) {
            let ends = outcome == Outcome::Accepted && meanwhile.is_none();
            return before.filter(|_| !ends);
        }
        // Zero says nothing: whoever is overloaded rounds down.
        let asked = retry_after.map(|after| after.delay(now));
        let times = before.map_or(0, |before| before.times);
        let (pause, length, times) = match asked.filter(|asked| !asked.is_zero()) {
            Some(asked) => (asked.min(ASKED_PAUSE_MAX), PauseLength::Asked, times),
            None if meanwhile.is_some() => return before,
            None => (own_pause(times), PauseLength::Own, times.saturating_add(1)),
        };
        let pushed = Self {
            since: meanwhile.map_or(now, |meanwhile| meanwhile.since),
            until: now.plus(pause),
            reason: PushBackReason { status, length },
            times,
        };
        let shorter = |meanwhile: &Self| pushed.until <= meanwhile.until;
        Some(meanwhile.filter(shorter).unwrap_or(pushed))
    }

    /// Whether no attempt is made at `now`. Before its beginning, the clock was set back: nobody
    /// knows how long it lasts already.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }

    /// Whether it can be forgotten: so long after that forgetting makes no pause shorter.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        !self.holds(now) && self.until.plus(OWN_PAUSE_MAX) <= now
    }

    /// Whether an attempt that began then knew nothing of the pause.
    fn covers(&self, began_at: Timestamp) -> bool {
        began_at < self.until && self.since.minus(ASKED_PAUSE_MAX) < began_at
    }
}

// === impl PushBackReason ===

impl PushBackReason {
    /// Its name, for the API and the log.
    pub const fn as_str(self) -> &'static str {
        match (self.status, self.length) {
            (429, PauseLength::Asked) => "too_many_requests_retry_after",
            (429, PauseLength::Own) => "too_many_requests",
            (_, PauseLength::Asked) => "unavailable_retry_after",
            (_, PauseLength::Own) => "unavailable",
        }
    }
}

fn own_pause(times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    OWN_PAUSE_FIRST.saturating_mul(factor).min(OWN_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use crate::delivery::outcome::{FailureKind, RetryAfter};
    use crate::endpoint::ParkOn;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn said(status: u16, after: Option<u64>) -> Reply {
        Reply::Response {
            status,
            retry_after: after.map(|secs| RetryAfter::Delay(Duration::from_secs(secs))),
        }
    }

    /// An endpoint's answers, one after the other: when begun, when answered, what.
    fn after(answers: &[(i64, i64, Reply)]) -> Option<PushBack> {
        let mut pushed = None;
        for (began, answered, reply) in answers {
            let outcome = Outcome::classify(reply, None, &ParkOn::default());
            pushed = PushBack::after(pushed, reply, outcome, at(*began), at(*answered));
        }
        pushed
    }

    fn check(answers: &[(i64, i64, Reply)], expect: Option<(i64, &str)>) {
        let got = after(answers).map(|pushed| (pushed.until, pushed.reason.as_str()));
        assert_eq!(got, expect.map(|(until, reason)| (at(until), reason)));
    }

    #[test]
    fn a_pause_is_as_long_as_asked_for_up_to_an_hour() {
        let name = "too_many_requests_retry_after";
        check(&[(0, 0, said(429, Some(30)))], Some((30, name)));
        check(&[(0, 0, said(429, Some(86_400)))], Some((3600, name)));
        let name = "unavailable_retry_after";
        check(&[(0, 0, said(503, Some(7)))], Some((7, name)));
        let date = Reply::Response {
            status: 503,
            retry_after: Some(RetryAfter::Date(at(12))),
        };
        check(&[(0, 2, date)], Some((12, name)));
    }

    #[test]
    fn otherwise_it_doubles_until_a_good_answer() {
        let (mut pushed, mut now, mut pauses) = (None, 0, Vec::new());
        for _ in 0..40 {
            let no = said(503, None);
            pushed = PushBack::after(pushed, &no, Outcome::Retry, at(now), at(now));
            let until = pushed.unwrap().until.as_secs();
            pauses.push(until - now);
            now = until;
        }
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses[39], 60);
        let worse = PushBack::after(pushed, &said(500, None), Outcome::Retry, at(now), at(now));
        assert_eq!(worse, pushed, "says nothing of pace");
        let good = PushBack::after(
            pushed,
            &said(200, None),
            Outcome::Accepted,
            at(now),
            at(now),
        );
        assert_eq!(good, None);
    }

    #[test]
    fn zero_says_nothing() {
        let name = "too_many_requests";
        check(&[(0, 0, said(429, Some(0)))], Some((1, name)));
    }

    #[test]
    fn what_was_under_way_makes_no_pause_shorter_and_counts_once() {
        let name = "too_many_requests";
        let first = (0, 1, said(429, None));
        check(
            &[
                first.clone(),
                (0, 1, said(429, None)),
                (0, 1, said(429, None)),
            ],
            Some((2, name)),
        );
        check(&[first.clone(), (0, 1, said(200, None))], Some((2, name)));
        check(&[first.clone(), (2, 2, said(200, None))], None);
        let longer = "too_many_requests_retry_after";
        check(
            &[first.clone(), (0, 1, said(429, Some(9)))],
            Some((10, longer)),
        );
        let asked = (0, 0, said(429, Some(60)));
        check(
            &[asked.clone(), (0, 1, said(429, Some(5)))],
            Some((60, longer)),
        );
        check(&[asked, (0, 1, said(503, None))], Some((60, longer)));
        check(&[first, (2, 2, said(503, None))], Some((4, "unavailable")));
    }

    #[test]
    fn only_answers_count() {
        let timed_out = Reply::Failure(FailureKind::TimedOut);
        check(&[(0, 0, timed_out.clone())], None);
        check(
            &[(0, 0, said(429, None)), (5, 6, timed_out)],
            Some((1, "too_many_requests")),
        );
        for status in [200, 400, 500, 502, 504] {
            check(&[(0, 0, said(status, Some(9)))], None);
        }
    }

    #[test]
    fn it_holds_until_its_end_and_not_when_the_clock_is_set_back() {
        let pushed = after(&[(100, 100, said(429, Some(10)))]).unwrap();
        for (now, holds) in [(99, false), (100, true), (109, true), (110, false)] {
            assert_eq!(pushed.holds(at(now)), holds, "{now}");
        }
        assert!(!pushed.is_forgettable(at(169)) && pushed.is_forgettable(at(170)));
    }
}
