//! Decides what follows where nothing but failure comes of an endpoint's attempts: a notice at half
//! and at nine tenths of a configured time, and in the end that it is switched off.
//!
//! **Invariant:** pure. An endpoint is switched off only by an attempt that failed, after both notices,
//! each of them given by one; half of the time passes after the first notice and a tenth after the
//! last, however long nothing was tried before them.

use std::time::Duration;

use crate::delivery::outcome::{Fault, Outcome};
use crate::time::Timestamp;
use crate::transport::failure::TlsFailure;

/// Part of the time, in percent, after which the first notice is given.
pub const NOTICE_PERCENT_FIRST: u32 = 50;
/// Part of the time, in percent, after which the last notice is given.
pub const NOTICE_PERCENT_LAST: u32 = 90;

/// When an endpoint that only fails is switched off.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HealthRule {
    /// After so long; `None` for never.
    pub disable_after: Option<Duration>,
}

/// What an attempt says of the health of its endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    /// It took a delivery.
    Works,
    /// An attempt was made, and came to nothing.
    Fails,
    /// Nothing: no attempt was made, it is our own fault, or it is about the data.
    Nothing,
}

/// Which of the notices.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Notice {
    /// The one at half of the time.
    First,
    /// The one shortly before the end.
    Last,
}

/// An endpoint that only fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failing {
    /// The end of the first attempt that failed since one succeeded.
    pub since: Timestamp,
    /// The latest notice of it, and when that was given.
    pub noticed: Option<(Notice, Timestamp)>,
}

/// What follows from another attempt that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// This notice is given.
    Give {
        /// Which one.
        notice: Notice,
        /// When the endpoint is switched off at the earliest.
        disable_at: Timestamp,
    },
    /// It is switched off.
    Disable,
}

// === impl Sign ===

impl Sign {
    /// Of an attempt that ended so. 410 switches off by itself.
    pub fn of(outcome: Outcome, tls_failure: Option<TlsFailure>) -> Self {
        if tls_failure.is_some_and(|failure| failure.fault() == Fault::Us) {
            return Self::Nothing;
        }
        match outcome {
            Outcome::Accepted => Self::Works,
            Outcome::Retry | Outcome::NotTrusted | Outcome::Unreachable | Outcome::TimedOut => {
                Self::Fails
            }
            Outcome::Parked
            | Outcome::Gone
            | Outcome::Blocked
            | Outcome::Internal
            | Outcome::Unsendable => Self::Nothing,
        }
    }
}

// === impl Notice ===

impl Notice {
    /// The part of the time after which it is given, in percent.
    pub const fn percent(self) -> u32 {
        match self {
            Self::First => NOTICE_PERCENT_FIRST,
            Self::Last => NOTICE_PERCENT_LAST,
        }
    }

    /// What passes of the time before it, at least.
    fn before(self, time: Duration) -> Duration {
        time.saturating_mul(self.percent()) / 100
    }

    /// What passes of the time after it, at least.
    fn after(self, time: Duration) -> Duration {
        time.saturating_sub(self.before(time))
    }
}

// === impl Failing ===

impl Failing {
    /// One that failed now, for the first time since it worked.
    pub const fn begins(at: Timestamp) -> Self {
        Self {
            since: at,
            noticed: None,
        }
    }

    /// The same after a notice.
    #[must_use]
    pub const fn after(self, notice: Notice, at: Timestamp) -> Self {
        Self {
            noticed: Some((notice, at)),
            ..self
        }
    }
}

// === impl HealthRule ===

