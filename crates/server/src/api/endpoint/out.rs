//! An endpoint as it goes out.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::endpoint::{Endpoint, SwitchedOff};
use hookseal_domain::operational::DisabledBy;
use hookseal_domain::time::Timestamp;

use crate::api::endpoint::discipline::DisciplineOut;
use crate::api::endpoint::verification::VerificationOut;
use crate::api::wire::{At, text};

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointOut {
    /// Its id.
    #[schema(value_type = text::EndpointId)]
    id: String,
    /// Where to deliver.
    #[schema(value_type = text::Url)]
    url: String,
    /// Your own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::Uid>)]
    uid: Option<String>,
    /// For people.
    description: String,
    /// Whether deliveries are held, by you or for the reason in `disabledReason`.
    #[schema(value_type = bool, required = false, default = false)]
    disabled: bool,
    /// Why they are held: `client`, `gone` (it answered 410) or `failing` (nothing but failure came of
    /// it for the configured time). An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// Since when nothing but failure came of it. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<At>,
    /// The wanted event types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1)]
    event_types: Option<Vec<String>>,
    /// The same under its older name, for older clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1)]
    filter_types: Option<Vec<String>>,
    /// The wanted channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, min_items = 1, max_items = 10)]
    channels: Option<Vec<String>>,
    /// What has to hold of a message. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Most deliveries per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u16>,
    /// Status codes that end a delivery at once. An extension of Hookseal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<u16>, required = false)]
    park_on: Vec<u16>,
    #[serde(flatten)]
    discipline: DisciplineOut,
    /// Always 1: clients of before version 2 don't read an endpoint without it.
    version: u8,
    /// Whether its receiver said that it wants what is sent to it; absent if nobody asked, and it need
    /// not be asked. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<VerificationOut>,
    /// Your notes.
    metadata: BTreeMap<String, String>,
    /// When it was made.
    created_at: At,
    /// When it was last changed.
    updated_at: At,
}

// === impl EndpointOut ===

impl EndpointOut {
    /// As it goes out.
    pub(crate) fn of(endpoint: Endpoint, now: Timestamp) -> Self {
        let disabled = is_disabled(&endpoint);
        let disabled_reason = endpoint.disabled_by().map(DisabledBy::as_str);
        let failing_since = match endpoint.switched_off {
            Some(SwitchedOff::Failing { since, .. }) => Some(since),
            Some(SwitchedOff::Gone { .. }) | None => endpoint.failing_since,
        };
        let verification = VerificationOut::shown(&endpoint, now);
        let spec = endpoint.spec;
        let event_types = texts(spec.subscription.event_types);
        let filter = spec.subscription.filter;
        Self {
            id: endpoint.id.to_string(),
            url: spec.url.as_str().to_owned(),
            uid: spec.uid.map(|uid| uid.to_string()),
            description: spec.description,
            disabled,
            disabled_reason,
            failing_since: failing_since.map(At),
            filter_types: event_types.clone(),
            event_types,
            channels: texts(spec.subscription.channels),
            filter: filter.map(|filter| filter.as_str().to_owned()),
            throttle_rate: spec.throttle_rate,
            park_on: spec.park_on.codes().to_vec(),
            discipline: DisciplineOut::of(&spec.discipline),
            version: 1,
            verification,
            metadata: spec.metadata,
            created_at: At(endpoint.id.created_at()),
            updated_at: At(endpoint.updated_at),
        }
    }
}

/// Whether its deliveries are held, whoever switched it off.
pub(crate) fn is_disabled(endpoint: &Endpoint) -> bool {
    endpoint.spec.disabled || endpoint.switched_off.is_some()
}

/// Each as text.
pub(crate) fn texts<T: ToString>(list: Option<Vec<T>>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(ToString::to_string).collect())
}
