//! A message as it comes in and goes out.
//!
//! **Invariant:** a payload's bytes are never written anew, only copied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use hookseal_domain::application::ApplicationSpec;
use hookseal_domain::channel::Channel;
use hookseal_domain::cloud_event::CloudEvent;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{MessageId, OrgId};
use hookseal_domain::limits::CHANNELS_PER_MESSAGE_MAX;
use hookseal_domain::message::Message;
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::task::Broadcast;
use hookseal_domain::time::Timestamp;
use hookseal_domain::uid::Uid;
use hookseal_domain::violation::Violation;
use hookseal_engine::publish::{Audience, Publish, PublishHeaders};
use hookseal_store::inspect::Content;
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::AppRef;

use crate::api::application::ApplicationIn;
use crate::api::check::{Fields, Items, Length, number};
use crate::api::error::ApiError;
use crate::api::error::violations::Violations;
use crate::api::input::too_large;
use crate::api::message::options::{self, OptionsIn, OptionsOut};
use crate::api::message::payload::check_payload;
use crate::api::message::shown::Payload;
use crate::api::wire::{At, present, text};

/// Days that a payload is kept where nothing else is asked for: the contract's 90.
const RETENTION_DAYS: i64 = 90;
/// Most hours that a payload is kept: the contract's 90 days.
const RETENTION_HOURS_MAX: i64 = RETENTION_DAYS * 24;
/// The bounds of a tag: the contract's.
const TAG: Length = Length { min: 1, max: 128 };
/// The tags of one message: the contract's.
const TAGS: Items = Items { min: 0, max: 5 };
/// Payloads up to this size, in bytes, are copied out of the request's buffer; so are larger ones
/// that fill less than half of it, since the whole buffer would be held as long as they are.
const COPIED_BYTES_MAX: usize = 64 * 1024;

/// A message to publish.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageIn)]
pub(crate) struct MessageIn<'a> {
    /// What happened.
    #[serde(borrow, default, deserialize_with = "borrowed")]
    #[schema(value_type = text::EventTypeName, required)]
    event_type: Option<Cow<'a, str>>,
    /// What is delivered: these bytes exactly, of at most 100 levels. Other name: `data`.
    #[serde(borrow, alias = "data", default, deserialize_with = "present")]
    #[schema(value_type = Object, required)]
    payload: Option<&'a RawValue>,
    /// Your own name of it, unique in the application.
    #[schema(value_type = Option<text::Uid>)]
    event_id: Option<String>,
    /// Which channels it goes to.
    #[schema(value_type = Option<std::collections::HashSet<text::Channel>>, min_items = 1, max_items = 10)]
    channels: Option<Vec<String>>,
    /// Your labels.
    #[schema(value_type = Option<std::collections::HashSet<text::Tag>>, max_items = 5)]
    tags: Option<Vec<String>>,
    /// Days that the payload is kept.
    #[schema(minimum = 1, maximum = 90, default = 90)]
    payload_retention_period: Option<i64>,
    /// Hours that the payload is kept; counts before the days.
    #[schema(minimum = 1, maximum = 2160)]
    payload_retention_hours: Option<i64>,
    /// Makes the application in the path if it does not exist.
    #[schema(value_type = Option<ApplicationIn>)]
    application: Option<ApplicationIn>,
    /// When its deliveries begin: at most 30 days ahead, and before the payload's retention ends. A
    /// time in the past means at once.
    #[schema(value_type = Option<At>)]
    deliver_at: Option<String>,
    /// Seconds after which it is not worth delivering any more, from its publishing or, if that is
    /// given, from `deliverAt`. What is undelivered then becomes a dead letter. An extension of
    /// Hookseal.
    #[schema(minimum = 1, maximum = 2_592_000)]
    expire_after: Option<i64>,
    /// How urgent it is: `high`, `normal` or `bulk`. An extension of Hookseal.
    #[schema(value_type = Option<String>, default = "normal")]
    priority: Option<String>,
    #[serde(borrow)]
    #[schema(ignore)]
    transformations_params: Option<BTreeMap<Cow<'a, str>, IgnoredAny>>,
}

