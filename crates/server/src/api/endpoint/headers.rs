//! `…/endpoint/{endpoint_id}/headers`: custom headers.
//!
//! **Invariant:** the value of a header that looks like a credential never goes out again.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::violation::Violation;

use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::check::Fields;
use crate::api::endpoint::WHAT;
use crate::api::endpoint::rules::check_headers;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::wire::present;
use crate::api::{Api, ApiContext};

/// What the names of credentials have in common.
const SENSITIVE: [&str; 9] = [
    "auth",
    "token",
    "secret",
    "key",
    "password",
    "passwd",
    "cookie",
    "signature",
    "credential",
];

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put, patch))
}

/// The headers of an endpoint, all of them.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct EndpointHeadersIn {
    /// By name: at most 50.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = BTreeMap<String, String>, required)]
    headers: Option<BTreeMap<String, String>>,
}

/// Changes of an endpoint's headers.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct EndpointHeadersPatchIn {
    /// By name; `null` removes one.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = BTreeMap<String, Option<String>>, required)]
    headers: Option<BTreeMap<String, Option<String>>>,
}

/// The headers of an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointHeadersOut {
    /// Names and values of those that may be shown.
    headers: BTreeMap<String, String>,
    /// Names of those that look like credentials.
    #[schema(value_type = std::collections::HashSet<String>)]
    sensitive: Vec<String>,
}

/// Shows the headers that are sent with each delivery.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.get-headers", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "The headers", body = EndpointHeadersOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    let headers = api.endpoint_headers(own.id(), endpoint).await?;
    Ok(ok(&EndpointHeadersOut::of(&headers)))
}

/// Replaces the headers that are sent with each delivery.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.update-headers", tag = "Endpoint", params(EndpointParams),
    request_body = EndpointHeadersIn,
    responses((status = 204, description = "Replaced"), ErrorResponses))]
async fn put(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let headers = input.read::<EndpointHeadersIn>()?.check()?;
    let endpoint = own.endpoint(&api, &named).await?.id;
    api.set_headers(own.id(), endpoint, headers).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Changes some of the headers that are sent with each delivery.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
    operation_id = "v1.endpoint.patch-headers", tag = "Endpoint", params(EndpointParams),
    request_body = EndpointHeadersPatchIn,
    responses((status = 204, description = "Changed"), ErrorResponses))]
async fn patch(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let patch: EndpointHeadersPatchIn = input.read()?;
    let _turn = api.turns.of(own.id()).await;
    let endpoint = own.endpoint(&api, &named).await?.id;
    let before = api.endpoint_headers(own.id(), endpoint).await?;
    let headers = patch.apply(&before)?;
    api.set_headers(own.id(), endpoint, headers).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl ApiContext {
    /// The headers of an endpoint.
    pub(crate) async fn endpoint_headers(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<EndpointHeaders, ApiError> {
        let found = self.engine.store().endpoint_headers(app, endpoint).await?;
        found.ok_or_else(|| ApiError::not_found(WHAT))
    }

    /// Replaces them.
    pub(crate) async fn set_headers(
        &self,
        app: AppId,
        endpoint: EndpointId,
        headers: EndpointHeaders,
    ) -> Result<(), ApiError> {
        let now = self.engine.now();
        self.change(WHAT, app, move |store| async move {
            store
                .set_endpoint_headers(app, endpoint, headers, now)
                .await
        })
        .await
    }
}

// === impl EndpointHeadersIn ===

impl EndpointHeadersIn {
    /// Checks the body of a request.
    pub(crate) fn check(self) -> Result<EndpointHeaders, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let headers = fields.required("headers", self.headers);
        let headers = headers.and_then(|headers| check_headers(&mut fields, headers));
        violations.finish(headers)
    }
}

// === impl EndpointHeadersPatchIn ===

impl EndpointHeadersPatchIn {
    fn apply(self, before: &EndpointHeaders) -> Result<EndpointHeaders, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let changes = fields.required("headers", self.headers).unwrap_or_default();
        let mut merged = before.pairs().clone();
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in changes {
            let lower = name.to_ascii_lowercase();
            if !seen.insert(lower.clone()) {
                let violation = Violation::new("header.duplicate", "is given more than once");
                fields.add_at(&["headers", &name], &violation);
                continue;
            }
            merged.remove(&lower);
            if let Some(value) = value {
                merged.insert(name, value);
            }
        }
        let headers = check_headers(&mut fields, merged);
        violations.finish(headers)
    }
}

// === impl EndpointHeadersOut ===

impl EndpointHeadersOut {
    /// Those of an endpoint.
    pub(crate) fn of(headers: &EndpointHeaders) -> Self {
        let sensitive = |name: &str| SENSITIVE.iter().any(|part| name.contains(part));
        let (hidden, shown): (Vec<_>, Vec<_>) =
            headers.iter().partition(|(name, _)| sensitive(name));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            headers: shown.into_iter().map(owned).collect(),
            sensitive: hidden
                .into_iter()
                .map(|(name, _)| name.to_owned())
                .collect(),
        }
    }
}
