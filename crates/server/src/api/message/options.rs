//! What a message says of its deliveries, as it comes in and goes out.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::message::options::{
    EXPIRE_AFTER_SECS_MAX, MessageOptions, check_deliver_at, expires_at,
};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;

use crate::api::check::{Fields, number};
use crate::api::wire::At;

/// All that a body says of it.
pub(crate) struct OptionsIn {
    pub(crate) deliver_at: Option<String>,
    pub(crate) expire_after: Option<i64>,
    pub(crate) priority: Option<String>,
}

/// As it goes out: only what was said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OptionsOut {
    /// When its deliveries begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<At>,
    /// Nothing is sent from then on. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<At>,
    /// How urgent it is: `high` or `bulk`. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    priority: Option<&'static str>,
}

/// The fields that say something.
pub(crate) fn given(options: &MessageOptions) -> impl Iterator<Item = &'static str> {
    [
        ("deliverAt", options.deliver_at.is_some()),
        ("expireAfter", options.expires_at.is_some()),
        ("priority", options.priority != Priority::default()),
    ]
    .into_iter()
    .filter_map(|(field, is_given)| is_given.then_some(field))
}

// === impl OptionsIn ===

impl OptionsIn {
    /// Checks it; broken rules are noted.
    pub(crate) fn check(
        self,
        fields: &mut Fields<'_>,
        now: Timestamp,
        payload_retention: Option<Duration>,
        deliverable: Duration,
    ) -> Option<MessageOptions> {
        // Where that rule is broken, this one can't be looked at.
        let retention = payload_retention.unwrap_or(Duration::MAX);
        let deliver_at = fields.optional("deliverAt", self.deliver_at, |text| {
            let at = Timestamp::parse_rfc3339(&text)
                .map_err(|error| Violation::new("value_error.datetime", error.to_string()))?;
            check_deliver_at(at, now, retention, deliverable)
        });
        let after = fields.optional("expireAfter", self.expire_after, |secs| {
            number(secs, 1, EXPIRE_AFTER_SECS_MAX)
        });
        let priority = fields.optional("priority", self.priority, |name| {
            Priority::parse(&name).ok_or_else(|| {
                Violation::new("value_error.priority", "must be high, normal or bulk")
            })
        });
        let deliver_at = deliver_at?.flatten();
        Some(MessageOptions {
            deliver_at,
            expires_at: after?.map(|secs| expires_at(deliver_at, now, secs)),
            priority: priority?.unwrap_or_default(),
        })
    }
}

// === impl OptionsOut ===

impl OptionsOut {
    /// As it goes out.
    pub(crate) fn of(options: MessageOptions) -> Self {
        let said = options.priority != Priority::default();
        Self {
            deliver_at: options.deliver_at.map(At),
            expires_at: options.expires_at.map(At),
            priority: said.then_some(options.priority.as_str()),
        }
    }
}
