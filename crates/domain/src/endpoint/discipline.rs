//! How an endpoint wants its deliveries, besides their rate: how many at once, in which order,
//! how many in one request.

use std::num::NonZeroU16;

use crate::endpoint::batch::BatchRule;
use crate::endpoint::order::Order;

/// Parallelism, order, batches. Nothing of it by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Discipline {
    /// Most attempts at the same time; `None` for the node's own limit.
    pub max_in_flight: Option<NonZeroU16>,
    /// In which order.
    pub order: Order,
    /// How many in one request; `None` for one.
    pub batch: Option<BatchRule>,
}
