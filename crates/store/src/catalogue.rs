//! The rules of event types, and changes of many of them at once, as the store keeps them.

use async_trait::async_trait;

use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::event_type::{EventTypeName, EventTypeSpec};
use hookseal_domain::id::{AppId, MessageId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::publish::Idempotency;

/// What an organisation says of its event types besides their names.
#[async_trait]
pub trait CatalogueStore {
    /// The event types of an organisation that say anything of validation or retries, by name.
    async fn event_type_rules(&self, org: OrgId) -> Result<Vec<EventTypeRules>, StoreError>;

    /// Sets when an event type's deliveries are tried again; `None` for the server's schedule.
    async fn set_retry_schedule(
        &self,
        org: OrgId,
        name: &EventTypeName,
        schedule: Option<RetrySchedule>,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// The message that an earlier publish with the same key made: for one that is refused for its
    /// payload before it comes to the store.
    async fn earlier_message(
        &self,
        app: AppId,
        request: Idempotency,
        now: Timestamp,
    ) -> Result<Option<MessageId>, ChangeError>;

    /// Makes and replaces event types, and archives others, all or nothing. What is to be archived
    /// and does not exist stays so. Retry schedules stay.
    async fn import_event_types(
        &self,
        org: OrgId,
        import: EventTypeImport,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Makes and replaces event types with their retry schedules, all or nothing. What is so already
    /// stays untouched.
    async fn import_environment(
        &self,
        org: OrgId,
        import: EnvironmentImport,
        now: Timestamp,
    ) -> Result<(), ChangeError>;
}

/// Event types with everything that is said of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EnvironmentImport {
    /// To make or replace.
    pub event_types: Vec<(EventTypeName, EventTypeSpec)>,
    /// The schedules of some of those; the others keep theirs.
    pub retry_schedules: Vec<(EventTypeName, RetrySchedule)>,
}

/// What an event type says of validation and retries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventTypeRules {
    /// Which.
    pub name: EventTypeName,
    /// What becomes of payloads that do not match its newest schema.
    pub validation: ValidationMode,
    /// When its deliveries are tried again; `None` for the server's schedule.
    pub retry_schedule: Option<RetrySchedule>,
}

/// Many event types at once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EventTypeImport {
    /// To make or replace.
    pub put: Vec<(EventTypeName, EventTypeSpec)>,
    /// To archive.
    pub archive: Vec<EventTypeName>,
}
