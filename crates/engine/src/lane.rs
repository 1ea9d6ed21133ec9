//! A lane: everything in memory for one active endpoint.
//!
//! **Invariant:** the places given out never exceed the window, and each is given back exactly
//! once; no attempt begins that the breaker does not allow.

mod batching;
mod begin;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::breaker::Breaker;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::push_back::PushBack;
use hookseal_domain::delivery::throttle::Slot;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;

use crate::budget::Share;
use crate::clock::Clock;
use crate::job::Job;
use crate::lane::batching::Batching;
pub(crate) use crate::lane::begin::{Looked, Then};
use crate::lanes::Went;
use crate::memory::Memory;
use crate::pacing::{LaneRules, Pacing};
use crate::queue::Queue;

/// Longest pause that an endpoint asks for in which what waits stays in memory: for less, giving it
/// back and reading it again costs more.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// One endpoint's lane.
pub(crate) struct Lane {
    /// Whose it is.
    pub(crate) app: AppId,
    /// Whose deliveries.
    pub(crate) endpoint: EndpointId,
    /// Its part of the node's permits.
    pub(crate) share: Arc<Share>,
    /// The node's.
    pub(super) memory: Arc<Memory>,
    pub(super) state: Mutex<LaneState>,
}

/// What changes in a lane.
pub(super) struct LaneState {
    /// Deliveries that wait for a worker.
    pub(super) queue: Queue,
    /// Places given out: kept, queued or being tried.
    pub(super) places: usize,
    /// Payload bytes of those.
    pub(super) bytes: usize,
    /// Attempts under way.
    pub(super) running: usize,
    /// Most attempts under way: grows with success, halves when the endpoint does not answer.
    pub(super) running_max: usize,
    /// Whether there may be rows in the endpoint's backlog.
    pub(super) backlog: bool,
    /// Whether the backlog is being read.
    pub(super) pulling: bool,
    /// Whether attempts are made.
    pub(super) breaker: Breaker,
    /// How fast.
    pub(super) pacing: Pacing,
    /// How many together.
    pub(super) batching: Batching,
}

/// What a worker does after an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Onward {
    /// It ends, and is counted no more.
    Stop,
    /// It makes the next attempt.
    GoOn,
    /// So does another one, which is counted already.
    GoOnWithAnother,
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(
        app: AppId,
        endpoint: EndpointId,
        running_max: usize,
        memory: Arc<Memory>,
    ) -> Arc<Self> {
        Arc::new(Self {
            app,
            endpoint,
            memory,
            share: Share::new(endpoint),
            state: Mutex::new(LaneState {
                queue: Queue::default(),
                places: 0,
                bytes: 0,
                running: 0,
                running_max,
                backlog: false,
                pulling: false,
                breaker: Breaker::default(),
                pacing: Pacing::default(),
                batching: Batching::default(),
            }),
        })
    }

    /// The class of the most urgent delivery that may begin.
    pub(crate) fn most_urgent(&self) -> Priority {
        self.state.lock().queue.most_urgent().unwrap_or_default()
    }

    /// The next delivery for a worker that is running. `rules` are those that hold now; without,
    /// the last that were known do.
    pub(crate) fn next_job(&self, clock: &dyn Clock, rules: Option<LaneRules>) -> Looked {
        let mut state = self.state.lock();
        if let Some(rules) = rules {
            state.batching.learn(rules.batch);
            state.pacing.learn(rules);
        }
        let mut looked = if state.running <= state.running_limit() {
            state.begin(self, clock)
        } else {
            Looked::NOTHING
        };
        if looked.held_until.is_some() {
            return looked;
        }
        if looked.begun.is_none() {
            state.running -= 1;
        } else if state.pacing.has_rate() || state.batching.is_on() {
            looked.then = state.then(self, clock);
        }
        looked
    }

    /// What a worker does that gets no permit, because others of the lane hold its share. Tells
    /// whether there are none, so that it has to try again.
    pub(crate) fn steps_back(&self, clock: &dyn Clock) -> bool {
        let mut state = self.state.lock();
        state.running -= 1;
        let goes_on = state.running == 0 && !state.queue.is_empty() && state.takes_another(clock);
        state.running += usize::from(goes_on);
        goes_on
    }

    /// What a worker does that has made an attempt: more workers come as the endpoint can take it.
    pub(crate) fn onward(&self, clock: &dyn Clock) -> Onward {
        let mut state = self.state.lock();
        let waiting = state.queue.len();
        let limit = state.running_limit();
        let waits = state.pacing.waits_for_slot() || !state.is_ripe(clock);
        if waiting == 0 || state.running > limit || waits || !state.allows(clock) {
            state.running -= 1;
            return Onward::Stop;
        }
        // Where there is a rate or a batch, whoever begins sees to the next.
        let sees_to_it = state.pacing.has_rate() || state.batching.is_on();
        let one_by_one = sees_to_it || !state.breaker.is_delivering();
        if waiting == 1 || state.running == limit || one_by_one {
            return Onward::GoOn;
        }
        state.running += 1;
        Onward::GoOnWithAnother
    }

    /// Counts a worker no more that ended by a panic.
    pub(crate) fn lost_worker(&self) {
        self.state.lock().running -= 1;
    }

    /// What follows for it if it may go on.
    pub(crate) fn goes_on(&self, clock: &dyn Clock) -> Then {
        self.state.lock().goes_on(clock)
    }

    /// Whether attempts are made.
    pub(crate) fn breaker(&self) -> Breaker {
        self.state.lock().breaker
    }

    /// Whether nothing failed lately, and nothing can any moment.
    pub(crate) fn is_untroubled(&self) -> bool {
        let state = self.state.lock();
        state.breaker.is_at_rest() && state.running == 0
    }

    /// It was brought back for a slot or a batch.
    pub(crate) fn is_back(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state.pacing.is_back(now);
        state.batching.is_back(now);
    }

    /// The application's line came to it.
    pub(crate) fn got_token(&self, token: Slot) {
        self.state.lock().pacing.got_token(token);
    }

    /// Lets attempts be made again, whatever failed.
    pub(crate) fn reset_breaker(&self) {
        let mut state = self.state.lock();
        state.breaker = state.breaker.reset();
    }

    /// Everything that no worker has begun.
    pub(crate) fn drain_queue(&self) -> Vec<DeliveryKey> {
        self.state
            .lock()
            .queue
            .drain()
            .into_iter()
            .map(|job| job.key)
            .collect()
    }
}

