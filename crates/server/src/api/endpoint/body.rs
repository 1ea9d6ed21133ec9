//! An endpoint as it comes in.

mod operational;

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use hookseal_domain::address_policy::AddressPolicy;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::{Endpoint, EndpointSpec};
use hookseal_domain::filter::Filter;
use hookseal_domain::id::EndpointId;
use hookseal_domain::limits::DESCRIPTION_BYTES_MAX;
use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::subscription::Subscription;
use hookseal_domain::uid::Uid;

use crate::api::check::{Fields, Length, number};
use crate::api::endpoint::discipline::{Batch, DisciplineIn, DisciplinePatch, OrderingKey};
use crate::api::endpoint::out::is_disabled;
use crate::api::endpoint::rules::{
    check_channels, check_event_types, check_headers, check_park_on, check_url,
};
use crate::api::error::violations::Violations;
use crate::api::wire::{Patch, present, text};

pub(crate) use crate::api::endpoint::body::operational::{
    OperationalWebhookEndpointIn, OperationalWebhookEndpointUpsertIn, check_told,
};

/// The bounds of a description.
const DESCRIPTION: Length = Length {
    min: 0,
    max: DESCRIPTION_BYTES_MAX,
};

/// An endpoint to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointIn {
    /// Where to deliver.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::Url, required)]
    url: Option<String>,
    /// Your own name of it, unique in the application.
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
    /// The wanted event types, and groups of them: `invoice` is also `invoice.paid`, `invoice.paid.` is
    /// all below it. All if not given.
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1, max_items = 1000)]
    event_types: Option<Vec<String>>,
    /// Older name of `eventTypes`, which wins.
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1, max_items = 1000)]
    filter_types: Option<Vec<String>>,
    /// The wanted channels; messages on all channels and on none if not given.
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, min_items = 1, max_items = 10)]
    channels: Option<Vec<String>>,
    /// An expression of CEL that has to hold of a message. An extension of Hookseal.
    #[schema(max_length = 1024)]
    filter: Option<String>,
    /// Most deliveries per second. Older name: `rateLimit`.
    #[serde(alias = "rateLimit")]
    #[schema(minimum = 1, maximum = 65_535)]
    throttle_rate: Option<i64>,
    /// Status codes (4xx, without 408, 410, 425 and 429) that end a delivery at once instead of
    /// retrying it: the receiver says that the data is wrong. An extension of Hookseal.
    #[schema(value_type = Option<Vec<u16>>, max_items = 100)]
    park_on: Option<Vec<i64>>,
    /// Most attempts at the same time; 0 is the node's own limit. An extension of Hookseal.
    #[schema(minimum = 0, maximum = 65_535)]
    max_in_flight: Option<i64>,
    /// Whether deliveries come one after the other, as they were accepted. An extension of Hookseal.
    #[serde(default)]
    #[schema(default = false)]
    fifo: bool,
    /// With `fifo`: what happens to the others when one is exhausted. `block` (they wait until it is
    /// resent or skipped) or `moveOn`. An extension of Hookseal.
    #[schema(value_type = Option<String>, default = "block")]
    on_exhausted: Option<String>,
    /// With `fifo`: what is ordered among each other, if not all. An extension of Hookseal.
    ordering_key: Option<OrderingKey>,
    /// Several events in one request, as a JSON array. Not together with `fifo`. An extension of
    /// Hookseal.
    batch: Option<Batch>,
    /// `standard`, `cloudevents-structured` or `cloudevents-binary`. An extension of Hookseal.
    #[schema(value_type = Option<String>, default = "standard")]
    delivery_format: Option<String>,
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

