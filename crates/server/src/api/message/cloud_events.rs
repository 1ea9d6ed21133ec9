//! `/api/v1/app/{app_id}/cloudevents`: publishing CloudEvents 1.0, in structured or binary mode.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::cloud_event::{Attribute, CloudEvent, SPEC_VERSION, decoded};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::violation::Violation;
use hookseal_engine::publish::PublishHeaders;
use hookseal_store::inspect::Content;

use crate::api::Api;
use crate::api::access::{AppPath, Authorized, Organisation};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::{Input, too_large};
use crate::api::message::body::{CheckedMessage, MessageOut};
use crate::api::message::payload::check_payload;
use crate::api::message::refused_at;
use crate::api::params::{ApplicationPath, ContentParams, IdempotencyHeader};
use crate::api::query::Query;
use crate::api::respond::json;
use crate::api::wire::text;

/// The media type of an event in structured mode.
const STRUCTURED: &str = "application/cloudevents+json";
/// How the media types of all other formats begin, and that of batches.
const FORMATS: &str = "application/cloudevents";
/// How the names of headers begin that are attributes.
const PREFIX: &str = "ce-";

/// A CloudEvent in structured mode. In binary mode the body is `data`, and each attribute a header
/// `ce-…`. All other members are extension attributes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct CloudEventIn {
    /// `1.0`.
    specversion: String,
    /// Unique for the source. An event with the same source and id is accepted once.
    #[schema(min_length = 1)]
    id: String,
    /// Where it happened: a URI or a reference to one.
    #[schema(min_length = 1)]
    source: String,
    /// What happened: the event type.
    #[schema(value_type = text::EventTypeName)]
    r#type: String,
    /// What it is about.
    subject: Option<String>,
    /// When it happened: RFC 3339.
    time: Option<String>,
    /// `application/json`, or another type of JSON.
    datacontenttype: Option<String>,
    /// The schema that `data` adheres to: a URI.
    dataschema: Option<String>,
    /// The payload.
    #[schema(value_type = Object)]
    data: Option<String>,
}

