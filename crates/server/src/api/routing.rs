//! Puts the routes together, with an answer for every path and method.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use tower::ServiceExt;

use crate::api::error::{ApiError, ErrorCode};
use crate::api::rate::{KeyedLimit, limit_addresses};
use crate::api::shed::shed_publishes;
use crate::api::{ApiContext, openapi};

/// The whole HTTP API. The listener is to add `ConnectInfo<SocketAddr>` to each request, for the
/// limit by address.
pub fn router(context: ApiContext) -> Router {
    let address_limit = context.config.rate_per_address;
    let api = Arc::new(context);
    let routes = openapi::routes()
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(&api))
        .layer(middleware::from_fn_with_state(api, shed_publishes));
    let exact = routes.clone().fallback(not_found);
    let routes = routes.fallback(move |request| without_slash(exact, request));
    match address_limit {
        Some(limit) => {
            let limit = Arc::new(KeyedLimit::new(limit));
            routes.layer(middleware::from_fn_with_state(limit, limit_addresses))
        }
        None => routes,
    }
}

/// A trailing slash is accepted and ignored; only requests with one pay for that.
async fn without_slash(routes: Router, mut request: Request) -> Response {
    let Some(uri) = trimmed(request.uri()) else {
        return not_found().await.into_response();
    };
    *request.uri_mut() = uri;
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn trimmed(uri: &Uri) -> Option<Uri> {
    let path = uri
        .path()
        .strip_suffix('/')
        .filter(|path| !path.is_empty())?;
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    text.parse().ok()
}

async fn not_found() -> ApiError {
    ApiError::not_found("the path")
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        ErrorCode::MethodNotAllowed,
        "the path does not have this method",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_is_ignored() {
        let check = |given: &str, expect: Option<&str>| {
            let trimmed = trimmed(&given.parse().unwrap());
            assert_eq!(trimmed.map(|uri| uri.to_string()).as_deref(), expect);
        };
        check("/api/v1/app/", Some("/api/v1/app"));
        check("/api/v1/app/?a=b/", Some("/api/v1/app?a=b/"));
        check("/api/v1/app", None);
        check("/", None);
    }
}