/// An endpoint to replace. Headers and signing key stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointUpdate {
    /// Where to deliver.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::Url, required)]
    url: Option<String>,
    /// Your own name of it, unique in the application.
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
    /// The wanted event types, and groups of them: `invoice` is also `invoice.paid`, `invoice.paid.` is
    /// all below it. All if not given.
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1, max_items = 1000)]
    event_types: Option<Vec<String>>,
    /// Older name of `eventTypes`, which wins.
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, min_items = 1, max_items = 1000)]
    filter_types: Option<Vec<String>>,
    /// The wanted channels; messages on all channels and on none if not given.
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, min_items = 1, max_items = 10)]
    channels: Option<Vec<String>>,
    /// An expression of CEL that has to hold of a message. An extension of Hookseal.
    #[schema(max_length = 1024)]
    filter: Option<String>,
    /// Most deliveries per second. Older name: `rateLimit`.
    #[serde(alias = "rateLimit")]
    #[schema(minimum = 1, maximum = 65_535)]
    throttle_rate: Option<i64>,
    /// Status codes that end a delivery at once. An extension of Hookseal.
    #[schema(value_type = Option<Vec<u16>>, max_items = 100)]
    park_on: Option<Vec<i64>>,
    /// Most attempts at the same time; 0 is the node's own limit. An extension of Hookseal.
    #[schema(minimum = 0, maximum = 65_535)]
    max_in_flight: Option<i64>,
    /// Whether deliveries come one after the other, as they were accepted. An extension of Hookseal.
    #[serde(default)]
    #[schema(default = false)]
    fifo: bool,
    /// With `fifo`: what happens to the others when one is exhausted. `block` (they wait until it is
    /// resent or skipped) or `moveOn`. An extension of Hookseal.
    #[schema(value_type = Option<String>, default = "block")]
    on_exhausted: Option<String>,
    /// With `fifo`: what is ordered among each other, if not all. An extension of Hookseal.
    ordering_key: Option<OrderingKey>,
    /// Several events in one request, as a JSON array. Not together with `fifo`. An extension of
    /// Hookseal.
    batch: Option<Batch>,
    /// `standard`, `cloudevents-structured` or `cloudevents-binary`. An extension of Hookseal.
    #[schema(value_type = Option<String>, default = "standard")]
    delivery_format: Option<String>,
    /// Your notes: at most 50.
    #[serde(default)]
    #[schema(default = json!({}))]
    metadata: BTreeMap<String, String>,
}

/// Changes of an endpoint: what is absent stays, `null` clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointPatch {
    /// Where to deliver.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::Url, required = false)]
    url: Option<String>,
    /// Your own name of it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::Uid>)]
    uid: Patch<String>,
    /// For people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 4096)]
    description: Option<String>,
    /// Whether deliveries are held. `false` also enables an endpoint that Hookseal disabled.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    disabled: Option<bool>,
    /// The wanted event types; `null` and an empty list are all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, max_items = 1000)]
    event_types: Patch<Vec<String>>,
    /// Older name of `eventTypes`, which wins.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>, max_items = 1000)]
    filter_types: Patch<Vec<String>>,
    /// The wanted channels; `null` and an empty list are all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, max_items = 10)]
    channels: Patch<Vec<String>>,
    /// An expression of CEL that has to hold of a message; `null` for none. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    filter: Patch<String>,
    /// Most deliveries per second; 0 is no limit. Older name: `rateLimit`.
    #[serde(alias = "rateLimit", default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 65_535)]
    throttle_rate: Patch<i64>,
    /// Status codes that end a delivery at once. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<u16>>, max_items = 100)]
    park_on: Patch<Vec<i64>>,
    /// Most attempts at the same time; 0 is the node's own limit. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 65_535)]
    max_in_flight: Patch<i64>,
    /// Whether deliveries come one after the other. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    fifo: Option<bool>,
    /// With `fifo`: `block` or `moveOn`. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    on_exhausted: Patch<String>,
    /// With `fifo`: what is ordered among each other. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<OrderingKey>)]
    ordering_key: Patch<OrderingKey>,
    /// Several events in one request; `null` is one in each. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Batch>)]
    batch: Patch<Batch>,
    /// In which form it gets its deliveries. An extension of Hookseal.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    delivery_format: Patch<String>,
    /// Your notes, all of them.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    metadata: Option<BTreeMap<String, String>>,
}

/// An endpoint to make, checked.
pub(crate) struct CheckedEndpoint {
    /// What the client says of it.
    pub(crate) spec: EndpointSpec,
    /// Its headers.
    pub(crate) headers: EndpointHeaders,
    /// The signing key that it brings.
    pub(crate) signing_key: Option<SigningKey>,
}

// === impl EndpointIn ===

impl EndpointIn {
    /// Checks the body of a request.
    pub(crate) fn check(self, policy: &AddressPolicy) -> Result<CheckedEndpoint, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let headers = check_headers(&mut fields, self.headers.unwrap_or_default());
        let signing_key = fields.optional("secret", self.secret, |text| SigningKey::parse(&text));
        let spec = EndpointUpdate {
            url: self.url,
            uid: self.uid,
            description: self.description,
            disabled: self.disabled,
            event_types: self.event_types,
            filter_types: self.filter_types,
            channels: self.channels,
            filter: self.filter,
            throttle_rate: self.throttle_rate,
            park_on: self.park_on,
            max_in_flight: self.max_in_flight,
            fifo: self.fifo,
            on_exhausted: self.on_exhausted,
            ordering_key: self.ordering_key,
            batch: self.batch,
            delivery_format: self.delivery_format,
            metadata: self.metadata,
        };
        let spec = spec.check_fields(&mut fields, policy);
        let checked = || {
            Some(CheckedEndpoint {
                spec: spec?,
                headers: headers?,
                signing_key: signing_key?,
            })
        };
        let checked = checked();
        violations.finish(checked)
    }
}