/// A message to publish, checked.
pub(crate) struct CheckedMessage<'a> {
    event_type: EventTypeName,
    given: &'a RawValue,
    payload: Bytes,
    event_id: Option<Uid>,
    channels: Vec<Channel>,
    tags: Vec<String>,
    cloud_event: Option<CloudEvent>,
    payload_retention: Duration,
    options: MessageOptions,
    /// The application to make if there is none.
    pub(crate) application: Option<ApplicationSpec>,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageOut)]
pub(crate) struct MessageOut<'a> {
    /// Its id.
    #[schema(value_type = text::MessageId)]
    id: String,
    /// Your own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::Uid>)]
    event_id: Option<String>,
    /// What happened.
    #[schema(value_type = text::EventTypeName)]
    event_type: String,
    /// Which channels it goes to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = std::collections::HashSet<text::Channel>, required = false)]
    channels: Vec<String>,
    /// Your labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = std::collections::HashSet<text::Tag>, required = false)]
    tags: Vec<String>,
    /// What is delivered; `{}` where it was not asked for, `{"expired": true}` once it is forgotten.
    #[schema(value_type = Object)]
    payload: Payload<'a>,
    /// When it was published.
    timestamp: At,
    #[serde(flatten)]
    options: OptionsOut,
}

// === impl MessageIn ===

impl<'a> MessageIn<'a> {
    /// Checks the body of a request; `bytes` is the body that this was read from.
    pub(crate) fn check(
        self,
        bytes: &Bytes,
        payload_bytes_max: usize,
        now: Timestamp,
        deliverable: Duration,
    ) -> Result<CheckedMessage<'a>, ApiError> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        self.check_unsupported(&mut fields);
        let event_type = fields.required("eventType", self.event_type.as_deref());
        let event_type =
            event_type.and_then(|text| fields.take("eventType", EventTypeName::parse(text)));
        let payload = fields.required("payload", self.payload);
        let payload = payload.and_then(|given| fields.take("payload", check_payload(given)));
        let event_id = fields.optional("eventId", self.event_id.as_deref(), |text| {
            Uid::parse(text, MessageId::PREFIX)
        });
        let channels = check_channels(&mut fields, self.channels.as_deref());
        let tags = self.tags.as_deref().unwrap_or_default();
        let tags = fields.list("tags", tags, TAGS, check_tag);
        let retention = self.check_retention(&mut fields);
        let options = OptionsIn {
            deliver_at: self.deliver_at,
            expire_after: self.expire_after,
            priority: self.priority,
        };
        let options = options.check(&mut fields, now, retention, deliverable);
        let at = &["body", "application"];
        let application = match self.application {
            Some(given) => given.check(Fields::at(&mut violations, at)).map(Some),
            None => Some(None),
        };
        let checked = || {
            Some(CheckedMessage {
                event_type: event_type?,
                given: payload?,
                payload: detached(bytes, payload?),
                event_id: event_id?,
                channels: channels?,
                tags: tags?,
                cloud_event: None,
                payload_retention: retention?,
                options: options?,
                application: application?,
            })
        };
        let checked = checked();
        let checked = violations.finish(checked)?;
        if checked.payload.len() > payload_bytes_max {
            return Err(too_large("the payload", payload_bytes_max));
        }
        Ok(checked)
    }

    /// What we can't do is refused where leaving it undone would be noticed too late.
    fn check_unsupported(&self, fields: &mut Fields<'_>) {
        let not_supported = |what| Violation::new("value_error.not_supported", what);
        for name in ["rawPayload", "headers"] {
            let given = self.transformations_params.as_ref();
            if given.is_some_and(|params| params.contains_key(name)) {
                let text = "is not supported by this server; payloads are JSON objects";
                fields.add_at(&["transformationsParams", name], &not_supported(text));
            }
        }
    }

    fn check_retention(&self, fields: &mut Fields<'_>) -> Option<Duration> {
        let days = self.payload_retention_period;
        let days = fields.optional("payloadRetentionPeriod", days, |days| {
            number(days, 1, RETENTION_DAYS)
        });
        let hours = self.payload_retention_hours;
        let hours = fields.optional("payloadRetentionHours", hours, |hours| {
            number(hours, 1, RETENTION_HOURS_MAX)
        });
        let days = days?.unwrap_or(RETENTION_DAYS);
        let hours = u64::try_from(hours?.unwrap_or(days * 24)).ok()?;
        Some(Duration::from_secs(hours.checked_mul(3600)?))
    }
}

