//! An endpoint for operational events as it goes out.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::operational::Enabled;

use crate::api::endpoint::texts;
use crate::api::wire::{At, text};

/// An endpoint that is told what happens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationalWebhookEndpointOut {
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
    /// Whether deliveries are held, by you or by Hookseal.
    #[schema(value_type = bool, required = false, default = false)]
    disabled: bool,
    /// The wanted event types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1)]
    event_types: Option<Vec<String>>,
    /// The same under its older name, for older clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1)]
    filter_types: Option<Vec<String>>,
    /// Most deliveries per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u16>,
    /// Your notes.
    metadata: BTreeMap<String, String>,
    /// When it was made.
    created_at: At,
    /// When it was last changed.
    updated_at: At,
}

// === impl OperationalWebhookEndpointOut ===

impl OperationalWebhookEndpointOut {
    /// An endpoint of the organisation's.
    pub(super) fn of(endpoint: Endpoint) -> Self {
        let disabled = endpoint.enabled() == Enabled::No;
        let spec = endpoint.spec;
        let event_types = texts(spec.subscription.event_types);
        Self {
            id: endpoint.id.to_string(),
            url: spec.url.as_str().to_owned(),
            uid: spec.uid.map(|uid| uid.to_string()),
            description: spec.description,
            disabled,
            filter_types: event_types.clone(),
            event_types,
            throttle_rate: spec.throttle_rate,
            metadata: spec.metadata,
            created_at: At(endpoint.id.created_at()),
            updated_at: At(endpoint.updated_at),
        }
    }
}
