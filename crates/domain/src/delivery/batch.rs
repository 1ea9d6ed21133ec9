//! Several events in one request, for endpoints that ask for it: decides when those that wait leave.
//!
//! **Invariant:** no clock, no IO. Nothing waits longer than the rule says, or past its own end.

pub mod answer;
pub mod body;

use std::num::NonZeroU16;
use std::time::Duration;

use crate::delivery::priority::Priority;
use crate::time::Timestamp;

/// Fewest events that a batch may be of: with one it were none.
pub const BATCH_EVENTS_MIN: u16 = 2;
/// Most events of one batch: each is a row in the database, and has to be answered for.
pub const BATCH_EVENTS_MAX: u16 = 1000;
/// Longest that an event waits for others, in milliseconds: whoever can wait longer wants a report.
pub const BATCH_WAIT_MS_MAX: u16 = 60_000;
/// Most bytes of a batch of more than one event: what common servers accept where nobody has
/// configured anything.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// How long before its end an event leaves that would come to it while it waits: time enough to be
/// sent.
const BEFORE_EXPIRY: Duration = Duration::from_secs(1);

/// How far the times of messages may be ahead of the clock: ids borrow from what comes when many are
/// made at once.
const AHEAD_MAX: Duration = Duration::from_secs(1);

/// How an endpoint wants its events together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchRule {
    events_max: NonZeroU16,
    wait: Duration,
}

/// What waits for its batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// How many events.
    pub events: usize,
    /// Bytes of the body that they would be.
    pub bytes: usize,
    /// Since when the oldest could have been sent.
    pub since: Timestamp,
    /// When the first of them ends undelivered; `None` if none does.
    pub expires_at: Option<Timestamp>,
    /// The class of the most urgent.
    pub most_urgent: Priority,
    /// Whether there are others that find no room to wait.
    pub is_crowded: bool,
}

/// When what waits leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leaves {
    /// Now.
    Now,
    /// Then, if nothing comes that changes it.
    At(Timestamp),
}

// === impl BatchRule ===

impl BatchRule {
    /// `None` for what is out of bounds.
    pub fn new(events_max: u16, wait_ms: u16) -> Option<Self> {
        let fits = (BATCH_EVENTS_MIN..=BATCH_EVENTS_MAX).contains(&events_max)
            && wait_ms <= BATCH_WAIT_MS_MAX;
        let events_max = NonZeroU16::new(events_max).filter(|_| fits)?;
        let wait = Duration::from_millis(wait_ms.into());
        Some(Self { events_max, wait })
    }

    /// Most events of one batch.
    pub const fn events_max(self) -> u16 {
        self.events_max.get()
    }

    /// Longest that an event waits for others, in milliseconds.
    pub fn wait_ms(self) -> u16 {
        u16::try_from(self.wait.as_millis()).unwrap_or(BATCH_WAIT_MS_MAX)
    }

    /// When what waits leaves: as soon as the batch is full, somebody waits for one of the events, or
    /// waiting would gain nothing; otherwise when the oldest has waited long enough, or one would
    /// expire.
    pub fn leaves(self, waiting: &Waiting, now: Timestamp) -> Leaves {
        let is_full = waiting.events >= usize::from(self.events_max.get())
            || waiting.bytes >= BATCH_BYTES_MAX
            || waiting.is_crowded;
        if is_full || waiting.most_urgent == Priority::High {
            return Leaves::Now;
        }
        let waited = waiting.since.plus(self.wait);
        let expires = waiting.expires_at.map(|at| at.minus(BEFORE_EXPIRY));
        let at = expires.map_or(waited, |at| at.min(waited));
        // What came later than now, since the clock was set back, does not wait for that.
        if at <= now || at > now.plus(self.wait + AHEAD_MAX) {
            return Leaves::Now;
        }
        Leaves::At(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_422_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn one() -> Waiting {
        Waiting {
            events: 1,
            bytes: 100,
            since: NOW,
            expires_at: None,
            most_urgent: Priority::Normal,
            is_crowded: false,
        }
    }

    fn check(waiting: Waiting, expect: Leaves) {
        let rule = BatchRule::new(10, 5000).unwrap();
        assert_eq!(rule.leaves(&waiting, NOW), expect, "{waiting:?}");
    }

    #[test]
    fn a_full_batch_leaves_at_once() {
        let in_5 = Leaves::At(NOW.plus(SECOND * 5));
        check(one(), in_5);
        check(Waiting { events: 9, ..one() }, in_5);
        for full in [10, 11] {
            let events = full;
            check(Waiting { events, ..one() }, Leaves::Now);
        }
        let bytes = BATCH_BYTES_MAX;
        check(Waiting { bytes, ..one() }, Leaves::Now);
        let bytes = bytes - 1;
        check(Waiting { bytes, ..one() }, in_5);
        let crowded = Waiting {
            is_crowded: true,
            ..one()
        };
        check(crowded, Leaves::Now);
    }

    #[test]
    fn nothing_waits_longer_than_the_rule_says() {
        let since = |ago| Waiting {
            since: NOW.minus(ago),
            ..one()
        };
        check(since(SECOND * 2), Leaves::At(NOW.plus(SECOND * 3)));
        check(since(SECOND * 5), Leaves::Now);
        check(since(SECOND * 500), Leaves::Now);
        let set_back = Waiting {
            since: NOW.plus(SECOND * 60),
            ..one()
        };
        check(set_back, Leaves::Now);
        let borrowed = Waiting {
            since: NOW.plus(SECOND / 100),
            ..one()
        };
        check(borrowed, Leaves::At(NOW.plus(SECOND * 5 + SECOND / 100)));
        let at_once = BatchRule::new(10, 0).unwrap();
        assert_eq!(at_once.leaves(&one(), NOW), Leaves::Now);
    }

    #[test]
    fn the_urgent_and_what_would_expire_do_not_wait() {
        let class = |most_urgent| Waiting {
            most_urgent,
            ..one()
        };
        check(class(Priority::High), Leaves::Now);
        check(class(Priority::Bulk), Leaves::At(NOW.plus(SECOND * 5)));
        let expires = |after| Waiting {
            expires_at: Some(NOW.plus(after)),
            ..one()
        };
        check(expires(SECOND * 60), Leaves::At(NOW.plus(SECOND * 5)));
        check(expires(SECOND * 4), Leaves::At(NOW.plus(SECOND * 3)));
        check(expires(SECOND), Leaves::Now);
        check(expires(Duration::ZERO), Leaves::Now);
    }

    #[test]
    fn rules_have_bounds() {
        let rule = BatchRule::new(1000, 60_000).unwrap();
        assert_eq!((rule.events_max(), rule.wait_ms()), (1000, 60_000));
        for (events, wait) in [(0, 0), (1, 0), (1001, 0), (2, 60_001)] {
            assert_eq!(BatchRule::new(events, wait), None);
        }
        assert!(BatchRule::new(2, 0).is_some());
    }
}
