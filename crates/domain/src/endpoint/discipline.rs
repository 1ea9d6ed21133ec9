//! How an endpoint wants its deliveries, besides their rate: how many at once, in which order.

use std::num::NonZeroU16;

use crate::endpoint::order::Order;

/// Parallelism and order. Nothing of it by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Discipline {
    /// Most attempts at the same time; `None` for the node's own limit.
    pub max_in_flight: Option<NonZeroU16>,
    /// In which order.
    pub order: Order,
}
