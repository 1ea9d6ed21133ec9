//! `…/event-type/{event_type_name}/retry-schedule`: when deliveries of an event type are tried again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::delivery::retry::{InvalidSchedule, RetrySchedule};
use hookseal_domain::violation::Violation;
use hookseal_store::Store;

use crate::api::Api;
use crate::api::access::{Authorized, EventTypePath, Organisation};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::EventTypeParams;
use crate::api::respond::ok;

/// When deliveries are tried again.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RetryScheduleInOut)]
struct ScheduleBody {
    /// The delays between attempts: up to 50, each up to 7 days and moved by up to a fifth either way.
    /// The empty list means a single attempt; `null` the server's schedule.
    #[schema(max_items = 50)]
    retry_schedule: Option<Vec<Delay>>,
}

/// A delay.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[schema(as = Duration)]
pub(crate) struct Delay {
    /// Seconds.
    #[schema(minimum = 0)]
    secs: i64,
    /// Nanoseconds on top of those, in whole milliseconds.
    #[schema(minimum = 0, maximum = 999_000_000)]
    nanos: i64,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// Shows when deliveries of an event type are tried again.
#[utoipa::path(get, path = "/api/v1/event-type/{event_type_name}/retry-schedule",
    operation_id = "v1.event-type.get-retry-schedule", tag = "Event Type", params(EventTypeParams),
    responses((status = 200, description = "The schedule", body = ScheduleBody), ErrorResponses))]
async fn get(
    Authorized(Organisation(org)): Authorized<Organisation>,
    EventTypePath(name): EventTypePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let found = api.event_type(org, &name).await?.retry_schedule;
    Ok(ok(&ScheduleBody::of(found.as_ref())))
}

/// Sets when deliveries of an event type are tried again.
///
/// It counts from the next failed attempt on, also of deliveries that wait already: a delivery goes on
/// with the step after those that it has used up.
#[utoipa::path(put, path = "/api/v1/event-type/{event_type_name}/retry-schedule",
    operation_id = "v1.event-type.set-retry-schedule", tag = "Event Type", params(EventTypeParams),
    request_body = ScheduleBody,
    responses((status = 200, description = "The schedule", body = ScheduleBody), ErrorResponses))]
async fn put(
    Authorized(Organisation(org)): Authorized<Organisation>,
    EventTypePath(name): EventTypePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let schedule = input.read::<ScheduleBody>()?.check(api.engine.history())?;
    let out = ScheduleBody::of(schedule.as_ref());
    let now = api.engine.now();
    let set = async move |store: Arc<dyn Store>| {
        store.set_retry_schedule(org, &name, schedule, now).await
    };
    api.change_catalogue(org, set).await?;
    Ok(ok(&out))
}

/// A schedule as it goes out.
pub(crate) fn delays(schedule: &RetrySchedule) -> Vec<Delay> {
    let delay = |step: &Duration| Delay {
        secs: i64::try_from(step.as_secs()).unwrap_or(i64::MAX),
        nanos: i64::from(step.subsec_nanos()),
    };
    schedule.steps().iter().map(delay).collect()
}

/// A schedule as it came in, checked; `history` is how long what became of messages is kept.
pub(crate) fn schedule(
    retry_schedule: Option<Vec<Delay>>,
    history: Duration,
) -> Result<Option<RetrySchedule>, Violations> {
    ScheduleBody { retry_schedule }.check(history)
}

// === impl ScheduleBody ===

impl ScheduleBody {
    fn of(schedule: Option<&RetrySchedule>) -> Self {
        Self {
            retry_schedule: schedule.map(delays),
        }
    }

    /// `history` is how long what became of messages is kept.
    fn check(self, history: Duration) -> Result<Option<RetrySchedule>, Violations> {
        let Some(delays) = self.retry_schedule else {
            return Ok(None);
        };
        let refused = |inside: &[&str], message: String| {
            let loc: Vec<_> = ["body", "retrySchedule"]
                .iter()
                .chain(inside)
                .copied()
                .collect();
            Violations::one(&loc, &Violation::new("value_error.retry_schedule", message))
        };
        let mut steps = Vec::with_capacity(delays.len());
        for (at, delay) in delays.iter().enumerate() {
            let step = delay.duration().ok_or_else(|| {
                let message = "must be of whole milliseconds, `nanos` from 0 to 999000000";
                refused(&[&at.to_string()], message.to_owned())
            });
            steps.push(step?);
        }
        let schedule = RetrySchedule::try_new(steps).map_err(|error| match error {
            InvalidSchedule::TooManySteps(_) => refused(&[], error.to_string()),
            InvalidSchedule::StepTooLong(step) => {
                let at = step.saturating_sub(1).to_string();
                refused(&[&at], "must not be longer than 7 days".to_owned())
            }
        })?;
        if schedule.longest() > history {
            let hours = history.as_secs() / 3600;
            let message = format!(
                "must not take longer than the {hours}h for which the server keeps what became of \
                 messages"
            );
            return Err(refused(&[], message));
        }
        Ok(Some(schedule))
    }
}

// === impl Delay ===

impl Delay {
    fn duration(self) -> Option<Duration> {
        let (secs, nanos) = (
            u64::try_from(self.secs).ok()?,
            u32::try_from(self.nanos).ok()?,
        );
        let whole = nanos < 1_000_000_000 && nanos % 1_000_000 == 0;
        whole.then(|| Duration::new(secs, nanos))
    }
}
