//! What can be seen of how fast a lane goes.

use hookseal_domain::delivery::push_back::PushBack;
use hookseal_domain::time::Timestamp;

use crate::lane::Lane;

/// How fast an endpoint's deliveries go right now, on this node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PaceStatus {
    /// Attempts under way.
    pub in_flight: usize,
    /// Most attempts under way now: what the endpoint earned, up to what is configured.
    pub in_flight_max: usize,
    /// Deliveries that wait in memory.
    pub waiting: usize,
    /// Whether more of them may wait in the store.
    pub has_backlog: bool,
    /// Since when they wait for slots.
    pub throttled_since: Option<Timestamp>,
    /// The next slot; `None` without a rate.
    pub next_slot_at: Option<Timestamp>,
    /// The pause that the endpoint asks for, if it is on.
    pub push_back: Option<PushBack>,
}

// === impl PaceStatus ===

impl PaceStatus {
    pub(crate) fn of(lane: &Lane, now: Timestamp) -> Self {
        let state = lane.state.lock();
        let push_back = state.pacing.push_back();
        Self {
            in_flight: lane.share.held(),
            in_flight_max: state.running_limit(),
            waiting: state.queue.waiting_len(),
            has_backlog: state.backlog || state.pulling,
            throttled_since: state.pacing.throttled_since(now),
            next_slot_at: state.pacing.next_slot_at(now),
            push_back: push_back.filter(|pushed| pushed.holds(now)),
        }
    }
}