// === impl CheckedMessage ===

impl<'a> CheckedMessage<'a> {
    /// One that was published as a CloudEvent; `bytes` is the body that `data` stands in.
    pub(crate) fn of_event(
        event_type: EventTypeName,
        cloud_event: CloudEvent,
        data: &'a RawValue,
        bytes: &Bytes,
    ) -> Self {
        let unique_name = cloud_event.unique_name();
        Self {
            event_type,
            given: data,
            payload: detached(bytes, data),
            event_id: Some(Uid::from_stored(unique_name)),
            channels: Vec::new(),
            tags: Vec::new(),
            cloud_event: Some(cloud_event),
            payload_retention: Duration::from_hours(RETENTION_HOURS_MAX.unsigned_abs()),
            options: MessageOptions::default(),
            application: None,
        }
    }

    /// What it is called by its eventId.
    pub(crate) fn event_name(&self) -> String {
        self.event_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// How many bytes are delivered.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// What the engine is asked for.
    pub(crate) fn publish(
        &self,
        org: OrgId,
        app: AppRef,
        headers: PublishHeaders,
        idempotency: Option<Idempotency>,
    ) -> Publish {
        Publish {
            org,
            app,
            event_type: self.event_type.clone(),
            event_id: self.event_id.clone(),
            channels: self.channels.clone(),
            tags: self.tags.clone(),
            payload: self.payload.clone(),
            cloud_event: self.cloud_event.clone(),
            payload_retention: self.payload_retention,
            headers,
            options: self.options,
            audience: Audience::Subscribers,
            idempotency,
            step_of: None,
        }
    }

    /// Whether a test can be made with it, which is now or not at all.
    pub(super) fn check_trial(&self) -> Result<(), Violations> {
        self.refuse_beyond(None, "is not for a test, which is now or not at all")
    }

    /// The same for every application.
    pub(super) fn broadcast(self) -> Result<Broadcast, Violations> {
        let tags = (!self.tags.is_empty()).then_some("tags");
        self.refuse_beyond(tags, "is not for a broadcast")?;
        let hours = self.payload_retention.as_secs() / 3600;
        Ok(Broadcast {
            event_type: self.event_type,
            event_id: self.event_id,
            channels: self.channels,
            retention_hours: u32::try_from(hours).unwrap_or(u32::MAX),
            payload: Some(self.payload),
        })
    }

    /// Refuses what only a message to one application has.
    fn refuse_beyond(
        &self,
        other: Option<&'static str>,
        text: &'static str,
    ) -> Result<(), Violations> {
        let violation = Violation::new("value_error.not_supported", text);
        let application = self.application.is_some().then_some("application");
        let given = other.into_iter().chain(application);
        let mut violations = Violations::default();
        for field in given.chain(options::given(&self.options)) {
            violations.add(&["body", field], &violation);
        }
        violations.finish(Some(()))
    }

    /// The answer, once it is durable.
    pub(crate) fn accepted(self, id: MessageId, content: Content) -> MessageOut<'a> {
        MessageOut {
            id: id.to_string(),
            event_id: self.event_id.map(|uid| uid.to_string()),
            event_type: self.event_type.to_string(),
            channels: self.channels.iter().map(ToString::to_string).collect(),
            tags: self.tags,
            payload: match content {
                Content::With => Payload::Given(self.given),
                Content::Without => Payload::Omitted,
            },
            timestamp: At(id.created_at()),
            options: OptionsOut::of(self.options),
        }
    }
}

