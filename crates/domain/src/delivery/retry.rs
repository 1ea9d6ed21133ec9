//! Decides when a delivery is tried next.
//!
//! **Invariant:** no clock, no randomness, no IO: `now` and the jitter are arguments.

use std::time::Duration;

use crate::delivery::outcome::{Again, Outcome, RetryAfter};
use crate::delivery::{Ended, Next};
use crate::limits::RETRY_STEPS_MAX;
use crate::time::Timestamp;

/// A step this long or longer gives people the time to mend something.
const LONG_STEP: Duration = Duration::from_secs(30 * 60);
/// The default schedule: 10 attempts over three days.
const DEFAULT_SECS: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// How much of a step the jitter adds or takes away.
const JITTER_MAX: f64 = 0.2;
/// Longest single step: a week.
const STEP_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The delays between attempts. An empty schedule means one attempt and no retry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetrySchedule(Vec<Duration>);

/// A list of delays that is no schedule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidSchedule {
    /// More than 50.
    #[error("has {0} steps, at most 50 are allowed")]
    TooManySteps(usize),
    /// More than a week.
    #[error("step {0} is longer than 7 days")]
    StepTooLong(usize),
}

/// A random number from -1 to 1, drawn outside.
#[derive(Clone, Copy, Debug)]
pub struct Jitter(f64);

// === impl RetrySchedule ===

impl RetrySchedule {
    /// Takes up to 50 steps of up to 7 days.
    pub fn try_new(steps: Vec<Duration>) -> Result<Self, InvalidSchedule> {
        if steps.len() > RETRY_STEPS_MAX {
            return Err(InvalidSchedule::TooManySteps(steps.len()));
        }
        match steps.iter().position(|step| *step > STEP_MAX) {
            Some(index) => Err(InvalidSchedule::StepTooLong(index + 1)),
            None => Ok(Self(steps)),
        }
    }

    /// The delays.
    pub fn steps(&self) -> &[Duration] {
        &self.0
    }

    /// The longest time from the first attempt to the last, unless receivers ask for more with
    /// `Retry-After`.
    pub fn longest(&self) -> Duration {
        self.0.iter().sum::<Duration>().mul_f64(1.0 + JITTER_MAX)
    }

    /// What happens after an attempt. `step` is the index of the delay that comes next in the
    /// schedule; a `Retry-After` is honoured up to the step after that one.
    pub fn decide(
        &self,
        step: u32,
        outcome: Outcome,
        retry_after: Option<RetryAfter>,
        now: Timestamp,
        jitter: Jitter,
    ) -> Next {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let index = match outcome.again() {
            Again::Never => return Next::End(ended_by(outcome)),
            Again::Soon => step,
            Again::Later => step.max(self.first_long_step()),
        };
        let Some(delay) = self.0.get(index) else {
            return Next::End(Ended::Exhausted);
        };
        let own = jitter.apply(*delay);
        let cap = self.0.get(index + 1).unwrap_or(delay);
        let asked = retry_after.map_or(Duration::ZERO, |after| after.delay(now).min(*cap));
        let step = u32::try_from(index + 1).unwrap_or(u32::MAX);
        Next::Retry {
            due: now.plus(own.max(asked)),
            step,
        }
    }

    /// Where the long steps begin; the last step where none is long.
    fn first_long_step(&self) -> usize {
        let long = self.0.iter().position(|step| *step >= LONG_STEP);
        long.unwrap_or(self.0.len().saturating_sub(1))
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self(DEFAULT_SECS.map(Duration::from_secs).to_vec())
    }
}

// === impl Jitter ===

impl Jitter {
    /// None: for tests, and where nothing is put off.
    pub const ZERO: Self = Self(0.0);

    /// From 64 random bits.
    pub fn from_bits(bits: u64) -> Self {
        let high = u32::try_from(bits >> 32).unwrap_or_default();
        Self(f64::from(high) / f64::from(u32::MAX) * 2.0 - 1.0)
    }

    /// The delay, up to a fifth shorter or longer, so that retries do not come in waves.
    fn apply(self, delay: Duration) -> Duration {
        delay.mul_f64(JITTER_MAX.mul_add(self.0, 1.0))
    }
}

