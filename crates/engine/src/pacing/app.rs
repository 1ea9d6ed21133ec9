//! The rates of applications: each shares its slots out among its lanes, one after the other.
//!
//! **Invariant:** a lane that had its slot stands behind all that wait, so that none starves; one
//! timer serves the whole line.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use hookseal_domain::delivery::throttle::{Pace, Slot, Throttle};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;

use crate::pacing::HELD_MAX;

/// Most slots that are given out in one go: as many as a thousandth of a second holds at the highest
/// rate, several times over.
const GRANTS_MAX: usize = 256;

/// The applications that have a rate and lanes.
#[derive(Default)]
pub(crate) struct AppPacings {
    by_app: Mutex<HashMap<AppId, Arc<AppPacing>>>,
}

/// The slots of one application.
#[derive(Default)]
pub(crate) struct AppPacing {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` if the rate was taken away: whoever waits goes.
    pace: Option<Pace>,
    throttle: Throttle,
    /// Who waits, and since when. No longer than there are lanes: each stands in it once.
    line: VecDeque<(EndpointId, Timestamp)>,
}

/// What there is for the lanes that wait.
pub(crate) struct Grants {
    /// Whose turn it is.
    pub(crate) grants: Vec<(EndpointId, Slot)>,
    /// When the next one's is.
    pub(crate) next_at: Option<Timestamp>,
}

// === impl AppPacings ===

impl AppPacings {
    /// The slots of an application that has a rate.
    pub(crate) fn of(&self, app: AppId) -> Arc<AppPacing> {
        let mut by_app = self.by_app.lock();
        Arc::clone(by_app.entry(app).or_default())
    }

    /// The same, if anybody uses them.
    pub(crate) fn get(&self, app: AppId) -> Option<Arc<AppPacing>> {
        self.by_app.lock().get(&app).cloned()
    }

    /// Forgets those that no lane uses.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.by_app.lock().retain(|_, pacing| {
            let state = pacing.state.lock();
            let used = Arc::strong_count(pacing) > 1 || !state.line.is_empty();
            used || !state.throttle.is_forgettable(now)
        });
    }
}

// === impl AppPacing ===

impl AppPacing {
    /// Reserves a slot that is there now; otherwise the lane stands in line. Says when the first of
    /// the line gets one, unless somebody waited already.
    pub(crate) fn ask(
        &self,
        endpoint: EndpointId,
        pace: Pace,
        waiting_since: Timestamp,
        now: Timestamp,
    ) -> Result<Slot, Option<Timestamp>> {
        let mut state = self.state.lock();
        state.pace = Some(pace);
        if !state.line.is_empty() {
            state.line.push_back((endpoint, waiting_since));
            return Err(None);
        }
        state.catch_up(now);
        let slot = state.throttle.next_slot(waiting_since, now);
        if !slot.is_due(now) {
            state.line.push_back((endpoint, waiting_since));
            return Err(Some(slot.at()));
        }
        (state.throttle, _) = state.throttle.reserve(pace, waiting_since, now);
        Ok(slot)
    }

    /// The next slot for one that had its turn and could not use it, past the line; `None` if that is
    /// too far away.
    pub(crate) fn make_up(
        &self,
        pace: Pace,
        waiting_since: Timestamp,
        now: Timestamp,
    ) -> Option<Slot> {
        let mut state = self.state.lock();
        state.pace = Some(pace);
        state.catch_up(now);
        let (after, slot) = state.throttle.reserve(pace, waiting_since, now);
        let soon = slot.at() <= now.plus(HELD_MAX);
        if soon {
            state.throttle = after;
        }
        soon.then_some(slot)
    }

    /// Gives out the slots that are there now.
    pub(crate) fn grant(&self, now: Timestamp) -> Grants {
        let mut state = self.state.lock();
        state.catch_up(now);
        let mut grants = Vec::new();
        while let Some((endpoint, since)) = state.line.front().copied() {
            // Without a rate each gets a slot: one that nobody asks for.
            let pace = state.pace;
            let throttle = pace.map_or_else(Throttle::default, |_| state.throttle);
            let pace = pace.or_else(|| Pace::per_second(Some(u16::MAX)));
            let Some(pace) = pace else {
                break;
            };
            let (after, slot) = throttle.reserve(pace, since, now);
            if !slot.is_due(now) || grants.len() >= GRANTS_MAX {
                let next_at = Some(slot.at().max(now));
                return Grants { grants, next_at };
            }
            state.throttle = after;
            state.line.pop_front();
            grants.push((endpoint, slot));
        }
        Grants {
            grants,
            next_at: None,
        }
    }

    /// When the next slot is.
    pub(crate) fn next_slot_at(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.state.lock();
        state.pace?;
        state.catch_up(now);
        Some(state.throttle.next_slot(now, now).at())
    }

    /// The application has no rate any more.
    pub(crate) fn lift(&self) {
        self.state.lock().pace = None;
    }
}

// === impl State ===

impl State {
    /// Nobody reserves further ahead than a worker may be held.
    fn catch_up(&mut self, now: Timestamp) {
        if let Some(pace) = self.pace {
            self.throttle = self.throttle.caught_up(pace, HELD_MAX, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId::from_raw(1);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_422_000_000 + millis)
    }

    fn lane(id: i64) -> EndpointId {
        EndpointId::from_raw(id)
    }

    fn ask(app: &AppPacing, id: i64, now: i64) -> Result<(), Option<Timestamp>> {
        let pace = Pace::per_second(Some(10)).unwrap();
        app.ask(lane(id), pace, at(0), at(now)).map(|_| ())
    }

    fn granted(app: &AppPacing, now: i64) -> Vec<EndpointId> {
        let grants = app.grant(at(now)).grants;
        grants.into_iter().map(|(lane, _)| lane).collect()
    }

    #[test]
    fn lanes_of_an_application_take_turns() {
        let apps = AppPacings::default();
        let app = apps.of(APP);
        assert_eq!(ask(&app, 1, 0), Ok(()));
        assert_eq!(ask(&app, 1, 0), Err(Some(at(101))), "the line's one timer");
        assert_eq!(ask(&app, 2, 0), Err(None));
        assert_eq!(ask(&app, 3, 0), Err(None));
        assert!(granted(&app, 100).is_empty());
        let mut turns = Vec::new();
        for slot in 1..=9 {
            let grants = app.grant(at(slot * 101));
            for (lane, _) in grants.grants {
                turns.push(lane);
                let again = app.ask(
                    lane,
                    Pace::per_second(Some(10)).unwrap(),
                    at(0),
                    at(slot * 101),
                );
                assert!(again.is_err(), "behind the others");
            }
        }
        let expect: Vec<_> = [1, 2, 3].into_iter().cycle().take(9).map(lane).collect();
        assert_eq!(turns, expect);
    }

    #[test]
    fn slots_that_are_made_up_for_are_an_interval_apart_and_not_far_away() {
        let app = AppPacings::default().of(APP);
        let pace = Pace::per_second(Some(10)).unwrap();
        let slots: Vec<_> = std::iter::from_fn(|| app.make_up(pace, at(0), at(1000)))
            .take(100)
            .collect();
        assert_eq!(slots.len(), 21, "those of two seconds");
        for (number, slot) in (0..).zip(&slots) {
            let expect = at(980 + number * 100);
            let late = slot.at().since(expect).as_millis();
            assert!(slot.at() >= expect && late <= 20, "{number}: {slot:?}");
        }
        assert!(app.grant(at(2000)).grants.is_empty());
        let waits = app.ask(lane(1), pace, at(1000), at(2000));
        assert!(waits.is_err_and(|at_last| at_last.is_some()));
        assert!(granted(&app, 2900).is_empty(), "they are all reserved");
        assert_eq!(granted(&app, 3200), [lane(1)]);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_a_few_seconds() {
        let app = AppPacings::default().of(APP);
        assert_eq!(ask(&app, 1, 3_600_000), Ok(()));
        assert_eq!(ask(&app, 1, 0), Err(Some(at(2101))));
        assert_eq!(granted(&app, 2101), [lane(1)]);
    }

    #[test]
    fn without_a_rate_whoever_waits_goes() {
        let apps = AppPacings::default();
        let app = apps.of(APP);
        assert_eq!(ask(&app, 0, 0), Ok(()));
        for id in 1..=300 {
            assert!(ask(&app, id, 0).is_err());
        }
        app.lift();
        assert_eq!(granted(&app, 1).len(), GRANTS_MAX);
        assert_eq!(granted(&app, 1).len(), 300 - GRANTS_MAX);
        assert!(granted(&app, 1).is_empty());
    }

    #[test]
    fn it_is_forgotten_when_nobody_uses_it_and_its_slot_has_passed() {
        let apps = AppPacings::default();
        let app = apps.of(APP);
        assert_eq!(ask(&app, 1, 0), Ok(()));
        apps.sweep(at(1000));
        assert!(apps.get(APP).is_some(), "in use");
        drop(app);
        apps.sweep(at(100));
        assert!(apps.get(APP).is_some(), "it would let more through");
        apps.sweep(at(101));
        assert!(apps.get(APP).is_none());
    }
}
