//! How a delivery leaves its lane, and what follows.

use std::time::Duration;

use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::delivery::breaker::{Pause, Turn, Verdict};
use hookseal_domain::delivery::outcome::{Outcome, Reply};
use hookseal_domain::delivery::push_back::PushBack;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;

use crate::lanes::Lanes;

/// How deliveries left their lane.
pub(crate) struct Leaving {
    /// How many, which were tried together.
    pub(crate) deliveries: usize,
    /// Bytes of their payloads.
    pub(crate) payload_bytes: usize,
    /// The turn it had.
    pub(crate) turn: Turn,
    /// What it says of its endpoint.
    pub(crate) verdict: Verdict,
    /// How the attempt went; `None` if there was none.
    pub(crate) went: Option<Went>,
    /// When.
    pub(crate) at: Timestamp,
}

/// How an attempt went, as far as it tells how fast its lane may go.
pub(crate) struct Went {
    /// What came back.
    pub(crate) reply: Reply,
    /// What it meant.
    pub(crate) outcome: Outcome,
    /// When it began.
    pub(crate) began_at: Timestamp,
    /// How long it took.
    pub(crate) took: Duration,
}

/// What follows for a lane that a delivery left.
#[derive(Default)]
pub(crate) struct Left {
    /// What its breaker decided.
    pub(crate) change: Option<Change>,
    /// A pause that its endpoint asks for.
    pub(crate) pushed_back: Option<PushedBack>,
}

/// A pause that an endpoint asks for.
pub(crate) struct PushedBack {
    /// The pause.
    pub(crate) push_back: PushBack,
    /// What waited in memory, to be handed back.
    pub(crate) waiting: Vec<DeliveryKey>,
}

/// What a delivery that left its lane changed there.
pub(crate) enum Change {
    /// No attempt begins for a while.
    Paused {
        /// Why.
        pause: Pause,
        /// When a single one tries again.
        until: Timestamp,
        /// Whether attempts were made until now.
        anew: bool,
        /// What waited in memory, to be handed back: a paused lane takes no memory from others.
        waiting: Vec<DeliveryKey>,
    },
    /// Attempts are made again.
    Resumed,
}

impl Lanes {
    /// Takes these deliveries of an endpoint out that no worker has begun, with those behind them; tells
    /// which.
    pub(crate) fn withdraw_all(
        &self,
        endpoint: EndpointId,
        wanted: impl Fn(DeliveryKey) -> bool,
    ) -> Vec<DeliveryKey> {
        let Some(lane) = self.get(endpoint) else {
            return Vec::new();
        };
        let mut state = lane.state.lock();
        let out = state.queue.withdraw_all(wanted);
        let (keys, freed) = state.give_up(&out);
        drop(state);
        lane.memory.give_back(freed);
        keys
    }

    /// The endpoints of an application that have a lane.
    pub(crate) fn endpoints_of(&self, app: AppId) -> Vec<EndpointId> {
        let lanes = self.by_endpoint.lock();
        let of_app = lanes.values().filter(|lane| lane.app == app);
        of_app.map(|lane| lane.endpoint).collect()
    }
}