impl HealthRule {
    /// What follows when another attempt fails at `now`.
    pub fn step(self, failing: Failing, now: Timestamp) -> Step {
        let Some(time) = self.disable_after else {
            return Step::Stay;
        };
        // A notice that comes late, since nothing was tried, puts the end off.
        let end = |notice: Notice, at: Timestamp| {
            let of_all = failing.since.plus(time);
            of_all.max(at.plus(notice.after(time)))
        };
        let give = |notice| Step::Give {
            notice,
            disable_at: end(notice, now),
        };
        match failing.noticed {
            None if now >= failing.since.plus(Notice::First.before(time)) => give(Notice::First),
            Some((Notice::First, at))
                if now >= end(Notice::First, at).minus(Notice::Last.after(time)) =>
            {
                give(Notice::Last)
            }
            Some((Notice::Last, at)) if now >= end(Notice::Last, at) => Step::Disable,
            None | Some(_) => Step::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: HealthRule = HealthRule {
        disable_after: Some(Duration::from_hours(100)),
    };
    const SINCE: Timestamp = Timestamp::from_millis(1_795_422_000_000);

    fn hours(hours: u64) -> Timestamp {
        SINCE.plus(Duration::from_hours(hours))
    }

    /// What attempts come to that fail after so many hours: the hour, and what follows.
    fn follow(attempts: impl IntoIterator<Item = u64>) -> Vec<(u64, Step)> {
        let mut failing = Failing::begins(SINCE);
        let mut followed = Vec::new();
        for hour in attempts {
            let step = RULE.step(failing, hours(hour));
            if let Step::Give { notice, .. } = step {
                failing = failing.after(notice, hours(hour));
            }
            if step != Step::Stay {
                followed.push((hour, step));
            }
            if step == Step::Disable {
                break;
            }
        }
        followed
    }

    const fn first(disable_at: Timestamp) -> Step {
        Step::Give {
            notice: Notice::First,
            disable_at,
        }
    }

    const fn last(disable_at: Timestamp) -> Step {
        Step::Give {
            notice: Notice::Last,
            disable_at,
        }
    }

    #[test]
    fn notices_come_before_the_end() {
        let expect = [
            (50, first(hours(100))),
            (90, last(hours(100))),
            (100, Step::Disable),
        ];
        assert_eq!(follow(0..=500), expect);
    }

    #[test]
    fn a_single_failure_of_long_ago_is_but_the_beginning() {
        // Nothing was tried in between.
        let expect = [(144, first(hours(194)))];
        assert_eq!(follow([144]), expect);
        // However many fail then.
        assert_eq!(follow([144, 144, 144, 145]), expect);
        let expect = [
            (144, first(hours(194))),
            (184, last(hours(194))),
            (194, Step::Disable),
        ];
        assert_eq!(follow(144..=500), expect);
    }

    #[test]
    fn what_comes_late_puts_the_end_off() {
        let expect = [
            (60, first(hours(110))),
            (100, last(hours(110))),
            (110, Step::Disable),
        ];
        assert_eq!(follow(60..=500), expect);
        // Between the notices, and after the last one.
        assert_eq!(
            follow([50, 700, 709, 710]),
            [
                (50, first(hours(100))),
                (700, last(hours(710))),
                (710, Step::Disable)
            ]
        );
        assert_eq!(
            follow([50, 90, 5000]),
            [
                (50, first(hours(100))),
                (90, last(hours(100))),
                (5000, Step::Disable)
            ]
        );
    }

    #[test]
    fn without_a_time_nothing_follows() {
        let never = HealthRule {
            disable_after: None,
        };
        let failing = Failing::begins(SINCE).after(Notice::Last, SINCE);
        assert_eq!(never.step(failing, hours(9999)), Step::Stay);
    }

    #[test]
    fn another_time_holds_from_the_next_attempt_on() {
        let failing = Failing::begins(SINCE).after(Notice::First, hours(50));
        let shorter = HealthRule {
            disable_after: Some(Duration::from_hours(10)),
        };
        assert_eq!(shorter.step(failing, hours(60)), last(hours(61)));
    }

    #[test]
    fn only_attempts_that_were_made_and_failed_are_failures() {
        let none = |outcome| Sign::of(outcome, None);
        assert_eq!(none(Outcome::Accepted), Sign::Works);
        for outcome in [
            Outcome::Retry,
            Outcome::NotTrusted,
            Outcome::Unreachable,
            Outcome::TimedOut,
        ] {
            assert_eq!(none(outcome), Sign::Fails, "{outcome:?}");
            for failure in TlsFailure::ALL {
                let ours = failure.fault() == Fault::Us;
                let expect = if ours { Sign::Nothing } else { Sign::Fails };
                assert_eq!(Sign::of(outcome, Some(*failure)), expect, "{failure:?}");
            }
        }
        for outcome in [
            Outcome::Parked,
            Outcome::Gone,
            Outcome::Blocked,
            Outcome::Internal,
            Outcome::Unsendable,
        ] {
            assert_eq!(none(outcome), Sign::Nothing, "{outcome:?}");
        }
    }
}
