//! How much there is and became of it, from counters that are kept with what they count.

use std::collections::BTreeMap;

use async_trait::async_trait;

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::error::StoreError;
use crate::inspect::AttemptFilter;

/// Which hours: those that lie in part between the two. Absent means without end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hours {
    /// From the hour of this.
    pub since: Option<Timestamp>,
    /// Up to the hour of the moment before this.
    pub until: Option<Timestamp>,
}

/// How many, if they were counted to the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// How many there are, or were until the counting ended.
    pub count: u64,
    /// Whether it is not exactly what was asked for.
    pub precision: Precision,
}

/// How far a count can be relied on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Precision {
    /// It is what was asked for.
    Exact,
    /// There may be more, or some of the same hour too many.
    Approximate,
}

/// Deliveries of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeliveryCounts {
    /// That were accepted in those hours.
    pub delivered: u64,
    /// That ended otherwise in those hours, and those that are blocked now.
    pub failed: u64,
    /// That somebody ended in those hours.
    pub skipped: u64,
    /// That wait now, of messages of that time.
    pub pending: u64,
    /// That are being tried now, of messages of that time.
    pub sending: u64,
    /// Whether the last two were counted to the end.
    pub precision: Precision,
}

/// Attempts of one event type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AttemptCounts {
    /// That were accepted.
    pub accepted: u64,
    /// That were not.
    pub failed: u64,
}

/// Endpoints of an organisation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EndpointCounts {
    /// That get deliveries.
    pub active: u64,
    /// That don't, since they are disabled or said that they are gone.
    pub disabled: u64,
}

/// The part of [`crate::Store`] that counts.
#[async_trait]
pub trait StatisticsStore: Send + Sync {
    /// An endpoint's deliveries.
    async fn delivery_counts(
        &self,
        app: AppId,
        endpoint: EndpointId,
        hours: Hours,
    ) -> Result<DeliveryCounts, StoreError>;

    /// An endpoint's attempts. With a filter that no counter is kept for they are counted one by one,
    /// up to a bound.
    async fn attempt_count(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: AttemptFilter,
    ) -> Result<Counted, StoreError>;

    /// An application's attempts by event type.
    async fn attempts_by_event_type(
        &self,
        app: AppId,
        hours: Hours,
    ) -> Result<BTreeMap<EventTypeName, AttemptCounts>, StoreError>;

    /// An organisation's endpoints.
    async fn endpoint_counts(&self, org: OrgId) -> Result<EndpointCounts, StoreError>;
}
