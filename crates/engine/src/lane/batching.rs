//! Whether what waits in a lane goes together, and whether it leaves.
//!
//! **Invariant:** as long as something waits for its batch, the lane is to be brought back when that
//! leaves at the latest. There is one such time for each lane, or a few of which each is sooner than
//! the one before.

use hookseal_domain::delivery::batch::{BatchRule, Leaves, Waiting};
use hookseal_domain::time::Timestamp;

use crate::clock::Clock;
use crate::lane::{Lane, LaneState, Then};
use crate::queue::Work;

/// Whether what waits goes together.
#[derive(Default)]
pub(crate) struct Batching {
    rule: Option<BatchRule>,
    /// When the lane is brought back.
    back_at: Option<Timestamp>,
}

// === impl Batching ===

impl Batching {
    /// Takes note of what is configured now.
    pub(super) fn learn(&mut self, rule: Option<BatchRule>) {
        self.rule = rule;
    }

    /// Whether it does.
    pub(super) fn is_on(&self) -> bool {
        self.rule.is_some()
    }

    /// The lane is to be brought back then, if it is not anyway.
    pub(super) fn comes_back(&mut self, at: Timestamp) -> Then {
        if self.back_at.is_some_and(|back_at| back_at <= at) {
            return Then::Nothing;
        }
        self.back_at = Some(at);
        Then::Back(at)
    }

    /// The lane was brought back.
    pub(super) fn is_back(&mut self, now: Timestamp) {
        self.back_at = self.back_at.filter(|at| now < *at);
    }
}

// === impl Lane ===

impl Lane {
    /// What follows for a lane whose deliveries wait for their batch, when something changed around
    /// them.
    pub(crate) fn waits_on(&self, clock: &dyn Clock) -> Then {
        let mut state = self.state.lock();
        if state.batching.is_on() {
            state.goes_on(clock)
        } else {
            Then::Nothing
        }
    }

    /// Counts a worker for what waits for its batch, since the rule may be another one now.
    pub(crate) fn looks_again(&self) -> bool {
        let mut state = self.state.lock();
        let waits = state.batching.is_on() && !state.queue.is_empty();
        let looks = waits && state.running < state.running_limit();
        state.running += usize::from(looks);
        looks
    }
}

// === impl LaneState ===

impl LaneState {
    /// When what waits leaves. After a pause of its endpoint a single delivery tries, which waits for
    /// no others.
    pub(super) fn leaves(&self, clock: &dyn Clock) -> Leaves {
        let Some(rule) = self.batching.rule.filter(|_| self.breaker.is_delivering()) else {
            return Leaves::Now;
        };
        let Some(waiting) = self.queue.waiting() else {
            return Leaves::Now;
        };
        let waiting = Waiting {
            // Nothing is under way that makes room when it ends.
            is_crowded: self.backlog && !self.pulling && self.places == waiting.events,
            ..waiting
        };
        rule.leaves(&waiting, clock.now())
    }

    /// Whether what waits leaves now.
    pub(super) fn is_ripe(&self, clock: &dyn Clock) -> bool {
        !self.batching.is_on() || self.leaves(clock) == Leaves::Now
    }

    /// What follows for a lane that may go on: one more worker, who is counted, if the endpoint can
    /// take it and there is something to do.
    pub(super) fn goes_on(&mut self, clock: &dyn Clock) -> Then {
        if self.queue.is_empty() {
            return Then::Nothing;
        }
        if let Leaves::At(at) = self.leaves(clock) {
            return self.batching.comes_back(at);
        }
        if !self.takes_another(clock) {
            return Then::Nothing;
        }
        self.running += 1;
        Then::Another
    }

    /// What a worker takes next.
    pub(super) fn pop(&mut self) -> Option<Work> {
        match self.batching.rule {
            Some(rule) => self.queue.pop_together(rule),
            None => self.queue.pop().map(Work::One),
        }
    }

    /// What follows when so many deliveries have come: how many workers begin, who are counted, and
    /// what else.
    pub(crate) fn came(&mut self, deliveries: usize, clock: &dyn Clock) -> (usize, Then) {
        if let Leaves::At(at) = self.leaves(clock) {
            return (0, self.batching.comes_back(at));
        }
        let most = match self.batching.rule {
            // Whoever begins sees to the next.
            Some(_) => 1,
            None => deliveries,
        };
        let mut begin = 0;
        while begin < most.min(self.queue.len()) && self.takes_another(clock) {
            self.running += 1;
            begin += 1;
        }
        (begin, Then::Nothing)
    }
}