// === impl MessageOut ===

impl MessageOut<'_> {
    /// As it goes out.
    pub(crate) fn of(message: Message, content: Content) -> Self {
        Self {
            id: message.id.to_string(),
            event_id: message.event_id.map(|uid| uid.to_string()),
            event_type: message.event_type.to_string(),
            channels: message.channels.iter().map(ToString::to_string).collect(),
            tags: message.tags,
            payload: Payload::of(message.payload, content),
            timestamp: At(message.id.created_at()),
            options: OptionsOut::of(message.options),
        }
    }
}

/// Reads a text that is given, without copying it where that can be.
fn borrowed<'de: 'a, 'a, D>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    #[derive(Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
    Borrowed::deserialize(deserializer).map(|text| Some(text.0))
}

/// The payload's bytes, on their own if they are few or little of the body.
fn detached(body: &Bytes, payload: &RawValue) -> Bytes {
    let bytes = payload.get().as_bytes();
    if bytes.len() <= COPIED_BYTES_MAX || bytes.len() < body.len() / 2 {
        return Bytes::copy_from_slice(bytes);
    }
    body.slice_ref(bytes)
}

pub(super) fn check_channels(
    fields: &mut Fields<'_>,
    given: Option<&[String]>,
) -> Option<Vec<Channel>> {
    let items = Items {
        min: 1,
        max: CHANNELS_PER_MESSAGE_MAX,
    };
    match given {
        Some(given) => fields.list("channels", given, items, Channel::parse),
        None => Some(Vec::new()),
    }
}

fn check_tag(text: &str) -> Result<String, Violation> {
    TAG.check(text)?;
    let fit = |c: char| c.is_ascii_alphanumeric() || r"-_./\#".contains(c);
    if text.chars().all(fit) {
        return Ok(text.to_owned());
    }
    Err(Violation::new(
        "value_error.pattern",
        r"may only contain letters, digits and the characters - _ . / \ #",
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &Bytes) -> Option<Result<Bytes, ApiError>> {
        let read: MessageIn<'_> = serde_json::from_slice(body).ok()?;
        Some(
            read.check(body, 1 << 20, Timestamp::from_millis(0), Duration::MAX)
                .map(|checked| checked.payload),
        )
    }

    fn json_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<f64>().prop_filter_map("finite", |n| serde_json::to_string(&n).ok()),
            any::<String>().prop_filter_map("text", |t| serde_json::to_string(&t).ok()),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let items = prop::collection::vec(inner, 0..4);
            (items, r"[ \t\r\n]{0,3}").prop_map(|(items, space)| {
                let pairs = items
                    .iter()
                    .map(|item| format!("{space}\"k\"{space}:{space}{item}{space}"));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            })
        })
    }

    proptest! {
        #[test]
        fn any_object_is_kept_as_it_is(payload in json_text()) {
            let body = Bytes::from(format!(r#"{{"payload": {payload}, "eventType": "t"}}"#));
            match read(&body) {
                Some(Ok(kept)) => prop_assert_eq!(kept, payload.as_bytes()),
                _ => prop_assert_ne!(payload.chars().next(), Some('{')),
            }
        }

        #[test]
        fn any_bytes_are_an_answer(start in r#"\{("eventType"|"payload"|"tags"|"channels")?:?"#, rest in any::<Vec<u8>>()) {
            let body = [start.into_bytes(), rest].concat();
            _ = read(&Bytes::from(body));
        }
    }
}