// === impl EndpointUpdate ===

impl EndpointUpdate {
    /// The same, with this uid where it has none.
    pub(crate) fn named(mut self, uid: &str) -> Self {
        self.uid.get_or_insert_with(|| uid.to_owned());
        self
    }

    /// Checks the body of a request.
    pub(crate) fn check(self, policy: &AddressPolicy) -> Result<EndpointSpec, Violations> {
        let mut violations = Violations::default();
        let spec = self.check_fields(&mut Fields::of_body(&mut violations), policy);
        violations.finish(spec)
    }

    fn check_fields(self, fields: &mut Fields<'_>, policy: &AddressPolicy) -> Option<EndpointSpec> {
        let url = fields.required("url", self.url);
        let url = url.and_then(|url| fields.take("url", check_url(&url, policy)));
        let uid = fields.optional("uid", self.uid, |uid| Uid::parse(&uid, EndpointId::PREFIX));
        let description = fields.take("description", DESCRIPTION.checked(self.description));
        let event_types = self.event_types.or(self.filter_types);
        let filter = fields.optional("filter", self.filter, |text| Filter::parse(&text));
        let subscription = Subscription {
            event_types: check_event_types(fields, event_types.as_deref(), 1),
            channels: check_channels(fields, self.channels.as_deref(), 1),
            filter: filter.flatten(),
        };
        let throttle_rate = fields.optional("throttleRate", self.throttle_rate, |rate| {
            number(rate, 1, u16::MAX)
        });
        let park_on = fields.take("parkOn", check_park_on(&self.park_on.unwrap_or_default()));
        let discipline = DisciplineIn {
            max_in_flight: self.max_in_flight,
            fifo: self.fifo,
            on_exhausted: self.on_exhausted,
            ordering_key: self.ordering_key,
            batch: self.batch,
            delivery_format: self.delivery_format,
        };
        let discipline = discipline.check(fields);
        let metadata = fields.metadata(self.metadata);
        Some(EndpointSpec {
            url: url?,
            uid: uid?,
            description: description?,
            disabled: self.disabled,
            subscription,
            throttle_rate: throttle_rate?,
            park_on: park_on?,
            discipline: discipline?,
            metadata: metadata?,
        })
    }
}

// === impl EndpointPatch ===

impl EndpointPatch {
    /// What the endpoint becomes. One that we disabled stays so unless the patch says otherwise.
    pub(crate) fn apply(
        self,
        endpoint: Endpoint,
        policy: &AddressPolicy,
    ) -> Result<EndpointSpec, Violations> {
        let disabled = self.disabled.unwrap_or_else(|| is_disabled(&endpoint));
        let mut spec = EndpointSpec {
            disabled,
            ..endpoint.spec
        };
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        if let Some(url) = self.url
            && let Some(url) = fields.take("url", check_url(&url, policy))
        {
            spec.url = url;
        }
        if let Some(uid) = self.uid {
            let uid = fields.optional("uid", uid, |uid| Uid::parse(&uid, EndpointId::PREFIX));
            spec.uid = uid.flatten();
        }
        if let Some(description) = self.description {
            let description = fields.take("description", DESCRIPTION.checked(description));
            spec.description = description.unwrap_or_default();
        }
        if let Some(types) = self.event_types.or(self.filter_types) {
            spec.subscription.event_types = check_event_types(&mut fields, types.as_deref(), 0);
        }
        if let Some(channels) = self.channels {
            spec.subscription.channels = check_channels(&mut fields, channels.as_deref(), 0);
        }
        if let Some(filter) = self.filter {
            let filter = fields.optional("filter", filter, |text| Filter::parse(&text));
            spec.subscription.filter = filter.flatten();
        }
        if let Some(rate) = self.throttle_rate {
            let rate = fields.optional("throttleRate", rate, |rate| number(rate, 0, u16::MAX));
            spec.throttle_rate = rate.flatten().filter(|rate| *rate > 0);
        }
        if let Some(codes) = self.park_on {
            let codes = fields.take("parkOn", check_park_on(&codes.unwrap_or_default()));
            spec.park_on = codes.unwrap_or_default();
        }
        let discipline = DisciplinePatch {
            max_in_flight: self.max_in_flight,
            fifo: self.fifo,
            on_exhausted: self.on_exhausted,
            ordering_key: self.ordering_key,
            batch: self.batch,
            delivery_format: self.delivery_format,
        };
        spec.discipline = discipline
            .apply(spec.discipline, &mut fields)
            .unwrap_or_default();
        if let Some(metadata) = self.metadata {
            spec.metadata = fields.metadata(metadata).unwrap_or_default();
        }
        violations.finish(Some(spec))
    }
}
