//! An endpoint for operational events as it comes in: an endpoint with less to say.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use hookseal_domain::endpoint::EndpointSpec;
use hookseal_domain::operational::{EVENT_TYPES, is_told};
use hookseal_domain::violation::Violation;

use crate::api::check::Fields;
use crate::api::endpoint::body::{EndpointIn, EndpointUpdate};
use crate::api::error::violations::Violations;
use crate::api::wire::{present, text};

/// An endpoint for operational events to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationalWebhookEndpointIn {
    /// Where to deliver.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::Url, required)]
    url: Option<String>,
    /// Your own name of it, unique among them.
    #[schema(value_type = Option<text::Uid>)]
    uid: Option<String>,
    /// For people.
    #[serde(default)]
    #[schema(default = "", max_length = 4096)]
    description: String,
    /// Whether deliveries are held.
    #[serde(default)]
    #[schema(default = false)]
    disabled: bool,
    /// The wanted event types, or groups of them; all if not given. Older clients say `filterTypes`.
    #[serde(alias = "filterTypes")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1, max_items = 1000)]
    event_types: Option<Vec<String>>,
    /// Most deliveries per second.
    #[schema(minimum = 1, maximum = 65_535)]
    throttle_rate: Option<i64>,
    /// Your notes: at most 50.
    #[serde(default)]
    #[schema(default = json!({}))]
    metadata: BTreeMap<String, String>,
    /// Headers to send with each delivery: at most 50.
    headers: Option<BTreeMap<String, String>>,
    /// Its signing key; made for it if not given.
    #[schema(value_type = Option<text::SigningKey>)]
    secret: Option<String>,
}

/// An endpoint for operational events to replace. Headers and signing key stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationalWebhookEndpointUpsertIn {
    /// Where to deliver.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::Url, required)]
    url: Option<String>,
    /// Your own name of it, unique among them.
    #[schema(value_type = Option<text::Uid>)]
    uid: Option<String>,
    /// For people.
    #[serde(default)]
    #[schema(default = "", max_length = 4096)]
    description: String,
    /// Whether deliveries are held. `false` also enables an endpoint that Hookseal disabled.
    #[serde(default)]
    #[schema(default = false)]
    disabled: bool,
    /// The wanted event types, or groups of them; all if not given. Older clients say `filterTypes`.
    #[serde(alias = "filterTypes")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1, max_items = 1000)]
    event_types: Option<Vec<String>>,
    /// Most deliveries per second.
    #[schema(minimum = 1, maximum = 65_535)]
    throttle_rate: Option<i64>,
    /// Your notes: at most 50.
    #[serde(default)]
    #[schema(default = json!({}))]
    metadata: BTreeMap<String, String>,
}

/// Refuses a subscription to what is never told: somebody would wait for it for ever.
pub(crate) fn check_told(spec: &EndpointSpec) -> Result<(), Violations> {
    let mut violations = Violations::default();
    let mut fields = Fields::of_body(&mut violations);
    let event_types = spec.subscription.event_types.iter().flatten();
    for (index, _) in event_types.enumerate().filter(|(_, name)| !is_told(name)) {
        let message = format!("must be one of {}", EVENT_TYPES.join(", "));
        let violation = Violation::new("value_error.choice", message);
        fields.add_at(&["eventTypes", &index.to_string()], &violation);
    }
    violations.finish(Some(()))
}

impl From<OperationalWebhookEndpointIn> for EndpointIn {
    fn from(body: OperationalWebhookEndpointIn) -> Self {
        Self {
            url: body.url,
            uid: body.uid,
            description: body.description,
            disabled: body.disabled,
            event_types: body.event_types,
            throttle_rate: body.throttle_rate,
            metadata: body.metadata,
            headers: body.headers,
            secret: body.secret,
            ..Self::default()
        }
    }
}

impl From<OperationalWebhookEndpointUpsertIn> for EndpointUpdate {
    fn from(body: OperationalWebhookEndpointUpsertIn) -> Self {
        Self {
            url: body.url,
            uid: body.uid,
            description: body.description,
            disabled: body.disabled,
            event_types: body.event_types,
            throttle_rate: body.throttle_rate,
            metadata: body.metadata,
            ..Self::default()
        }
    }
}
