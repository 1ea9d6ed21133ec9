//! A delivery in memory.

use bytes::Bytes;

use hookseal_domain::delivery::batch::body::Event;
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{DeliveryKey, Trigger};
use hookseal_domain::endpoint::order::Rank;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::time::Timestamp;
use hookseal_store::work::Claimed;

/// What a delivery in memory costs besides its payload, in bytes: job, keys and allocator.
pub(crate) const DELIVERY_BYTES: usize = 256;

/// A delivery in memory.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Which delivery.
    pub(crate) key: DeliveryKey,
    /// Why it exists.
    pub(crate) trigger: Trigger,
    /// Which claim of the delivery this is: an older one changes nothing any more.
    pub(crate) claim: i64,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// The index of the schedule's step that comes next.
    pub(crate) step: u32,
    /// Its place in an order; `None` if it has none.
    pub(crate) rank: Option<Rank>,
    /// How urgent it is.
    pub(crate) class: Priority,
    /// Nothing is sent from then on; `None` if that never happens.
    pub(crate) expires_at: Option<Timestamp>,
    /// Since when it could have been sent.
    pub(crate) ready_at: Timestamp,
    /// What happened; `None` if that is not known any more.
    pub(crate) event_type: Option<EventTypeName>,
    /// The bytes to deliver; `None` if they are gone.
    pub(crate) payload: Option<Bytes>,
}

// === impl Job ===

impl Job {
    /// The first try of a new delivery.
    pub(crate) fn first(
        key: DeliveryKey,
        options: MessageOptions,
        event_type: EventTypeName,
        payload: Bytes,
    ) -> Self {
        Self {
            key,
            trigger: Trigger::Publish,
            claim: 0,
            attempts: 0,
            step: 0,
            rank: None,
            class: options.priority,
            expires_at: options.expires_at,
            ready_at: key.message.created_at(),
            event_type: Some(event_type),
            payload: Some(payload),
        }
    }

    /// A delivery that was taken from the store now.
    pub(crate) fn claimed(claimed: Claimed, now: Timestamp) -> Self {
        let Claimed {
            key,
            trigger,
            claim,
            attempts,
            step,
            rank,
            class,
            expires_at,
            event_type,
            payload,
            app: _,
        } = claimed;
        Self {
            key,
            trigger,
            claim,
            attempts,
            step,
            rank,
            class,
            expires_at,
            ready_at: now,
            event_type,
            payload,
        }
    }

    /// Whether nothing may be sent any more.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Bytes of its payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Bytes::len)
    }

    /// Bytes that it takes in a batch.
    pub(crate) fn event_bytes(&self) -> usize {
        let event_type = self.event_type.as_ref().map_or("", EventTypeName::as_str);
        Event::bytes_max(event_type.len(), self.payload_bytes())
    }

    /// Bytes that it costs.
    pub(crate) fn cost(&self) -> usize {
        self.payload_bytes() + DELIVERY_BYTES
    }
}

#[cfg(test)]
impl Job {
    /// The first try of a delivery of nothing in particular.
    pub(crate) fn plain(key: DeliveryKey) -> Self {
        let event_type = EventTypeName::from_stored("a".to_owned());
        Self::first(key, MessageOptions::default(), event_type, Bytes::new())
    }
}
