//! Taking in what was read from the backlog.

use std::collections::HashSet;
use std::sync::Arc;

use crate::clock::Clock;
use crate::deliver;
use crate::job::Job;
use crate::lane::{Lane, Then};
use crate::lanes::{Lanes, Place};
use crate::shared::Shared;
use crate::timers;

impl Lanes {
    /// Takes claimed deliveries in, in one step: were those behind the first of an order still to
    /// come when it fails, they would not go back with the others. Gives back what finds no room, and
    /// whatever is behind it in its order.
    pub(crate) fn admit_all(
        &self,
        shared: &Arc<Shared>,
        lane: &Arc<Lane>,
        jobs: impl IntoIterator<Item = Job>,
    ) -> Vec<Job> {
        let (refused, (begin, then)) = self.take_in(&*shared.clock, lane, jobs);
        if !shared.is_stopping() {
            for _ in 0..begin {
                deliver::spawn_worker(shared, lane);
            }
            timers::follow(shared, lane, then);
        }
        refused
    }

    /// The same, but for what follows: so many workers, which are counted, and more.
    pub(super) fn take_in(
        &self,
        clock: &dyn Clock,
        lane: &Arc<Lane>,
        jobs: impl IntoIterator<Item = Job>,
    ) -> (Vec<Job>, (usize, Then)) {
        let allowed = lane.state.lock().allows(clock);
        let mut held_up = HashSet::new();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for job in jobs {
            let order = job.rank.map(|rank| rank.key);
            let may_come = allowed && order.is_none_or(|order| !held_up.contains(&order));
            let place = may_come.then(|| self.place_in(lane, job.payload_bytes()));
            match place.flatten() {
                Some(place) => taken.push((place, job)),
                None => {
                    held_up.extend(order);
                    refused.push(job);
                }
            }
        }
        let then = put(clock, lane, taken);
        (refused, then)
    }
}

/// Puts deliveries in their places, all of them before anybody else sees one; says what follows.
fn put(clock: &dyn Clock, lane: &Lane, taken: Vec<(Place, Job)>) -> (usize, Then) {
    let mut state = lane.state.lock();
    let most = taken.len();
    for (place, job) in taken {
        place.keep();
        let replaced = state.queue.push(job);
        let (_, freed) = state.give_up(replaced.as_slice());
        lane.memory.give_back(freed);
    }
    state.came(most, clock)
}

// === impl Place ===

impl Place {
    /// Leaves the place to the delivery that is put there.
    fn keep(mut self) {
        self.taken = true;
    }
}