fn ended_by(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Accepted => Ended::Delivered,
        Outcome::Parked => Ended::Parked,
        Outcome::Gone => Ended::Gone,
        Outcome::Unsendable => Ended::EndpointDeleted,
        Outcome::Retry
        | Outcome::NotTrusted
        | Outcome::Blocked
        | Outcome::Unreachable
        | Outcome::TimedOut
        | Outcome::Internal => Ended::Exhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_422_000_000);

    /// The delay in seconds and the next step, or how it ended.
    fn decide(step: u32, outcome: Outcome, after: Option<u64>) -> Result<(u64, u32), Ended> {
        let after = after.map(|secs| RetryAfter::Delay(Duration::from_secs(secs)));
        match RetrySchedule::default().decide(step, outcome, after, NOW, Jitter::ZERO) {
            Next::Retry { due, step } => Ok((due.since(NOW).as_secs(), step)),
            Next::End(ended) => Err(ended),
            Next::Block => panic!("the schedule knows no order"),
        }
    }

    #[test]
    fn the_default_schedule_runs_out_after_three_days() {
        let steps: Vec<_> = (0..)
            .map_while(|n| decide(n, Outcome::Retry, None).ok())
            .collect();
        let delays: Vec<_> = steps.iter().map(|(delay, _)| *delay).collect();
        assert_eq!(delays, DEFAULT_SECS);
        assert_eq!(steps.iter().map(|(_, next)| *next).max(), Some(9));
        assert_eq!(decide(9, Outcome::TimedOut, None), Err(Ended::Exhausted));
    }

    #[test]
    fn ends() {
        assert_eq!(decide(0, Outcome::Accepted, None), Err(Ended::Delivered));
        assert_eq!(decide(0, Outcome::Parked, None), Err(Ended::Parked));
        assert_eq!(decide(0, Outcome::Gone, Some(5)), Err(Ended::Gone));
        assert_eq!(
            decide(0, Outcome::Unsendable, None),
            Err(Ended::EndpointDeleted)
        );
    }

    #[test]
    fn people_get_time_to_mend_trust_and_addresses() {
        assert_eq!(decide(0, Outcome::NotTrusted, None), Ok((1800, 3)));
        assert_eq!(decide(1, Outcome::Blocked, None), Ok((1800, 3)));
        assert_eq!(decide(5, Outcome::NotTrusted, None), Ok((36_000, 6)));
        assert_eq!(decide(9, Outcome::NotTrusted, None), Err(Ended::Exhausted));
        let short = RetrySchedule::try_new(vec![Duration::from_secs(1); 3]).unwrap();
        let next = short.decide(0, Outcome::Blocked, None, NOW, Jitter::ZERO);
        assert_eq!(
            next,
            Next::Retry {
                due: NOW.plus(Duration::from_secs(1)),
                step: 3
            }
        );
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_next_but_one_step() {
        assert_eq!(decide(0, Outcome::Retry, Some(60)), Ok((60, 1)));
        assert_eq!(
            decide(0, Outcome::Retry, Some(1)),
            Ok((5, 1)),
            "never sooner than the step"
        );
        assert_eq!(decide(0, Outcome::Retry, Some(9999)), Ok((300, 1)));
        assert_eq!(
            decide(8, Outcome::Retry, Some(999_999)),
            Ok((86_400, 9)),
            "the last step"
        );
    }

    #[test]
    fn jitter_moves_by_a_fifth_at_most() {
        for (bits, secs) in [(0, 4.0), (u64::MAX, 6.0)] {
            let next = RetrySchedule::default().decide(
                0,
                Outcome::Retry,
                None,
                NOW,
                Jitter::from_bits(bits),
            );
            let due = NOW.plus(Duration::from_secs_f64(secs));
            assert_eq!(next, Next::Retry { due, step: 1 });
        }
    }

    #[test]
    fn the_default_schedule_takes_no_longer_than_four_days() {
        let longest = RetrySchedule::default().longest();
        assert_eq!(longest, Duration::from_secs(272_105).mul_f64(1.2));
    }

    #[test]
    fn schedules_are_bounded() {
        let week = Duration::from_secs(7 * 86_400);
        assert!(RetrySchedule::try_new(vec![week; 50]).is_ok());
        assert_eq!(
            RetrySchedule::try_new(vec![week; 51]),
            Err(InvalidSchedule::TooManySteps(51))
        );
        let long = vec![Duration::ZERO, week + Duration::from_secs(1)];
        assert_eq!(
            RetrySchedule::try_new(long),
            Err(InvalidSchedule::StepTooLong(2))
        );
        let none = RetrySchedule::try_new(vec![]).unwrap();
        let next = none.decide(0, Outcome::NotTrusted, None, NOW, Jitter::ZERO);
        assert_eq!(next, Next::End(Ended::Exhausted));
    }
}
