//! A lane: everything in memory for one active endpoint.
//!
//! **Invariant:** the places given out never exceed the window, and each is given back exactly
//! once.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{DeliveryKey, Trigger};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_store::work::Claimed;

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

    /// Bytes that it keeps in memory.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Bytes::len)
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
            }),
        })
    }

    /// The next delivery for a worker that is running; `None` ends the worker.
    pub(crate) fn next_job(&self) -> Option<Job> {
        let mut state = self.state.lock();
        if state.running > state.running_max {
            state.running -= 1;
            return None;
        }
        let job = state.queue.pop_front();
        if job.is_none() {
            state.running -= 1;
        }
        job
    }

    /// Counts one more worker, if the endpoint can take it and there is something to do.
    pub(crate) fn begin_another(&self) -> bool {
        let mut state = self.state.lock();
        let begin = state.running < state.running_max && !state.queue.is_empty();
        state.running += usize::from(begin);
        begin
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

    /// Whether nothing is going on here.
    pub(super) fn is_idle(&self) -> bool {
        self.places == 0 && self.running == 0 && !self.backlog && !self.pulling
    }
}
