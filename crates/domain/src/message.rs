//! A message: one published event. Immutable.

pub mod options;

use bytes::Bytes;

use crate::channel::Channel;
use crate::event_type::EventTypeName;
use crate::id::MessageId;
use crate::message::options::MessageOptions;
use crate::time::Timestamp;
use crate::uid::Uid;

/// A stored message. Made when its id says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Its id; also its `webhook-id` header, the same in each attempt.
    pub id: MessageId,
    /// The client's own name of it, unique in the application.
    pub event_id: Option<Uid>,
    /// What happened.
    pub event_type: EventTypeName,
    /// Which channels it goes to; empty for none in particular.
    pub channels: Vec<Channel>,
    /// The client's labels, not used for delivery.
    pub tags: Vec<String>,
    /// The exact bytes that are delivered; `None` once expunged or expired.
    pub payload: Option<Bytes>,
    /// When the payload is forgotten.
    pub payload_expires_at: Timestamp,
    /// What it says of its deliveries.
    pub options: MessageOptions,
}
