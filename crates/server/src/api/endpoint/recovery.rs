//! `…/endpoint/{endpoint_id}/recover` and its like: tasks over many deliveries of an endpoint.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::channel::Channel;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::limits::EVENT_TYPES_PER_ENDPOINT_MAX;
use hookseal_domain::task::replay::{ReplayFilter, Wanted};
use hookseal_domain::task::{Replayed, Span, Task, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::reference::EndpointRef;

use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::background_task::{self, TaskOut};
use crate::api::check::{Fields, Items};
use crate::api::endpoint::out::is_disabled;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::json;
use crate::api::wire::{At, numbers, text};
use crate::api::{Api, ApiContext};

/// Messages of which time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoverIn)]
struct SpanIn {
    /// Messages that were published from then on.
    #[schema(value_type = At, required)]
    since: Option<String>,
    /// Messages that were published up to then; up to now if not given.
    #[schema(value_type = Option<At>)]
    until: Option<String>,
}

/// Which messages to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkReplayIn)]
struct BulkReplayIn {
    /// Messages that were published from then on.
    #[schema(value_type = At, required)]
    since: Option<String>,
    /// Messages that were published up to then; up to now if not given.
    #[schema(value_type = Option<At>)]
    until: Option<String>,
    /// Only those whose delivery stands so. What is pending or being sent is never sent again, so only
    /// 0, 2 and 4 can be asked for.
    #[schema(value_type = Option<numbers::MessageStatus>)]
    status: Option<i64>,
    /// Only those whose last attempt had a status code from this hundred; 0 for no response.
    #[schema(value_type = Option<numbers::StatusCodeClass>)]
    status_code_class: Option<i64>,
    /// Only of these types.
    #[schema(value_type = Option<std::collections::HashSet<text::EventTypeName>>)]
    event_types: Option<Vec<String>>,
    /// Only on this channel.
    #[schema(value_type = Option<text::Channel>)]
    channel: Option<String>,
    /// Only with this tag.
    #[schema(value_type = Option<text::Tag>)]
    tag: Option<String>,
}

/// Which deliveries to cancel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CancelMsgsIn)]
struct CancelIn {
    /// Those of messages that were published before.
    #[schema(value_type = At, required)]
    created_before: Option<String>,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(recover))
        .routes(routes!(replay_missing))
        .routes(routes!(bulk_replay))
        .routes(routes!(cancel_msgs))
}

/// Sends everything to an endpoint again that failed, in a background task.
///
/// Each gets the whole retry schedule. What is still pending, or was cancelled, is left alone.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover",
    operation_id = "v1.endpoint.recover", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = SpanIn,
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn recover(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let span = |now| input.read::<SpanIn>()?.check(now);
    api.replay(&own, &named, &input, "recover", |now| {
        Ok((span(now)?, Replayed::Failed))
    })
    .await
}

/// Sends everything to an endpoint that matches its subscription and was never sent to it, in a
/// background task: what was published before it existed or was subscribed.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
    operation_id = "v1.endpoint.replay-missing", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = SpanIn,
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn replay_missing(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let span = |now| input.read::<SpanIn>()?.check(now);
    api.replay(&own, &named, &input, "replay-missing", |now| {
        Ok((span(now)?, Replayed::Missing))
    })
    .await
}

/// Sends chosen messages to an endpoint again, in a background task: also what was delivered.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
    operation_id = "v1.endpoint.bulk-replay", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = BulkReplayIn,
    responses((status = 202, description = "It is being done", body = TaskOut), ErrorResponses))]
async fn bulk_replay(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let chosen = |now| input.read::<BulkReplayIn>()?.check(now);
    api.replay(&own, &named, &input, "bulk-replay", |now| {
        let (span, filter) = chosen(now)?;
        Ok((span, Replayed::Chosen(filter)))
    })
    .await
}

/// Cancels what is undelivered to an endpoint, in a background task.
///
/// Each delivery ends as `canceled`; it can be sent again later. An attempt that is under way is not
/// called back, but decides nothing any more.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/cancel-msgs",
    operation_id = "v1.endpoint.cancel-msgs", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = CancelIn,
    responses((status = 204, description = "It is being done"), ErrorResponses))]
