//! A delivery: one message to one endpoint, as a state machine.

pub mod attempt;
pub mod batch;
pub mod breaker;
pub mod outcome;
pub mod priority;
pub mod push_back;
pub mod retry;
pub mod throttle;

use crate::id::{EndpointId, MessageId};
use crate::time::Timestamp;

/// Names a delivery: there is at most one unfinished delivery of a message to an endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeliveryKey {
    /// What is delivered.
    pub message: MessageId,
    /// Whom to.
    pub endpoint: EndpointId,
}

/// Why a delivery exists.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trigger {
    /// The message was published.
    Publish,
    /// Somebody asked for it again.
    Resend,
}

/// Where an unfinished delivery stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pending {
    /// In a node's memory: about to be tried, or being tried.
    Owned,
    /// To be tried at a time.
    Waiting {
        /// When.
        due: Timestamp,
    },
    /// To be tried as soon as its lane has room.
    Backlog,
    /// Its endpoint is disabled: to be tried once it is enabled and the delivery recovered.
    Held,
    /// The exhausted head of an order that does not go on without it: until it is resent or skipped.
    Blocked,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ended {
    /// The receiver accepted it.
    Delivered,
    /// The schedule ran out: a dead letter.
    Exhausted,
    /// The receiver said that the data is wrong.
    Parked,
    /// The receiver said that the endpoint is gone.
    Gone,
    /// The endpoint was deleted before the message was accepted.
    EndpointDeleted,
    /// The payload's retention ended before the message was accepted.
    PayloadExpired,
    /// Somebody cancelled it, or had it skipped so that what waits behind it goes on.
    Skipped,
    /// It was not delivered by the time that its message set.
    MessageExpired,
}

/// What happens to a delivery after an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// It is finished.
    End(Ended),
    /// Its schedule ran out, and those behind it in the order wait until somebody resends or skips
    /// it.
    Block,
    /// It is tried again.
    Retry {
        /// When.
        due: Timestamp,
        /// Which step of the schedule comes after that one.
        step: u32,
    },
}

// === impl Next ===

impl Next {
    /// What is undelivered when its message expires is looked at then, so that it ends.
    #[must_use]
    pub fn no_later_than(self, expires_at: Option<Timestamp>) -> Self {
        match (self, expires_at) {
            (Self::Retry { due, step }, Some(at)) => Self::Retry {
                due: due.min(at),
                step,
            },
            (next, _) => next,
        }
    }
}

// === impl Ended ===

impl Ended {
    /// Stable name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Parked => "parked",
            Self::Gone => "gone",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::PayloadExpired => "payload_expired",
            Self::Skipped => "skipped",
            Self::MessageExpired => "message_expired",
        }
    }
}