/// What a request says, whichever mode it has.
struct Given<'a> {
    at: &'static str,
    attributes: BTreeMap<String, Attribute>,
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Members<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Publishes a CloudEvent 1.0, in structured mode (`application/cloudevents+json`) or in binary mode
/// (headers `ce-…`).
///
/// `type` is the event type, `data` the payload; the other attributes are kept, and delivered to
/// endpoints whose `deliveryFormat` asks for CloudEvents. The same source and id again is the same
/// event: within 12 hours it is answered as it was, later with 409.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/cloudevents", operation_id = "v1.message.create-cloud-event", tag = "Message",
    params(ApplicationPath, ContentParams, IdempotencyHeader),
    request_body(content = CloudEventIn, content_type = "application/cloudevents+json"),
    responses((status = 202, description = "Accepted", body = MessageOut<'_>), ErrorResponses))]
async fn create(
    Authorized(Organisation(org)): Authorized<Organisation>,
    AppPath(app): AppPath,
    State(api): State<Api>,
    Query(content): Query<Content>,
    mut input: Input,
) -> Result<Response, ApiError> {
    let headers = input.take_headers();
    let bytes = input.bytes().clone();
    let given = Given::read(&headers, &bytes)?;
    let data_at = given.data_at();
    let message = given.check(&bytes)?;
    let most = api.config.payload_bytes_max;
    if message.payload_bytes() > most {
        return Err(too_large("the payload", most));
    }
    input.named(&message.event_name());
    let idempotency = match api.engine.routing(org, &app).await? {
        Some(routing) => input.idempotency(
            Principal::Organisation(org),
            api.engine.now(),
            format_args!("msg {}", routing.application.id),
        ),
        None => return Err(ApiError::not_found("the application")),
    };
    let publish = message.publish(org, app, PublishHeaders::new(headers), idempotency);
    let published = api
        .engine
        .publish(publish)
        .await
        .map_err(|error| refused_at(data_at, error))?;
    let out = message.accepted(published.id, content);
    Ok(json(StatusCode::ACCEPTED, &out))
}

// === impl Given ===

impl<'a> Given<'a> {
    fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, Violations> {
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(STRUCTURED) {
            return Self::structured(body);
        }
        let essence = essence.to_ascii_lowercase();
        if essence.starts_with(FORMATS) {
            let violation = Violation::new(
                "value_error.not_supported",
                "must be application/cloudevents+json, or with headers ce-… a type of JSON: other \
                 formats and batches are not supported",
            );
            return Err(Violations::one(&["header", "content-type"], &violation));
        }
        Self::binary(headers, content_type, body)
    }

    /// JSON Event Format for CloudEvents 1.0.
    fn structured(body: &'a [u8]) -> Result<Self, Violations> {
        let members: Members<'a> = serde_json::from_slice(body).map_err(|error| {
            let violation = Violation::new("value_error.jsondecode", error.to_string());
            Violations::one(&["body"], &violation)
        })?;
        let mut given = Self {
            at: "body",
            attributes: BTreeMap::new(),
            data: None,
        };
        for (name, raw) in members.0 {
            if name == "data" {
                given.data = Some(raw);
                continue;
            }
            // What is null is not there (JSON Event Format §2.2).
            let value: Option<Attribute> = serde_json::from_str(raw.get()).map_err(|_| {
                let rule = "must be a string, a boolean or a 32-bit integer";
                Violations::one(&["body", &name], &Violation::new("type_error", rule))
            })?;
            if let Some(value) = value {
                given.attributes.insert(name.into_owned(), value);
            }
        }
        Ok(given)
    }

    /// HTTP Protocol Binding for CloudEvents 1.0 §3.1.
    fn binary(headers: &HeaderMap, content_type: &str, body: &'a [u8]) -> Result<Self, Violations> {
        let mut attributes = BTreeMap::new();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(PREFIX) else {
                continue;
            };
            let text = value.to_str().ok().and_then(decoded).ok_or_else(|| {
                let violation = Violation::new("value_error.pattern", "must be text");
                Violations::one(&["header", &format!("{PREFIX}{name}")], &violation)
            })?;
            attributes.insert(name.to_owned(), Attribute::Text(text));
        }
        if !content_type.is_empty() {
            let content_type = Attribute::Text(content_type.to_owned());
            attributes.insert("datacontenttype".to_owned(), content_type);
        }
        let data = serde_json::from_slice(body).map_err(|error| {
            let violation = Violation::new("value_error.jsondecode", error.to_string());
            Violations::one(&["body"], &violation)
        })?;
        Ok(Self {
            at: "header",
            attributes,
            data: Some(data),
        })
    }

    /// Where the data stands in the request.
    fn data_at(&self) -> &'static [&'static str] {
        match self.at {
            "body" => &["body", "data"],
            _ => &["body"],
        }
    }

    /// The message; the first broken rule is told with its attribute.
    fn check(mut self, body: &bytes::Bytes) -> Result<CheckedMessage<'a>, Violations> {
        let (at, data_at) = (self.at, self.data_at());
        let located = |name: &str, violation: &Violation| match (at, name) {
            (_, "data") => Violations::one(data_at, violation),
            (_, "") => Violations::one(&[at], violation),
            ("header", "datacontenttype") => {
                Violations::one(&["header", "content-type"], violation)
            }
            ("header", name) => Violations::one(&["header", &format!("{PREFIX}{name}")], violation),
            (_, name) => Violations::one(&[at, name], violation),
        };
        let mut required = |name: &str| match self.attributes.remove(name) {
            Some(Attribute::Text(text)) => Ok(Some(text)),
            None => Ok(None),
            Some(_) => Err(located(
                name,
                &Violation::new("type_error", "must be a string"),
            )),
        };
        let missing = Violation::new("value_error.missing", "must be given");
        let version = required("specversion")?.ok_or_else(|| located("specversion", &missing))?;
        if version != SPEC_VERSION {
            let violation = Violation::new("value_error.not_supported", "must be 1.0");
            return Err(located("specversion", &violation));
        }
        let (id, source) = (required("id")?, required("source")?);
        let kind = required("type")?.ok_or_else(|| located("type", &missing))?;
        let event_type =
            EventTypeName::parse(&kind).map_err(|violation| located("type", &violation))?;
        if self.attributes.contains_key("data_base64") {
            let rule = "is not supported: payloads are JSON objects";
            let violation = Violation::new("value_error.not_supported", rule);
            return Err(located("data_base64", &violation));
        }
        let event = CloudEvent::checked(id, source, self.attributes)
            .map_err(|(name, violation)| located(&name, &violation))?;
        let data = self.data.ok_or_else(|| located("data", &missing))?;
        let data = check_payload(data).map_err(|violation| located("data", &violation))?;
        Ok(CheckedMessage::of_event(event_type, event, data, body))
    }
}
