//! The store's intents of the catalogue. Must never do anything itself.

use async_trait::async_trait;

use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, MessageId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::catalogue::{CatalogueStore, EnvironmentImport, EventTypeImport, EventTypeRules};
use crate::error::{ChangeError, StoreError};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::{event_type_rules, event_types, idempotency};

#[async_trait]
impl CatalogueStore for SqliteStore {
    async fn event_type_rules(&self, org: OrgId) -> Result<Vec<EventTypeRules>, StoreError> {
        event_type_rules::list(self, org).await
    }

    async fn set_retry_schedule(
        &self,
        org: OrgId,
        name: &EventTypeName,
        schedule: Option<RetrySchedule>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        event_type_rules::set_schedule(self, org, name, schedule, now).await
    }

    async fn earlier_message(
        &self,
        app: AppId,
        request: Idempotency,
        now: Timestamp,
    ) -> Result<Option<MessageId>, ChangeError> {
        idempotency::find_message(self, app, request, now).await
    }

    async fn import_event_types(
        &self,
        org: OrgId,
        import: EventTypeImport,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        event_types::import(self, org, import, now).await
    }

    async fn import_environment(
        &self,
        org: OrgId,
        import: EnvironmentImport,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        event_types::import_all(self, org, import, now).await
    }
}
