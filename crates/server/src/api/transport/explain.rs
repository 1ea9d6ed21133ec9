//! `/api/v1/transport/explain`: the same as `…/endpoint/{endpoint_id}/transport/explain`, for who
//! knows the endpoint's id only.

use axum::extract::State;
use axum::response::Response;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::id::EndpointId;
use hookseal_domain::violation::Violation;
use hookseal_store::reference::{AppRef, EndpointRef};

use crate::api::Api;
use crate::api::access::{Authorized, Organisation, OwnApplication};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::ok;
use crate::api::transport::explanation::ExplanationOut;
use crate::api::wire::text;

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// Which endpoint.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
struct ExplainParams {
    /// The endpoint's id.
    endpoint: text::EndpointId,
}

struct ExplainQuery(Option<EndpointId>);

impl FromQuery for ExplainQuery {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        Self(query.one("endpoint", |text| {
            let message = "must be the id of an endpoint: ep_ and 27 letters and digits";
            EndpointId::parse(text).ok_or_else(|| Violation::new("value_error.pattern", message))
        }))
    }
}

/// Explains an endpoint's transport security by the endpoint's id alone.
#[utoipa::path(get, path = "/api/v1/transport/explain", operation_id = "v1.transport.explain", tag = "Transport",
    params(ExplainParams),
    responses((status = 200, description = "The explanation", body = ExplanationOut), ErrorResponses))]
async fn explain(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    Query(ExplainQuery(endpoint)): Query<ExplainQuery>,
) -> Result<Response, ApiError> {
    let missing = || {
        let violation = Violation::new("value_error.missing", "must be given");
        Violations::one(&["query", "endpoint"], &violation)
    };
    let id = endpoint.ok_or_else(missing)?;
    let unknown = || ApiError::not_found("the endpoint");
    let app = api.engine.store().find_endpoint(org, id).await?;
    let app = AppRef::Id(app.ok_or_else(unknown)?);
    let routing = api.engine.routing(org, &app).await?.ok_or_else(unknown)?;
    let principal = Principal::Organisation(org);
    let own = OwnApplication { principal, routing };
    let endpoint = own.endpoint(&api, &EndpointRef::Id(id)).await?;
    Ok(ok(&api.explanation(&own, &endpoint).await?))
}
