//! Operations of the Svix API that this server does not have: answered so, and not as if the path
//! did not exist. Does nothing.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::error::{ApiError, ErrorBody, ErrorCode, ErrorResponses};
use crate::api::params::EndpointParams;

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(transformation, patch_transformation))
        .routes(routes!(simulate))
        .routes(routes!(oauth, set_oauth, delete_oauth))
}

macro_rules! absent {
    ($($name:ident, $method:ident, $path:literal, $id:literal, $what:literal;)*) => {$(
        #[doc = concat!("Not implemented: this server has no ", $what, ".")]
        #[utoipa::path($method, path = $path, operation_id = $id, tag = "Endpoint",
            params(EndpointParams),
            responses((status = 501, description = "This server does not have it", body = ErrorBody), ErrorResponses))]
        async fn $name(
            Authorized(own): Authorized<OwnApplication>,
            EndpointPath(named): EndpointPath,
            State(api): State<Api>,
        ) -> Result<Response, ApiError> {
            own.endpoint(&api, &named).await?;
            Err(ApiError::new(
                ErrorCode::NotImplemented,
                concat!("this server has no ", $what),
            ))
        }
    )*};
}

absent! {
    transformation, get, "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation",
        "v1.endpoint.transformation.get", "transformations";
    patch_transformation, patch, "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation",
        "v1.endpoint.transformation.patch", "transformations";
    simulate, post, "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation/simulate",
        "v1.endpoint.transformation.simulate", "transformations";
    oauth, get, "/api/v1/app/{app_id}/endpoint/{endpoint_id}/oauth",
        "v1.endpoint.get-oauth", "OAuth of endpoints";
    set_oauth, put, "/api/v1/app/{app_id}/endpoint/{endpoint_id}/oauth",
        "v1.endpoint.set-oauth-config", "OAuth of endpoints";
    delete_oauth, delete, "/api/v1/app/{app_id}/endpoint/{endpoint_id}/oauth",
        "v1.endpoint.delete-oauth-config", "OAuth of endpoints";
}
