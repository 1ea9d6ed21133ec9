//! What an attempt under way holds of its lane.
//!
//! **Invariant:** given back exactly once, even if the attempt panics: a probe that never ended
//! would pause its lane for ever, and a delivery those behind it in its order.

use std::sync::Arc;
use std::thread;

use tracing::error;

use hookseal_domain::delivery::breaker::{Turn, Verdict};

use crate::breakers;
use crate::deliver::finish;
use crate::job::Job;
use crate::lane::Lane;
use crate::lanes::{Leaving, Left, Went};
use crate::ordering;
use crate::shared::Shared;
use crate::timers;

/// What an attempt holds of its lane: given back even if it panics.
pub(crate) struct Underway<'w> {
    shared: &'w Arc<Shared>,
    lane: &'w Arc<Lane>,
    turn: Turn,
    jobs: &'w [Job],
    ended: usize,
    left: bool,
}

// === impl Underway ===

impl<'w> Underway<'w> {
    pub(crate) fn new(
        shared: &'w Arc<Shared>,
        lane: &'w Arc<Lane>,
        turn: Turn,
        jobs: &'w [Job],
    ) -> Self {
        Self {
            shared,
            lane,
            turn,
            jobs,
            ended: 0,
            left: false,
        }
    }

    /// One more of the deliveries, from the first on, was taken down.
    pub(crate) fn ended_one(&mut self) {
        self.ended += 1;
    }

    /// Gives it back; tells what that changed.
    pub(crate) fn leave(&mut self, verdict: Verdict, went: Option<Went>) -> Left {
        self.left = true;
        let leaving = Leaving {
            deliveries: self.jobs.len(),
            payload_bytes: self.jobs.iter().map(Job::payload_bytes).sum(),
            turn: self.turn,
            verdict,
            went,
            at: self.shared.clock.now(),
        };
        self.shared.lanes.leave(self.lane, &leaving)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        // What was dropped otherwise ends together with the engine.
        if self.left || !thread::panicking() {
            return;
        }
        self.lane.lost_worker();
        error!(endpoint.id = %self.lane.endpoint, "An attempt ended by a panic");
        let change = self.leave(Verdict::Unclear, None).change;
        let jobs = self.jobs.get(self.ended..).unwrap_or_default().to_vec();
        let (shared, lane) = (Arc::clone(self.shared), Arc::clone(self.lane));
        tokio::spawn(async move {
            if let Some(change) = change {
                breakers::follow(&shared, &lane, change).await;
            }
            for job in jobs {
                let after = finish::panicked(&shared, &lane, &job).await;
                let order = job.rank.map(|rank| rank.key);
                ordering::go_on(&shared, &lane, order, after).await;
            }
            // There may have been no other worker.
            timers::go_on(&shared, &lane);
        });
    }
}
