//! The store's intents of statistics. Must never do anything itself.

use std::collections::BTreeMap;

use async_trait::async_trait;

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, OrgId};

use crate::error::StoreError;
use crate::inspect::AttemptFilter;
use crate::sqlite::SqliteStore;
use crate::sqlite::statistics;
use crate::statistics::{
    AttemptCounts, Counted, DeliveryCounts, EndpointCounts, Hours, StatisticsStore,
};

#[async_trait]
impl StatisticsStore for SqliteStore {
    async fn delivery_counts(
        &self,
        app: AppId,
        endpoint: EndpointId,
        hours: Hours,
    ) -> Result<DeliveryCounts, StoreError> {
        statistics::deliveries(self, app, endpoint, hours).await
    }

    async fn attempt_count(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: AttemptFilter,
    ) -> Result<Counted, StoreError> {
        statistics::attempts(self, app, endpoint, filter).await
    }

    async fn attempts_by_event_type(
        &self,
        app: AppId,
        hours: Hours,
    ) -> Result<BTreeMap<EventTypeName, AttemptCounts>, StoreError> {
        statistics::by_event_type(self, app, hours).await
    }

    async fn endpoint_counts(&self, org: OrgId) -> Result<EndpointCounts, StoreError> {
        statistics::endpoints(self, org).await
    }
}