async fn cancel_msgs(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    let work = TaskWork::Cancel {
        app: own.id(),
        endpoint,
        span: input.read::<CancelIn>()?.check()?,
    };
    let operation = format!("cancel-msgs {endpoint}");
    api.begin_task(&own, work, &input, &operation).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl ApiContext {
    /// Begins to send messages to an endpoint again.
    async fn replay(
        &self,
        own: &OwnApplication,
        named: &EndpointRef,
        input: &Input,
        operation: &str,
        check: impl FnOnce(Timestamp) -> Result<(Span, Replayed), Violations>,
    ) -> Result<Response, ApiError> {
        let endpoint = own.endpoint(self, named).await?;
        let (span, which) = check(self.engine.now())?;
        if is_disabled(&endpoint) {
            let detail = "the endpoint is disabled; enable it first";
            return Err(ApiError::new(ErrorCode::EndpointDisabled, detail));
        }
        let work = TaskWork::Replay {
            app: own.id(),
            endpoint: endpoint.id,
            span,
            which,
        };
        let operation = format!("{operation} {}", endpoint.id);
        let task = self.begin_task(own, work, input, &operation).await?;
        Ok(json(StatusCode::ACCEPTED, &TaskOut::of(task)))
    }

    /// Begins a task of an application.
    pub(crate) async fn begin_task(
        &self,
        own: &OwnApplication,
        work: TaskWork,
        input: &Input,
        operation: &str,
    ) -> Result<Task, ApiError> {
        let (who, now) = (own.principal, self.engine.now());
        let idempotency = input.idempotency(who, now, format_args!("{operation}"));
        let begun = self.engine.begin_task(who.org(), work, idempotency).await;
        begun.map_err(|error| ApiError::change(background_task::WHAT, error))
    }
}

// === impl SpanIn ===

impl SpanIn {
    fn check(self, now: Timestamp) -> Result<Span, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let span = check_span(
            &mut fields,
            self.since.as_deref(),
            self.until.as_deref(),
            now,
        );
        violations.finish(span)
    }
}

// === impl BulkReplayIn ===

impl BulkReplayIn {
    fn check(self, now: Timestamp) -> Result<(Span, ReplayFilter), Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let span = check_span(
            &mut fields,
            self.since.as_deref(),
            self.until.as_deref(),
            now,
        );
        let wanted = fields.optional("status", self.status, check_status);
        let class = fields.optional("statusCodeClass", self.status_code_class, check_class);
        let channel = self.channel.as_deref();
        let channel = fields.optional("channel", channel, Channel::parse);
        let names = match &self.event_types {
            None => Some(None),
            Some(names) => {
                let items = Items {
                    min: 0,
                    max: EVENT_TYPES_PER_ENDPOINT_MAX,
                };
                let names = fields.list("eventTypes", names, items, EventTypeName::parse);
                // An empty list is as good as none.
                names.map(|names| Some(names).filter(|names| !names.is_empty()))
            }
        };
        let tag = self.tag;
        let checked = || {
            let filter = ReplayFilter {
                wanted: wanted?.unwrap_or(Wanted::Ended),
                channel: channel?,
                tag,
                event_types: names?,
                status_code_class: class?,
            };
            Some((span?, filter))
        };
        let checked = checked();
        violations.finish(checked)
    }
}

// === impl CancelIn ===

impl CancelIn {
    fn check(self) -> Result<Span, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let given = fields.required("createdBefore", self.created_before);
        let before = given.and_then(|text| fields.take("createdBefore", check_time(&text)));
        let span = before.map(|before| Span {
            since: Timestamp::from_millis(0),
            until: before.minus(Duration::from_millis(1)),
        });
        violations.finish(span)
    }
}

/// A span that ends now at the latest.
fn check_span(
    fields: &mut Fields<'_>,
    since: Option<&str>,
    until: Option<&str>,
    now: Timestamp,
) -> Option<Span> {
    let since = fields.required("since", since);
    let since = since.and_then(|text| fields.take("since", check_time(text)));
    let until = fields.optional("until", until, check_time);
    let (since, until) = (since?, until?.unwrap_or(now).min(now));
    if since > until {
        let violation = Violation::new("value_error.datetime", "must not be after until or now");
        fields.add("since", &violation);
        return None;
    }
    Some(Span { since, until })
}

pub(super) fn check_time(text: &str) -> Result<Timestamp, Violation> {
    Timestamp::parse_rfc3339(text)
        .map_err(|error| Violation::new("value_error.datetime", error.to_string()))
}

fn check_status(number: i64) -> Result<Wanted, Violation> {
    match number {
        0 => Ok(Wanted::Delivered),
        2 => Ok(Wanted::Failed),
        4 => Ok(Wanted::Cancelled),
        _ => Err(Violation::new(
            "value_error.choice",
            "must be 0, 2 or 4: what is pending or being sent is not sent again",
        )),
    }
}

fn check_class(number: i64) -> Result<u16, Violation> {
    match number {
        0 => Ok(0),
        100 => Ok(100),
        200 => Ok(200),
        300 => Ok(300),
        400 => Ok(400),
        500 => Ok(500),
        _ => Err(Violation::new(
            "value_error.choice",
            "must be 0, 100, 200, 300, 400 or 500",
        )),
    }
}
