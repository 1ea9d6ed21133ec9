//! Taking in what was read from the backlog.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Clock;
use crate::deliver;
use crate::job::Job;
use crate::lane::{Lane, LaneState};
use crate::lanes::{Lanes, Place};
use crate::shared::Shared;

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
        let (refused, begin) = self.take_in(&*shared.clock, lane, jobs);
        if !shared.is_stopping() {
            for _ in 0..begin {
                deliver::spawn_worker(shared, lane);
            }
        }
        refused
    }

    /// The same without the workers, of which so many are counted.
    pub(super) fn take_in(
        &self,
        clock: &dyn Clock,
        lane: &Arc<Lane>,
        jobs: impl IntoIterator<Item = Job>,
    ) -> (Vec<Job>, usize) {
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
        let begin = self.put(clock, &mut lane.state.lock(), taken);
        (refused, begin)
    }

    /// Puts deliveries in their places, all of them before anybody else sees one; says how many workers are counted for them.
    fn put(&self, clock: &dyn Clock, state: &mut LaneState, taken: Vec<(Place, Job)>) -> usize {
        let mut begin = 0;
        let most = taken.len();
        for (place, job) in taken {
            place.keep();
            let replaced = state.queue.push(job);
            let (_, freed) = state.give_up(replaced.as_slice());
            self.bytes.fetch_sub(freed, Ordering::Relaxed);
        }
        while begin < most.min(state.queue.len()) && state.takes_another(clock) {
            state.running += 1;
            begin += 1;
        }
        begin
    }
}

// === impl Place ===

impl Place {
    /// Leaves the place to the delivery that is put there.
    fn keep(mut self) {
        self.taken = true;
    }
}
