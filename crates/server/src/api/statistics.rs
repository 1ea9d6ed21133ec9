//! How much there is and became of it. Sums counters; counts nothing by itself.

mod usage;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::inspect::AttemptFilter;
use hookseal_store::statistics::{Counted, DeliveryCounts, Hours, Precision};

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, Organisation, OwnApplication};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::message_attempt::{read_class, read_status};
use crate::api::params::{
    ApplicationPath, EndpointParams, MessageFilterParams, StatusCodeParams, StatusParams,
};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::ok;
use crate::api::wire::{At, StatusText, text};

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(of_endpoint))
        .routes(routes!(attempts_of_endpoint))
        .routes(routes!(attempts_of_application))
        .routes(routes!(endpoints))
        .merge(usage::routes())
}

/// Which hours: those that lie in part between the two.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct HoursParams {
    /// From the hour of this; from the beginning if not given.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Up to the hour of this; up to now if not given.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// Which hours and event types.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct SpanParams {
    /// From the hour of this.
    #[param(format = DateTime)]
    since: String,
    /// Up to the hour of this.
    #[param(format = DateTime)]
    until: String,
    /// Only of these types: repeated, or separated by commas.
    event_types: Option<Vec<text::EventTypeName>>,
}

/// Whether endpoints of a test tool of Svix count, which are not told apart here.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct PlayParams {
    /// Makes no difference.
    #[param(default = true)]
    exclude_svix_play: Option<bool>,
}

struct SpanQuery {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    event_types: Option<Vec<EventTypeName>>,
}

struct CountQuery {
    filter: AttemptFilter,
    status: Option<StatusText>,
}

/// An endpoint's deliveries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EndpointStats {
    /// Delivered in those hours.
    success: u64,
    /// Ended otherwise in those hours, or blocking their order now.
    fail: u64,
    /// Skipped or cancelled in those hours.
    canceled: u64,
    /// Waiting now, of messages of that time.
    pending: u64,
    /// Being tried now, of messages of that time.
    sending: u64,
    /// Whether there are even more that wait than were counted. An extension of Hookseal.
    approximated: bool,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
struct CountOut {
    /// How many, or how many of those that were looked at.
    count: u64,
    /// Whether there may be more, or, with `before` or `after`, some too many of the same hour.
    approximated: bool,
}

/// Attempts of an application.
#[derive(Serialize, ToSchema)]
struct AppAttemptStatsOut {
    /// From then.
    since: At,
    /// Up to then.
    until: At,
    /// That were accepted.
    total_success: u64,
    /// That were not.
    total_failure: u64,
    /// Always 0: an attempt is made or not.
    total_canceled: u64,
    /// The same by event type.
    by_event_type: BTreeMap<String, AppAttemptEventTypeStats>,
}

/// Attempts of an event type.
#[derive(Serialize, ToSchema)]
struct AppAttemptEventTypeStats {
    /// That were accepted.
    success: u64,
    /// That were not.
    failure: u64,
    /// Always 0.
    canceled: u64,
}

/// Endpoints of the organisation.
#[derive(Serialize, ToSchema)]
struct EndpointCountOut {
    /// That get deliveries.
    active: u64,
    /// That are disabled.
    disabled: u64,
}

impl FromQuery for SpanQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        let (since, until) = query.span();
        Self {
            since,
            until,
            event_types: query.many("event_types", EventTypeName::parse),
        }
    }
}

impl FromQuery for CountQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        let status = query.one("status", read_status);
        Self {
            filter: AttemptFilter {
                success: status.map(|status| status == StatusText::Success),
                status_code_class: query.one("status_code_class", read_class),
                endpoint: None,
                message: query.message_filter(),
            },
            status,
        }
    }
}

/// Counts an endpoint's deliveries by how they stand.
///
/// What has ended is counted in the hour in which it ended.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats",
    operation_id = "v1.endpoint.get-stats", tag = "Statistics", params(EndpointParams, HoursParams),
    responses((status = 200, description = "The counts", body = EndpointStats), ErrorResponses))]
