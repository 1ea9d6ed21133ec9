//! What a worker finds that looks for something to do.
//!
//! **Invariant:** no attempt begins that the breaker does not allow, that its endpoint pushed back,
//! or that has no slot where there is a rate.

use hookseal_domain::delivery::batch::Leaves;
use hookseal_domain::delivery::breaker::Turn;
use hookseal_domain::id::AppId;
use hookseal_domain::time::Timestamp;

use crate::clock::Clock;
use crate::expiry;
use crate::job::Job;
use crate::lane::{Lane, LaneState};
use crate::pacing::Gate;
use crate::queue::Work;

/// What a worker found that looked for something to do.
#[must_use = "the lane has to be brought back"]
pub(crate) struct Looked {
    /// What to try; `None` ends the worker.
    pub(crate) begun: Option<(Work, Turn)>,
    /// What follows for the lane.
    pub(crate) then: Then,
    /// The worker keeps its permit, and looks again then.
    pub(crate) held_until: Option<Timestamp>,
}

/// What follows for a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// Nothing, or somebody sees to it already.
    Nothing,
    /// Another attempt may begin, for which another worker is counted.
    Another,
    /// It is brought back then.
    Back(Timestamp),
    /// The first of its application's line is brought back then.
    Line(AppId, Timestamp),
}

// === impl Looked ===

impl Looked {
    pub(super) const NOTHING: Self = Self {
        begun: None,
        then: Then::Nothing,
        held_until: None,
    };

    const fn only(then: Then) -> Self {
        Self {
            then,
            ..Self::NOTHING
        }
    }
}

// === impl LaneState ===

impl LaneState {
    /// Begins an attempt, if one may begin now.
    pub(super) fn begin(&mut self, lane: &Lane, clock: &dyn Clock) -> Looked {
        if self.queue.is_empty() || !self.allows(clock) {
            return Looked::NOTHING;
        }
        let has_rate = self.pacing.has_rate();
        if (has_rate || self.batching.is_on())
            && let Some(useless) = self.begin_useless(clock.now())
        {
            return useless;
        }
        if let Leaves::At(at) = self.leaves(clock) {
            return Looked::only(self.batching.comes_back(at));
        }
        if has_rate {
            let gate = self.pacing.gate_with_permit(lane.endpoint, clock.now());
            if let Gate::Held(at) = gate {
                return Looked {
                    held_until: Some(at),
                    ..Looked::NOTHING
                };
            }
            if gate != Gate::Open {
                return Looked::only(self.closed(lane, gate));
            }
        }
        let turn = self.breaker.open_turn().or_else(|| {
            let (breaker, turn) = self.breaker.begin(clock.now());
            self.breaker = breaker;
            turn
        });
        let begun = turn.and_then(|turn| Some((self.pop()?, turn)));
        if has_rate && begun.is_some() {
            self.pacing.began(clock.now());
        }
        Looked {
            begun,
            ..Looked::NOTHING
        }
    }

    /// Begins one that there is nothing to send of: it needs no slot and waits for no others.
    fn begin_useless(&mut self, now: Timestamp) -> Option<Looked> {
        let turn = self.breaker.open_turn()?;
        let useless = |job: &Job| expiry::nothing_to_send(job, now).is_some();
        let job = self.queue.pop_useless(useless)?;
        Some(Looked {
            begun: Some((Work::One(job), turn)),
            ..Looked::NOTHING
        })
    }

    /// What follows when an attempt has begun where there is a rate or a batch: the next slot is asked
    /// for at once, so that the lane stands in line for it.
    pub(super) fn then(&mut self, lane: &Lane, clock: &dyn Clock) -> Then {
        if self.queue.is_empty() {
            self.pacing.is_empty_now();
            return Then::Nothing;
        }
        if let Leaves::At(at) = self.leaves(clock) {
            return self.batching.comes_back(at);
        }
        // When an attempt ends, its worker asks.
        if !self.takes_another(clock) || !self.breaker.is_delivering() {
            return Then::Nothing;
        }
        let gate = self.pacing.gate(lane.endpoint, clock.now());
        if gate == Gate::Open {
            self.running += 1;
            return Then::Another;
        }
        self.closed(lane, gate)
    }

    fn closed(&mut self, lane: &Lane, gate: Gate) -> Then {
        match gate {
            Gate::Opens(at) if self.pacing.comes_back(at) => Then::Back(at),
            Gate::InLine(Some(first_at)) => Then::Line(lane.app, first_at),
            Gate::Opens(_) | Gate::InLine(None) | Gate::Held(_) | Gate::Open => Then::Nothing,
        }
    }
}
