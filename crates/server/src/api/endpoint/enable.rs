//! `…/endpoint/{endpoint_id}/enable`: an endpoint that was disabled gets its deliveries again, and what
//! failed meanwhile.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::task::Span;
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::error::ChangeError;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::background_task::{self, TaskOut};
use crate::api::check::Fields;
use crate::api::endpoint::recovery::check_time;
use crate::api::endpoint::{EndpointOut, WHAT};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::ok;
use crate::api::wire::At;

/// How to enable an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointEnableIn)]
struct EnableIn {
    /// Sends again, in a background task, what failed of messages that were published from then on:
    /// some time before `failingSince`. Without it nothing is sent again that has ended.
    #[schema(value_type = Option<At>)]
    recover_since: Option<String>,
}

/// An endpoint that was enabled.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointEnableOut)]
struct EnableOut {
    /// As it stands now.
    endpoint: EndpointOut,
    /// The task that sends again what failed, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskOut>,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(enable))
}

/// Enables an endpoint, whoever disabled it, and sends it again what failed since a given time.
///
/// What was held for it goes out. Both are done together or not at all. An endpoint that is enabled
/// stays as it is; what was asked to be sent again is all the same. An extension of Hookseal.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/enable",
    operation_id = "v1.endpoint.enable", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = EnableIn,
    responses((status = 200, description = "Enabled", body = EnableOut), ErrorResponses))]
async fn enable(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let body: EnableIn = input.read()?;
    // A patch that was begun before must not disable it again by what it read.
    let _turn = api.turns.of(own.id()).await;
    let endpoint = own.endpoint(&api, &named).await?.id;
    let now = api.engine.now();
    let span = body.check(now)?;
    let idempotency = input.idempotency(own.principal, now, format_args!("enable {endpoint}"));
    let (org, key) = (own.principal.org(), (own.id(), endpoint));
    let enabled = api.engine.enable_endpoint(org, key, span, idempotency);
    let enabled = enabled.await.map_err(|error| {
        let is_of_task = matches!(error, ChangeError::TooMany { .. });
        ApiError::change(
            if is_of_task {
                background_task::WHAT
            } else {
                WHAT
            },
            error,
        )
    })?;
    Ok(ok(&EnableOut {
        endpoint: EndpointOut::of(enabled.endpoint, now),
        task: enabled.task.map(TaskOut::of),
    }))
}

// === impl EnableIn ===

impl EnableIn {
    /// The time of which failures are sent again.
    fn check(self, now: Timestamp) -> Result<Option<Span>, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let since = fields.optional("recoverSince", self.recover_since.as_deref(), |text| {
            let since = check_time(text)?;
            if since > now {
                let message = "must not be after now";
                return Err(Violation::new("value_error.datetime", message));
            }
            Ok(since)
        });
        violations.finish(since.map(|since| since.map(|since| Span { since, until: now })))
    }
}
