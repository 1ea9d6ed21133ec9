//! What is accepted in one transaction.

use bytes::Bytes;

use hookseal_domain::channel::Channel;
use hookseal_domain::cloud_event::CloudEvent;
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, MessageId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;

use crate::tasks::TaskClaim;

/// A message to accept.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its id, made by this node.
    pub id: MessageId,
    /// Whose it is.
    pub app: AppId,
    /// The version of the routing that chose its endpoints.
    pub routing_version: i64,
    /// The client's own name of it.
    pub event_id: Option<Uid>,
    /// What happened.
    pub event_type: EventTypeName,
    /// Which channels it goes to.
    pub channels: Vec<Channel>,
    /// The client's labels.
    pub tags: Vec<String>,
    /// The exact bytes to deliver.
    pub payload: Bytes,
    /// Its context, if it was published as a CloudEvent.
    pub cloud_event: Option<CloudEvent>,
    /// When the payload is forgotten.
    pub payload_expires_at: Timestamp,
    /// What it says of its deliveries.
    pub options: MessageOptions,
    /// Its deliveries.
    pub deliveries: Vec<NewDelivery>,
    /// How a repetition is recognised.
    pub idempotency: Option<Idempotency>,
    /// The broadcast of which it is a step; `None` if somebody published it.
    pub step_of: Option<TaskClaim>,
    /// When it was published.
    pub now: Timestamp,
}

/// A delivery to make with its message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NewDelivery {
    /// Whom to.
    pub endpoint: EndpointId,
    /// Where it begins; never owned if it has an order.
    pub start: DeliveryStart,
    /// In which order it takes the next place; `None` if in none.
    pub order: Option<KeyHash>,
}

/// Where a delivery begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryStart {
    /// In this node's memory, in a place that its lane has kept for it.
    Owned,
    /// As a row, since its lane is full.
    Backlog,
    /// As a row that waits for its endpoint to be enabled.
    Held,
    /// As a row that waits for the time that its message says.
    Waiting {
        /// When.
        due: Timestamp,
    },
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accepted {
    /// It is durable, and so are its deliveries.
    New,
    /// The same request was accepted before, as this message; nothing was changed.
    Repeated(MessageId),
}

/// How a repetition of a request is recognised, for 12 hours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Idempotency {
    /// SHA-256 of whoever asked, the operation, and the key they gave.
    pub key_hash: [u8; 32],
    /// SHA-256 of the request's body.
    pub body_hash: [u8; 32],
    /// When it is forgotten.
    pub expires_at: Timestamp,
}