async fn of_endpoint(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    Query(span): Query<SpanQuery>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    let hours = Hours {
        since: span.since,
        until: span.until,
    };
    let store = api.engine.store();
    let counts = store.delivery_counts(own.id(), endpoint, hours).await?;
    Ok(ok(&EndpointStats::of(counts)))
}

/// Counts an endpoint's attempts.
///
/// With `channel`, `tag` or `event_types` the latest 10,000 are looked at.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}/count",
    operation_id = "v1.message-attempt.count-by-endpoint", tag = "Statistics",
    params(EndpointParams, StatusParams, StatusCodeParams, MessageFilterParams),
    responses((status = 200, description = "The count", body = CountOut), ErrorResponses))]
async fn attempts_of_endpoint(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    Query(query): Query<CountQuery>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    // An attempt is counted once it is over: none is pending.
    if let Some(StatusText::Pending | StatusText::Sending | StatusText::Canceled) = query.status {
        return Ok(ok(&CountOut::of(Counted {
            count: 0,
            precision: Precision::Exact,
        })));
    }
    let store = api.engine.store();
    let counted = store.attempt_count(own.id(), endpoint, query.filter);
    Ok(ok(&CountOut::of(counted.await?)))
}

/// Counts an application's attempts by event type.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/stats/attempts",
    operation_id = "v1.application.stats.attempts", tag = "Statistics",
    params(ApplicationPath, SpanParams),
    responses((status = 200, description = "The counts", body = AppAttemptStatsOut), ErrorResponses))]
async fn attempts_of_application(
    Authorized(own): Authorized<OwnApplication>,
    State(api): State<Api>,
    Query(span): Query<SpanQuery>,
) -> Result<Response, ApiError> {
    let (since, until) = span.both()?;
    let hours = Hours {
        since: Some(since),
        until: Some(until),
    };
    let store = api.engine.store();
    let mut counts = store.attempts_by_event_type(own.id(), hours).await?;
    if let Some(names) = &span.event_types {
        counts.retain(|name, _| names.contains(name));
    }
    let by_event_type: BTreeMap<_, _> = counts
        .into_iter()
        .map(|(name, counts)| {
            let stats = AppAttemptEventTypeStats {
                success: counts.accepted,
                failure: counts.failed,
                canceled: 0,
            };
            (name.to_string(), stats)
        })
        .collect();
    Ok(ok(&AppAttemptStatsOut {
        since: At(since),
        until: At(until),
        total_success: by_event_type.values().map(|stats| stats.success).sum(),
        total_failure: by_event_type.values().map(|stats| stats.failure).sum(),
        total_canceled: 0,
        by_event_type,
    }))
}

/// Counts the organisation's endpoints.
#[utoipa::path(get, path = "/api/v1/stats/endpoint/count",
    operation_id = "v1.statistics.endpoint-count", tag = "Statistics", params(PlayParams),
    responses((status = 200, description = "The counts", body = EndpointCountOut), ErrorResponses))]
async fn endpoints(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let counts = api.engine.store().endpoint_counts(org).await?;
    Ok(ok(&EndpointCountOut {
        active: counts.active,
        disabled: counts.disabled,
    }))
}

// === impl SpanQuery ===

impl SpanQuery {
    /// Both ends, which have to be given.
    fn both(&self) -> Result<(Timestamp, Timestamp), Violations> {
        let missing = |name| {
            let violation = Violation::new("value_error.missing", "must be given");
            Violations::one(&["query", name], &violation)
        };
        let since = self.since.ok_or_else(|| missing("since"))?;
        let until = self.until.ok_or_else(|| missing("until"))?;
        Ok((since, until))
    }
}

// === impl EndpointStats ===

impl EndpointStats {
    fn of(counts: DeliveryCounts) -> Self {
        Self {
            success: counts.delivered,
            fail: counts.failed,
            canceled: counts.skipped,
            pending: counts.pending,
            sending: counts.sending,
            approximated: counts.precision == Precision::Approximate,
        }
    }
}

// === impl CountOut ===

impl CountOut {
    fn of(counted: Counted) -> Self {
        Self {
            count: counted.count,
            approximated: counted.precision == Precision::Approximate,
        }
    }
}
