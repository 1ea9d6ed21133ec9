//! Decides when the next attempt may begin of an endpoint or an application that has a rate.
//!
//! A generic cell rate algorithm in whole nanoseconds, put as the reservation of slots: the only
//! state is the instant of the next free slot (the "theoretical arrival time"), and who reserves
//! one moves it on by an interval. Several nodes that share a row with that instant stay exact
//! together: one that moves it on by `k` intervals holds `k` slots, each with an instant of its own.
//!
//! **Invariant:** no clock, no IO. Two slots are never closer than an interval, and an attempt
//! begins no earlier than its slot and at most [`LATENESS_MAX`] later.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::Timestamp;

/// How late a slot may be used. Timers fire late by a few milliseconds, and a lane at a thousand per
/// second must make up for them; beyond that the slot is lost, so that nothing bunches up.
pub const LATENESS_MAX: Duration = Duration::from_millis(20);

/// Every interval is longer by this part than the rate says, so that lateness never exceeds it.
///
/// Attempts that begin within a window of length `W` have slots within `W + L`, where `L` is the
/// lateness: at most `(W + L) / T + 1` for an interval `T`. With `T = (1 + e) / rate` that is no
/// more than `W * rate + 1` as soon as `e >= L / W`. For windows from 4 s on, 1/160 leaves room for
/// 25 ms: the 20 ms of [`LATENESS_MAX`], one for a clock of milliseconds, and four from the
/// permission to the request. A busy lane gets 160/161 of its rate, that is 99.4 %.
const SLOWER_BY: u64 = 160;

const NANOS_PER_SEC: u64 = 1_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// How often something may happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// So many slots…
    slots: NonZeroU32,
    /// …in so many seconds.
    secs: u32,
}

/// The slots of one endpoint or application.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Throttle {
    /// The next free slot, in nanoseconds since the Unix epoch.
    next: i64,
}

/// The permission to begin one attempt at an instant.
#[must_use = "a slot that is not used is lost"]
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Slot {
    nanos: i64,
}

// === impl Pace ===

impl Pace {
    /// So many in a second; `None` if there is no limit.
    pub fn per_second(rate: Option<u16>) -> Option<Self> {
        let slots = NonZeroU32::new(u32::from(rate?))?;
        Some(Self { slots, secs: 1 })
    }

    /// So many in a minute.
    pub const fn per_minute(rate: NonZeroU32) -> Self {
        Self {
            slots: rate,
            secs: 60,
        }
    }

    /// Whichever of two is slower.
    pub fn slower(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter()
            .chain(other)
            .max_by_key(|pace| pace.interval())
    }

