//! A lane: everything in memory for one active endpoint.
//!
//! **Invariant:** the places given out never exceed the window, and each is given back exactly
//! once; no attempt begins that the breaker does not allow.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use hookseal_domain::delivery::breaker::{Breaker, Turn};
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{DeliveryKey, Trigger};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_store::work::Claimed;

use crate::clock::Clock;

/// What a delivery in memory costs besides its payload, in bytes: job, keys and allocator.
pub(crate) const DELIVERY_BYTES: usize = 256;

/// A delivery in memory.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Which delivery.
    pub(crate) key: DeliveryKey,
    /// Why it exists.
    pub(crate) trigger: Trigger,
    /// Which claim of the delivery this is: an older one changes nothing any more.
    pub(crate) claim: i64,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// The index of the schedule's step that comes next.
    pub(crate) step: u32,
    /// The bytes to deliver; `None` if they are gone.
    pub(crate) payload: Option<Bytes>,
}

/// One endpoint's lane.
pub(crate) struct Lane {
    /// Whose it is.
    pub(crate) app: AppId,
    /// Whose deliveries.
    pub(crate) endpoint: EndpointId,
    pub(super) state: Mutex<LaneState>,
}

/// What changes in a lane.
pub(super) struct LaneState {
    /// Deliveries that wait for a worker.
    pub(super) queue: VecDeque<Job>,
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

// === impl Job ===

impl Job {
    /// The first try of a new delivery.
    pub(crate) fn first(key: DeliveryKey, payload: Bytes) -> Self {
        Self {
            key,
            trigger: Trigger::Publish,
            claim: 0,
            attempts: 0,
            step: 0,
            payload: Some(payload),
        }
    }

    /// Bytes of its payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Bytes::len)
    }

    fn cost(&self) -> usize {
        self.payload_bytes() + DELIVERY_BYTES
    }
}

impl From<Claimed> for Job {
    fn from(claimed: Claimed) -> Self {
        let Claimed {
            key,
            trigger,
            claim,
            attempts,
            step,
            payload,
            ..
        } = claimed;
        Self {
            key,
            trigger,
            claim,
            attempts,
            step,
            payload,
        }
    }
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(app: AppId, endpoint: EndpointId, running_max: usize) -> Arc<Self> {
        Arc::new(Self {
            app,
            endpoint,
            state: Mutex::new(LaneState {
                queue: VecDeque::new(),
                places: 0,
                bytes: 0,
                running: 0,
                running_max,
                backlog: false,
                pulling: false,
                breaker: Breaker::default(),
            }),
        })
    }

    /// The next delivery for a worker that is running; `None` ends the worker.
    pub(crate) fn next_job(&self, clock: &dyn Clock) -> Option<(Job, Turn)> {
        let mut state = self.state.lock();
        let begun = if state.running <= state.running_max {
            state.begin(clock)
        } else {
            None
        };
        if begun.is_none() {
            state.running -= 1;
        }
        begun
    }

    /// What a worker does that has made an attempt: more workers come as the endpoint can take it.
    pub(crate) fn onward(&self, clock: &dyn Clock) -> Onward {
        let mut state = self.state.lock();
        let waiting = state.queue.len();
        if waiting == 0 || state.running > state.running_max || !state.allows(clock) {
            state.running -= 1;
            return Onward::Stop;
        }
        if waiting == 1 || state.running == state.running_max || !state.breaker.is_delivering() {
            return Onward::GoOn;
        }
        state.running += 1;
        Onward::GoOnWithAnother
    }

    /// Counts a worker no more that ended by a panic.
    pub(crate) fn lost_worker(&self) {
        self.state.lock().running -= 1;
    }

    /// Counts one more worker, if the endpoint can take it and there is something to do.
    pub(crate) fn begin_another(&self, clock: &dyn Clock) -> bool {
        let mut state = self.state.lock();
        let begin = !state.queue.is_empty() && state.takes_another(clock);
        state.running += usize::from(begin);
        begin
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
            .drain(..)
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

    /// Whether an attempt may begin. The clock is read only where it matters.
    pub(super) fn allows(&self, clock: &dyn Clock) -> bool {
        self.breaker.is_delivering() || self.breaker.allows(clock.now())
    }

    /// Whether one more worker would find that it may begin.
    pub(super) fn takes_another(&self, clock: &dyn Clock) -> bool {
        self.running < self.running_max && self.allows(clock)
    }

    fn begin(&mut self, clock: &dyn Clock) -> Option<(Job, Turn)> {
        if self.queue.is_empty() {
            return None;
        }
        let turn = self.breaker.open_turn().or_else(|| {
            let (breaker, turn) = self.breaker.begin(clock.now());
            self.breaker = breaker;
            turn
        })?;
        Some((self.queue.pop_front()?, turn))
    }

    /// Gives up what no worker has begun, and its places; also says how many bytes are free now.
    pub(super) fn empty_queue(&mut self) -> (Vec<DeliveryKey>, usize) {
        let bytes = self.queue.iter().map(Job::cost).sum();
        let keys: Vec<_> = self.queue.drain(..).map(|job| job.key).collect();
        self.places -= keys.len();
        self.bytes -= bytes;
        // Whoever comes now queues behind what is handed back.
        self.backlog |= !keys.is_empty();
        (keys, bytes)
    }

    /// Whether nothing is going on here.
    pub(super) fn is_idle(&self) -> bool {
        self.places == 0 && self.running == 0 && !self.backlog && !self.pulling
    }
}
