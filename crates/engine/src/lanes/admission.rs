//! Taking in what was read from the backlog.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::deliver;
use crate::lane::{Job, Lane};
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
        let allowed = lane.state.lock().allows(&*shared.clock);
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
        for _ in 0..self.put(shared, lane, taken) {
            deliver::spawn_worker(shared, lane);
        }
        refused
    }

    /// Puts deliveries in their places; says how many workers are counted for them.
    fn put(&self, shared: &Shared, lane: &Lane, taken: Vec<(Place, Job)>) -> usize {
        let mut state = lane.state.lock();
        let mut begin = 0;
        let most = taken.len();
        for (place, job) in taken {
            place.keep();
            let replaced = state.queue.push(job);
            let (_, freed) = state.give_up(replaced.as_slice());
            self.bytes.fetch_sub(freed, Ordering::Relaxed);
        }
        while begin < most.min(state.queue.len())
            && state.takes_another(&*shared.clock)
            && !shared.is_stopping()
        {
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
