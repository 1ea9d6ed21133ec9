//! What is asked of the history.

use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::message::Message;
use hookseal_domain::time::Timestamp;

/// Which messages. Absent means all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MessageFilter {
    /// On this channel.
    pub channel: Option<Channel>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of one of these types.
    pub event_types: Option<Vec<EventTypeName>>,
    /// Published before.
    pub before: Option<Timestamp>,
    /// Published after.
    pub after: Option<Timestamp>,
    /// Whether payloads are wanted in the answer.
    pub content: Content,
}

/// Whether the sealed part is opened for the answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Content {
    /// With payload or response body.
    #[default]
    With,
    /// Without: cheaper.
    Without,
}

/// Whose attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttemptScope {
    /// Of an endpoint.
    Endpoint(EndpointId),
    /// Of a message.
    Message(MessageId),
}

/// Which attempts. Absent means all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AttemptFilter {
    /// That succeeded, or that failed.
    pub success: Option<bool>,
    /// With a status code from this hundred: 100 … 500; 0 for no response.
    pub status_code_class: Option<u16>,
    /// To this endpoint (for the attempts of a message).
    pub endpoint: Option<EndpointId>,
    /// Of messages like this; `before` and `after` are the attempt's own.
    pub message: MessageFilter,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryStatus {
    /// Unfinished.
    Pending(Pending),
    /// Finished.
    Ended(Ended),
}

/// Deliveries with this status, in the API's terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageStatusFilter {
    /// Delivered.
    Success,
    /// Waiting, in the backlog or held.
    Pending,
    /// Ended otherwise than delivered or cancelled, or exhausted and blocking its order.
    Fail,
    /// Being tried.
    Sending,
    /// Cancelled or skipped.
    Cancelled,
}

/// A message as one endpoint has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveredMessage {
    /// The message.
    pub message: Message,
    /// How its delivery to the endpoint stands.
    pub status: DeliveryStatus,
}

/// What stands first in an order: everything of the same key waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OrderHead {
    /// Whose delivery.
    pub message: MessageId,
    /// Where it stands.
    pub state: Pending,
    /// How often it was tried.
    pub attempts: u32,
    /// How many wait behind it, counted up to 1,001.
    pub behind: usize,
}

/// An endpoint as one message has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Destined {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// How the delivery of the message to it stands.
    pub status: DeliveryStatus,
}
