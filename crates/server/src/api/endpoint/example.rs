//! `…/endpoint/{endpoint_id}/send-example`: an example of an event, to see whether it arrives.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_catalogue::sample::{sample, stand_in};
use hookseal_catalogue::schema_set::SchemaSet;
use hookseal_domain::event_type::{EventType, EventTypeName};
use hookseal_domain::id::EndpointId;
use hookseal_domain::message::options::MessageOptions;
use hookseal_engine::publish::{Audience, Publish, PublishHeaders};
use hookseal_store::inspect::Content;
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::{AppRef, MessageRef};

use crate::api::Api;
use crate::api::access::{Authorized, Catalogue, EndpointPath, OwnApplication};
use crate::api::check::Fields;
use crate::api::endpoint::out::is_disabled;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::message::{MessageOut, refused};
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::ok;
use crate::api::wire::{present, text};

/// How long the payload of an example is kept: the contract's 90 days.
const RETENTION: Duration = Duration::from_hours(90 * 24);

/// What to send an example of.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventExampleIn)]
struct ExampleIn {
    /// The event type.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = text::EventTypeName, required)]
    event_type: Option<String>,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(send))
}

/// Sends an example of an event type to an endpoint, and to no other.
///
/// It is a message like any other, made from the newest schema of the event type: signed, retried and
/// listed. The endpoint gets it whatever it subscribes to.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example",
    operation_id = "v1.endpoint.send-example", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = ExampleIn,
    responses((status = 200, description = "The message", body = MessageOut<'_>), ErrorResponses))]
async fn send(
    Authorized(caller): Authorized<(OwnApplication, Catalogue)>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    mut input: Input,
) -> Result<Response, ApiError> {
    let (own, Catalogue(who)) = caller;
    let headers = PublishHeaders::new(input.take_headers());
    let endpoint = own.endpoint(&api, &named).await?;
    let name = input.read::<ExampleIn>()?.check()?;
    if is_disabled(&endpoint) {
        let detail = "the endpoint is disabled";
        return Err(ApiError::new(ErrorCode::EndpointDisabled, detail));
    }
    let event_type = api.event_type(own.principal.org(), &name).await?;
    if !who.is_offered(&event_type.spec.feature_flags) {
        return Err(ApiError::not_found("the event type"));
    }
    let payload = tokio::task::spawn_blocking(move || example(&event_type)).await;
    let payload = payload.map_err(|error| ApiError::internal(&error))?;
    let request = input.idempotency(
        own.principal,
        api.engine.now(),
        format_args!("send-example {}", endpoint.id),
    );
    let publish = own.example(name, endpoint.id, payload, headers, request);
    let published = api.engine.publish(publish).await.map_err(refused)?;
    let message = own.message(&api, &MessageRef::Id(published.id)).await?;
    Ok(ok(&MessageOut::of(message, Content::With)))
}

impl OwnApplication {
    fn example(
        &self,
        event_type: EventTypeName,
        endpoint: EndpointId,
        payload: Map<String, Value>,
        headers: PublishHeaders,
        idempotency: Option<Idempotency>,
    ) -> Publish {
        Publish {
            org: self.principal.org(),
            app: AppRef::Id(self.id()),
            event_type,
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            payload: Bytes::from(Value::Object(payload).to_string()),
            payload_retention: RETENTION,
            headers,
            options: MessageOptions::default(),
            audience: Audience::Example(endpoint),
            idempotency,
            cloud_event: None,
            step_of: None,
        }
    }
}

// === impl ExampleIn ===

impl ExampleIn {
    fn check(self) -> Result<EventTypeName, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let name = fields.required("eventType", self.event_type);
        let name = name.and_then(|name| fields.take("eventType", EventTypeName::parse(&name)));
        violations.finish(name)
    }
}

/// An example for the newest schema; something to look at where there is none.
fn example(event_type: &EventType) -> Map<String, Value> {
    let set = event_type.spec.schemas.as_deref().map(SchemaSet::parse);
    match set.as_ref().and_then(|set| set.as_ref().ok()?.newest()) {
        Some((_, schema)) => sample(schema),
        None => stand_in(event_type.name.as_str()),
    }
}
