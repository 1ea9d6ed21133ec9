//! `/api/v1/verification/{token}`: where a receiver's people say that it wants what is sent to it.
//!
//! **Invariant:** the token is good for this alone, once, and for a day.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::verification::ALLOWED_RATE;
use hookseal_domain::violation::Violation;

use crate::api::access::path_param;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::params::VerificationParams;
use crate::api::respond::ok;
use crate::api::{Api, ApiContext};

/// What the errors call it.
const WHAT: &str = "the verification";

/// The token in the path.
struct TokenPath(String);

/// The endpoint is verified.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VerificationGranted)]
struct GrantedOut {
    /// Always `true`.
    verified: bool,
}

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, post))
}

/// Grants permission to send, for whoever got this URL as `WebHook-Request-Callback`. Needs no token
/// but the one in the path, which is good for one time.
#[utoipa::path(get, path = "/api/v1/verification/{token}", operation_id = "v1.verification.grant-by-get",
    tag = "Endpoint", security(()), params(VerificationParams),
    responses((status = 200, description = "Granted", body = GrantedOut), ErrorResponses))]
async fn get(
    method: Method,
    TokenPath(token): TokenPath,
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // A router answers HEAD by GET: who only looks grants nothing.
    if method == Method::HEAD {
        return Err(ApiError::not_found(WHAT));
    }
    api.grant(&token, &headers).await
}

/// Grants permission to send, for whoever got this URL as `WebHook-Request-Callback`. A header
/// `WebHook-Allowed-Rate` says how often, in requests per minute; the body is not looked at.
#[utoipa::path(post, path = "/api/v1/verification/{token}", operation_id = "v1.verification.grant",
    tag = "Endpoint", security(()), params(VerificationParams),
    responses((status = 200, description = "Granted", body = GrantedOut), ErrorResponses))]
async fn post(
    TokenPath(token): TokenPath,
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    api.grant(&token, &headers).await
}

impl FromRequestParts<Api> for TokenPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        path_param(parts, "token").await.map(Self)
    }
}

impl ApiContext {
    async fn grant(&self, token: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
        let rates = headers.get_all(ALLOWED_RATE).iter();
        let rates = rates.map(|rate| rate.as_bytes().to_vec()).collect();
        match self.engine.call_back(token, rates).await? {
            Some(Ok(())) => Ok(ok(&GrantedOut { verified: true })),
            Some(Err(_)) => {
                let rule = "must be a number of requests per minute above 0, or *";
                let violation = Violation::new("value_error.number", rule);
                Err(Violations::one(&["header", ALLOWED_RATE], &violation).into())
            }
            None => Err(ApiError::not_found(WHAT)),
        }
    }
}
