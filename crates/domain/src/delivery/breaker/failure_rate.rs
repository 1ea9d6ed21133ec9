//! The share of failures among the attempts of the last while, in a few counters.
//!
//! **Invariant:** its size does not depend on how many attempts there were.

use std::time::Duration;

use crate::time::Timestamp;

/// Parts of the window: it moves on by one of them at a time, so that what counts is up to a sixth
/// of the window younger than it would have to be.
const PARTS: usize = 6;

/// How many attempts there were within a sliding window, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct FailureRate {
    /// The newest one first.
    parts: [Part; PARTS],
    /// Which part of all time the newest one is.
    newest: i64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Part {
    attempts: u32,
    failures: u32,
}

// === impl FailureRate ===

impl FailureRate {
    /// Counts an attempt that was answered.
    pub(super) fn succeeded(&mut self, now: Timestamp, window: Duration) {
        self.move_on(now, window);
        if let Some(part) = self.parts.first_mut() {
            part.attempts = part.attempts.saturating_add(1);
        }
    }

    /// Counts an attempt that failed.
    pub(super) fn failed(&mut self, now: Timestamp, window: Duration) {
        self.move_on(now, window);
        if let Some(part) = self.parts.first_mut() {
            part.attempts = part.attempts.saturating_add(1);
            part.failures = part.failures.saturating_add(1);
        }
    }

    /// Whether at least so many percent failed of at least so many attempts.
    pub(super) fn is_at_least(&self, percent: u32, attempts_min: u32) -> bool {
        let sum = |count: fn(&Part) -> u32| self.parts.iter().map(count).map(u64::from).sum();
        let attempts: u64 = sum(|part| part.attempts);
        let failures: u64 = sum(|part| part.failures);
        attempts >= u64::from(attempts_min) && failures * 100 >= attempts * u64::from(percent)
    }

    fn move_on(&mut self, now: Timestamp, window: Duration) {
        let part_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX) / 6;
        let newest = now.as_millis().div_euclid(part_ms.max(1));
        if newest == self.newest {
            return;
        }
        match usize::try_from(newest.saturating_sub(self.newest)) {
            Ok(passed) if passed < PARTS => {
                self.parts.rotate_right(passed);
                for part in self.parts.iter_mut().take(passed) {
                    *part = Part::default();
                }
            }
            // All of it is too old, or the clock was set back and nobody knows how old it is.
            _ => self.parts = [Part::default(); PARTS],
        }
        self.newest = newest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(1_795_422_000_000 + secs * 1000)
    }

    /// One attempt each second, of which these failed.
    fn rate(seconds: std::ops::Range<i64>, fails: impl Fn(i64) -> bool) -> FailureRate {
        let mut rate = FailureRate::default();
        for second in seconds {
            match fails(second) {
                true => rate.failed(at(second), WINDOW),
                false => rate.succeeded(at(second), WINDOW),
            }
        }
        rate
    }

    #[test]
    fn the_share_is_of_enough_attempts() {
        let half = rate(0..20, |second| second % 2 == 0);
        assert!(half.is_at_least(50, 20));
        assert!(!half.is_at_least(51, 20));
        assert!(!half.is_at_least(50, 21));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        // The first minute is good, and the second is not.
        let turns_bad = |until| rate(0..until, |second| second >= 60);
        assert!(!turns_bad(60).is_at_least(1, 1));
        assert!(!turns_bad(100).is_at_least(80, 20));
        assert!(turns_bad(120).is_at_least(100, 20));
        let mut later = rate(0..50, |_| true);
        later.succeeded(at(1000), WINDOW);
        assert!(!later.is_at_least(1, 1));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let mut rate = rate(0..50, |_| true);
        rate.failed(at(-3600), WINDOW);
        assert!(!rate.is_at_least(100, 2));
        assert!(rate.is_at_least(100, 1));
    }

    #[test]
    fn any_window_will_do() {
        for window in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            let mut rate = FailureRate::default();
            rate.failed(at(0), window);
            assert!(rate.is_at_least(100, 1));
        }
    }
}
