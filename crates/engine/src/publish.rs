//! Publishing: an authorised request becomes a durable message with its deliveries.

use std::time::Duration;

use bytes::Bytes;

use hookseal_domain::channel::Channel;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, MessageId, OrgId};
use hookseal_domain::uid::Uid;
use hookseal_store::error::StoreError;
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::AppRef;

/// A message to publish, every part of it checked.
#[derive(Clone, Debug)]
pub struct Publish {
    /// In which organisation.
    pub org: OrgId,
    /// To which application.
    pub app: AppRef,
    /// What happened.
    pub event_type: EventTypeName,
    /// The client's own name of it.
    pub event_id: Option<Uid>,
    /// Which channels it goes to.
    pub channels: Vec<Channel>,
    /// The client's labels.
    pub tags: Vec<String>,
    /// The exact bytes to deliver.
    pub payload: Bytes,
    /// How long the payload is kept.
    pub payload_retention: Duration,
    /// How a repetition is recognised.
    pub idempotency: Option<Idempotency>,
}

/// A message that is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub app: AppId,
    /// Whether an earlier, equal request had published it already.
    pub repeated: bool,
}

/// A message was not published. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// The application does not exist.
    #[error("the application does not exist")]
    UnknownApplication,
    /// The `eventId` names another message of the application.
    #[error("a message with this eventId exists")]
    EventIdTaken,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The node is stopping, or too much is waiting: try again in a moment.
    #[error("too much is waiting")]
    Overloaded,
    /// The store failed.
    #[error("the message was not stored")]
    Store(#[source] StoreError),
}