// === impl LaneState ===

impl LaneState {
    /// Learns from an attempt how much the endpoint can take at once.
    pub(super) fn learn(&mut self, outcome: Outcome, running_max: usize) {
        self.running_max = match outcome {
            Outcome::Unreachable | Outcome::TimedOut | Outcome::NotTrusted | Outcome::Blocked => {
                (self.running_max / 2).max(1)
            }
            _ => (self.running_max + 1).min(running_max),
        };
    }

    /// Forgets how much the endpoint could take before it failed: after the pause it gets one
    /// delivery, and twice as many with each round that it answers.
    pub(super) fn start_slowly(&mut self) {
        self.running_max = 1;
    }

    /// Hears what the endpoint said of its pace; tells of a pause that began or became longer.
    pub(super) fn listen(&mut self, went: &Went, now: Timestamp) -> Option<PushBack> {
        let before = self.pacing.push_back();
        let after = PushBack::after(before, &went.reply, went.outcome, went.began_at, now);
        self.pacing.pushed_back(after);
        let pushed = after.filter(|after| before.is_none_or(|before| before.until != after.until));
        let is_new = |pushed: PushBack| before.is_none_or(|before| before.since != pushed.since);
        if pushed.is_some_and(is_new) {
            self.running_max = (self.running_max / 2).max(1);
        }
        pushed
    }

    /// Gives up what waits if the pause is long; also says how many bytes are free now.
    pub(super) fn give_way(
        &mut self,
        push_back: &PushBack,
        now: Timestamp,
    ) -> (Vec<DeliveryKey>, usize) {
        if push_back.until.since(now) <= KEPT_FOR {
            return (Vec::new(), 0);
        }
        self.empty_queue()
    }

    /// Whether an attempt may begin. The clock is read only where it matters.
    pub(super) fn allows(&self, clock: &dyn Clock) -> bool {
        let push_back = self.pacing.push_back();
        if push_back.is_none() && self.breaker.is_delivering() {
            return true;
        }
        let now = clock.now();
        push_back.is_none_or(|push_back| !push_back.holds(now)) && self.breaker.allows(now)
    }

    /// Most attempts under way now.
    pub(super) fn running_limit(&self) -> usize {
        let configured = self.pacing.in_flight_max();
        configured.map_or(self.running_max, |max| max.min(self.running_max))
    }

    /// Whether one more worker would find that it may begin.
    pub(super) fn takes_another(&self, clock: &dyn Clock) -> bool {
        let waits = self.pacing.waits_for_slot();
        self.running < self.running_limit() && !waits && self.allows(clock) && self.is_ripe(clock)
    }

    /// Gives up what no worker has begun, and its places; also says how many bytes are free now.
    pub(super) fn empty_queue(&mut self) -> (Vec<DeliveryKey>, usize) {
        let jobs = self.queue.drain();
        self.pacing.is_empty_now();
        self.give_up(&jobs)
    }

    /// Gives up the places of what is handed back; also says how many bytes are free now.
    pub(super) fn give_up(&mut self, jobs: &[Job]) -> (Vec<DeliveryKey>, usize) {
        let bytes = jobs.iter().map(Job::cost).sum();
        self.places -= jobs.len();
        self.bytes -= bytes;
        // Whoever comes now queues behind what is handed back.
        self.backlog |= !jobs.is_empty();
        (jobs.iter().map(|job| job.key).collect(), bytes)
    }

    /// Whether nothing is going on here.
    pub(super) fn is_idle(&self) -> bool {
        self.places == 0 && self.running == 0 && !self.backlog && !self.pulling
    }
}