    /// From one slot to the next, in nanoseconds.
    fn interval(self) -> i64 {
        let parts = SLOWER_BY * u64::from(self.slots.get());
        let nanos = (NANOS_PER_SEC * u64::from(self.secs) * (SLOWER_BY + 1)).div_ceil(parts);
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

// === impl Throttle ===

impl Throttle {
    /// The slot that the next reservation gets. Somebody has been waiting for it since
    /// `waiting_since`: a slot before that, or one that would be used too late, is gone, so that
    /// nobody saves up slots while idle.
    pub fn next_slot(self, waiting_since: Timestamp, now: Timestamp) -> Slot {
        let earliest = waiting_since.min(now).max(now.minus(LATENESS_MAX));
        Slot {
            nanos: self.next.max(nanos(earliest)),
        }
    }

    /// The same where nobody can have reserved more than `ahead` of now: if the next slot is further
    /// away than an interval behind that, the clock was set back, or the rate was raised.
    pub fn caught_up(self, pace: Pace, ahead: Duration, now: Timestamp) -> Self {
        let latest = nanos(now.plus(ahead)).saturating_add(pace.interval());
        Self {
            next: self.next.min(latest),
        }
    }

    /// Reserves that slot.
    pub fn reserve(self, pace: Pace, waiting_since: Timestamp, now: Timestamp) -> (Self, Slot) {
        let slot = self.next_slot(waiting_since, now);
        let next = slot.nanos.saturating_add(pace.interval());
        (Self { next }, slot)
    }

    /// Whether it can be forgotten: a new one would let no more through.
    pub fn is_forgettable(self, now: Timestamp) -> bool {
        self.next <= nanos(now)
    }
}

// === impl Slot ===

impl Slot {
    /// From when on an attempt may begin by it.
    pub const fn at(self) -> Timestamp {
        let whole = self.nanos.div_euclid(NANOS_PER_MILLI);
        // Never early: the clock knows nothing finer.
        let more = if self.nanos.rem_euclid(NANOS_PER_MILLI) > 0 {
            1
        } else {
            0
        };
        Timestamp::from_millis(whole.saturating_add(more))
    }

    /// Whether an attempt may begin by it at `now`.
    pub fn is_due(self, now: Timestamp) -> bool {
        self.at() <= now
    }

    /// Whether it is too late for it.
    pub fn is_lost(self, now: Timestamp) -> bool {
        self.nanos < nanos(now.minus(LATENESS_MAX))
    }
}

fn nanos(at: Timestamp) -> i64 {
    at.as_millis().saturating_mul(NANOS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_795_422_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    fn pace(rate: u16) -> Pace {
        Pace::per_second(Some(rate)).unwrap()
    }

    /// Begins attempts of a lane that always has something waiting, as long as `next_wake` says when
    /// it gets to look; returns when they began, in milliseconds.
    fn busy(rate: u16, until: i64, mut late: impl FnMut() -> i64) -> Vec<i64> {
        let (mut throttle, mut now, mut began) = (Throttle::default(), 0, Vec::new());
        while now < until {
            let slot = throttle.next_slot(at(0), at(now));
            if slot.is_due(at(now)) {
                (throttle, _) = throttle.reserve(pace(rate), at(0), at(now));
                began.push(now);
            } else {
                now = slot.at().as_millis() - START + late();
            }
        }
        began
    }

    /// The most that begin within any window of this length.
    fn most_within(began: &[i64], window: i64) -> usize {
        let ends = began.iter().enumerate().map(|(first, from)| {
            let after = began.partition_point(|at| *at < from + window);
            after - first
        });
        ends.max().unwrap_or(0)
    }

    fn check_never_above(began: &[i64], rate: u16) {
        for window in [4000, 5000, 7777, 20_000] {
            let most = i64::try_from(most_within(began, window)).unwrap();
            let bound = window * i64::from(rate) + 1000;
            assert!(
                most * 1000 <= bound,
                "{most} in {window} ms at {rate} per second"
            );
        }
    }

    #[test]
    fn the_slower_of_two_holds() {
        let minute = |rate| Some(Pace::per_minute(NonZeroU32::new(rate).unwrap()));
        let second = |rate| Pace::per_second(Some(rate));
        assert_eq!(minute(60).unwrap().interval(), pace(1).interval());
        assert_eq!(minute(1).unwrap().interval(), 60_375_000_000);
        assert_eq!(Pace::slower(second(2), minute(60)), minute(60));
        assert_eq!(Pace::slower(second(2), minute(180)), second(2));
        assert_eq!(Pace::slower(None, minute(7)), minute(7));
        assert_eq!(Pace::slower(second(7), None), second(7));
        assert_eq!(Pace::slower(None, None), None);
        let most = Pace::per_minute(NonZeroU32::MAX).interval();
        assert!(most > 0, "{most}");
    }

    #[test]
    fn slots_are_an_interval_apart() {
        let (first, one) = Throttle::default().reserve(pace(100), at(0), at(0));
        let (second, two) = first.reserve(pace(100), at(0), at(0));
        assert_eq!((one.at(), two.at()), (at(0), at(11)), "10.0625 ms");
        assert_eq!(two.nanos - one.nanos, 10_062_500);
        assert!(!two.is_due(at(10)) && two.is_due(at(11)));
        assert!(!second.is_forgettable(at(20)) && second.is_forgettable(at(21)));
    }

    #[test]
    fn nobody_saves_up_slots_while_idle() {
        let (mut throttle, _) = Throttle::default().reserve(pace(1000), at(0), at(0));
        let began = (0..100).filter(|_| {
            let slot = throttle.next_slot(at(60_000), at(60_000));
            let due = slot.is_due(at(60_000));
            if due {
                (throttle, _) = throttle.reserve(pace(1000), at(60_000), at(60_000));
            }
            due
        });
        assert_eq!(began.count(), 1);
    }

    #[test]
    fn a_busy_lane_makes_up_for_a_little_lateness_only() {
        let after = |late: i64| {
            let (mut throttle, _) = Throttle::default().reserve(pace(1000), at(0), at(0));
            let mut began = 0;
            while throttle.next_slot(at(0), at(late)).is_due(at(late)) {
                (throttle, _) = throttle.reserve(pace(1000), at(0), at(late));
                began += 1;
            }
            began
        };
        assert_eq!([after(1), after(5), after(20)], [0, 4, 19]);
        assert_eq!([after(21), after(1000), after(60_000)], [20, 20, 20]);
    }

    #[test]
    fn a_slot_is_lost_when_it_is_too_late() {
        let (_, slot) = Throttle::default().reserve(pace(10), at(0), at(0));
        for (now, lost) in [(0, false), (20, false), (21, true), (5000, true)] {
            assert_eq!(slot.is_lost(at(now)), lost, "{now}");
        }
    }

    #[test]
    fn a_change_of_the_rate_counts_from_the_next_slot_on() {
        let (throttle, _) = Throttle::default().reserve(pace(1), at(0), at(0));
        assert_eq!(throttle.next_slot(at(0), at(0)).at(), at(1007));
        let faster = throttle.caught_up(pace(100), Duration::ZERO, at(10));
        let slot = faster.next_slot(at(0), at(10));
        assert_eq!(slot.at(), at(21), "an interval of the new rate");
        let (throttle, _) = Throttle::default().reserve(pace(100), at(0), at(0));
        let (throttle, slot) = throttle.reserve(pace(1), at(0), at(11));
        assert_eq!(slot.at(), at(11));
        assert_eq!(throttle.next_slot(at(0), at(11)).at(), at(1017));
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody() {
        let (throttle, _) = Throttle::default().reserve(pace(10), at(0), at(0));
        let mut now = at(-3_600_000);
        let mut throttle = throttle.caught_up(pace(10), Duration::ZERO, now);
        assert_eq!(throttle.next_slot(now, now).at(), at(-3_600_000 + 101));
        // And who looks again then finds it.
        now = at(-3_600_000 + 101);
        throttle = throttle.caught_up(pace(10), Duration::ZERO, now);
        assert!(throttle.next_slot(now, now).is_due(now));
    }

    #[test]
    fn times_at_the_end_do_not_overflow() {
        let (throttle, slot) = Throttle::default().reserve(pace(1), Timestamp::MAX, Timestamp::MAX);
        let again = throttle.reserve(pace(1), Timestamp::MAX, Timestamp::MAX);
        assert!(slot.is_due(Timestamp::MAX) && again.1.is_due(Timestamp::MAX));
        assert_eq!(Pace::per_second(Some(0)), None);
    }

    #[test]
    fn fifty_rates_are_kept_in_every_window() {
        for rate in (0..50_u16).map(|n| 1 + n * 20) {
            let mut dice = u64::from(rate);
            let mut late = || {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i64::try_from((dice >> 33) % 4).unwrap()
            };
            let began = busy(rate, 30_000, &mut late);
            check_never_above(&began, rate);
            for from in (0..25_000).step_by(100) {
                let upto = |at: i64| began.partition_point(|began| *began < at);
                let count = i64::try_from(upto(from + 5000) - upto(from)).unwrap();
                let expect = i64::from(rate) * 5;
                let off = (count - expect).abs();
                assert!(off <= 1.max(expect / 50), "{count} at {rate} per second");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn no_lateness_makes_it_too_fast_or_too_slow(
            rate in prop_oneof![1..50_u16, 50..2000_u16],
            lates in proptest::collection::vec(0..20_i64, 1..200),
        ) {
            let mut turn = lates.iter().cycle();
            let began = busy(rate, 40_000, || *turn.next().unwrap());
            check_never_above(&began, rate);
            let reached = i64::try_from(began.len()).unwrap() * 1000;
            let wanted = 40 * i64::from(rate) * 985;
            prop_assert!(reached + 1000 >= wanted, "{reached} of {wanted}");
        }

        #[test]
        fn whatever_comes_when_it_is_never_too_fast(
            rate in 1..1500_u16,
            pauses in proptest::collection::vec(prop_oneof![8 => 0..30_i64, 1 => 0..3000_i64], 50..400),
        ) {
            let (mut throttle, mut now, mut since, mut began) = (Throttle::default(), 0, 0, Vec::new());
            for pause in pauses {
                now += pause;
                // After a long pause the lane had been idle.
                since = if pause > 100 { now } else { since };
                while throttle.next_slot(at(since), at(now)).is_due(at(now)) {
                    (throttle, _) = throttle.reserve(pace(rate), at(since), at(now));
                    began.push(now);
                }
            }
            check_never_above(&began, rate);
        }
    }
}
