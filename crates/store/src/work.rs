//! What goes between the store and the deliverer.

use std::sync::Arc;

use bytes::Bytes;

use hookseal_domain::delivery::attempt::Attempt;
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{DeliveryKey, Next, Trigger};
use hookseal_domain::endpoint::health::{HealthRule, Sign};
use hookseal_domain::endpoint::order::Rank;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::AppId;
use hookseal_domain::time::Timestamp;

use crate::ids::Ids;

/// This process, as the store knows it.
#[derive(Clone, Debug)]
pub struct NodeSession {
    /// The node's number, 0 to 255; part of the ids it makes.
    pub node: u8,
    /// Fences what an earlier process of this node may still write.
    pub epoch: i64,
    /// Makes its ids, above all that it made before.
    pub ids: Arc<Ids>,
    /// The highest id that this node may have made before; `None` if none.
    pub highest_id: Option<i64>,
    /// How many deliveries came back from an earlier process.
    pub taken_back: u64,
}

/// How much to take at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PullLimit {
    /// Most deliveries.
    pub rows: usize,
    /// Most payload bytes; at least one delivery is taken all the same.
    pub bytes: usize,
}

/// A delivery that this node owns now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimed {
    /// Whose it is.
    pub app: AppId,
    /// Which delivery.
    pub key: DeliveryKey,
    /// Which taking of the delivery this is; its attempts carry it.
    pub claim: i64,
    /// Why it exists.
    pub trigger: Trigger,
    /// How often it was tried.
    pub attempts: u32,
    /// The index of the schedule's step that comes next.
    pub step: u32,
    /// Its place in an order; `None` if it has none.
    pub rank: Option<Rank>,
    /// How urgent it is.
    pub class: Priority,
    /// When it ends undelivered; `None` if never.
    pub expires_at: Option<Timestamp>,
    /// What happened; `None` if not read.
    pub event_type: Option<EventTypeName>,
    /// The bytes to deliver; `None` if expunged or expired, or not read.
    pub payload: Option<Bytes>,
}

/// Deliveries whose time has come.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DueBatch {
    /// Earliest first.
    pub deliveries: Vec<Claimed>,
    /// When the next one that is not in `deliveries` is due; `None` if there is none. May lie in
    /// the past: then ask again.
    pub next_due: Option<Timestamp>,
}

/// What became of a delivery whose attempt was taken down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recorded {
    /// What follows from the attempt.
    Followed,
    /// Nothing: it was taken, resent or skipped since.
    Overtaken,
}

/// An attempt to take down, with what follows from it.
#[derive(Clone, Debug)]
pub struct FinishedAttempt {
    /// Whose it is.
    pub app: AppId,
    /// The attempt. `attempt.ended` agrees with `next`.
    pub attempt: Attempt,
    /// Which taking of the delivery the attempt belongs to: [`Claimed::claim`], or 0 for a delivery
    /// that is owned from its acceptance on. Where the delivery was taken or resent since, only the
    /// attempt is taken down.
    pub claim: i64,
    /// What happens to the delivery.
    pub next: Next,
    /// Whether the endpoint said that it is gone and is to be disabled, with the time that the attempt
    /// began at. An endpoint that was changed after that stays as it is.
    pub endpoint_gone_at: Option<Timestamp>,
    /// What the attempt says of its endpoint's health.
    pub sign: Sign,
    /// What is to follow from that.
    pub health_rule: HealthRule,
}
