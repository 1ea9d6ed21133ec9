//! What deliveries as CloudEvents need of a message besides its payload.

use async_trait::async_trait;

use hookseal_domain::cloud_event::CloudEvent;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, MessageId};

use crate::error::StoreError;

/// What a message says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishedEvent {
    /// What happened.
    pub event_type: EventTypeName,
    /// Its context, if it was published as a CloudEvent.
    pub cloud_event: Option<CloudEvent>,
}

/// The part of [`crate::Store`] that keeps the contexts of CloudEvents.
#[async_trait]
pub trait CloudEventStore {
    /// What a message says of itself; `None` if there is none any more.
    async fn published_event(
        &self,
        app: AppId,
        message: MessageId,
    ) -> Result<Option<PublishedEvent>, StoreError>;
}
