//! The OpenAPI document: made from the handlers, committed, and served.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::api::error::violations::FieldViolation;
use crate::api::error::{ErrorBody, ValidationBody};
use crate::api::wire::numbers::StatusCodeClass;
use crate::api::wire::text;
use crate::api::{
    Api, absent, application, authentication, background_task, docs, endpoint, environment,
    event_type, health, management, message, message_attempt, operational_webhook, statistics,
    transport, verification,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hookseal",
        description = "Webhooks delivered sealed: signed, to verified servers, never lost. \
            Compatible with the Svix API.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Application", description = "Consumers of the events."),
        (name = "Endpoint", description = "URLs that receive."),
        (name = "Event Type", description = "The catalogue of what happens."),
        (name = "Message", description = "What happened."),
        (name = "Message Attempt", description = "What became of it."),
        (name = "Background Task", description = "Work that goes on after its request was answered."),
        (name = "Environment", description = "All event types as one document."),
        (name = "Statistics", description = "How much there is and became of it."),
        (name = "Authentication", description = "Tokens of applications."),
        (name = "Management", description = "Tokens of the organisation."),
        (name = "Operational Webhook", description = "Whom you have told what happens to endpoints \
            and deliveries."),
        (name = "Transport", description = "What is demanded of connections, and what we prove \
            ourselves with."),
        (name = "Health", description = "Whether the server can work."),
    ),
    components(schemas(ErrorBody, ValidationBody, FieldViolation, StatusCodeClass, text::Sha256)),
    security(("bearer" = [])),
    modifiers(&BearerToken),
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".to_owned());
        scheme.description = Some(
            "A JSON Web Token, or an API token. Organisation: `sub` is `org_…`. Application: \
             `org` is `org_…`, `sub` is `app_…`."
                .to_owned(),
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document as it is committed and served, ending with a line feed.
pub fn openapi_json() -> String {
    to_text(&operations().into_openapi())
}

/// All operations of the document.
pub(crate) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(application::routes())
        .merge(endpoint::routes())
        .merge(event_type::routes())
        .merge(message::routes())
        .merge(message_attempt::routes())
        .merge(background_task::routes())
        .merge(operational_webhook::routes())
        .merge(transport::routes())
        .merge(verification::routes())
        .merge(authentication::routes())
        .merge(management::routes())
        .merge(statistics::routes())
        .merge(environment::routes())
        .merge(absent::routes())
        .merge(health::routes())
}

/// All routes: the operations, their document, and the page that shows it.
pub(crate) fn routes() -> axum::Router<Api> {
    let (routes, document) = operations().split_for_parts();
    let text = Bytes::from(to_text(&document));
    let serve = move || std::future::ready(json(text.clone()));
    let page = Arc::new(docs::Page::of(&document));
    let show = move || std::future::ready(page.response());
    routes
        .route("/api/v1/openapi.json", get(serve))
        .route("/docs", get(show))
        .route("/", get(docs::redirect))
}

fn to_text(document: &utoipa::openapi::OpenApi) -> String {
    // Strings and numbers only: nothing in it can fail to be written.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn json(text: Bytes) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}
