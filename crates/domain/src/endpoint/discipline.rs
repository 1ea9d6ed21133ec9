//! How an endpoint wants its deliveries, besides their rate: how many at once, in which
//! order and form, how many together.

use std::num::NonZeroU16;

use crate::delivery::batch::BatchRule;
use crate::endpoint::format::Format;
use crate::endpoint::order::Order;

/// Parallelism, order, batches and form. Nothing of it by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Discipline {
    /// Most attempts at the same time; `None` for the node's own limit.
    pub max_in_flight: Option<NonZeroU16>,
    /// In which order.
    pub order: Order,
    /// How many together; `None` for one by one. Whatever has an order comes one by one all the
    /// same.
    pub batch: Option<BatchRule>,
    /// In which form.
    pub format: Format,
}
