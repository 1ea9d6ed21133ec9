//! Turns publishes away before anything was spent on them: no token was verified, no body read.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use hookseal_domain::admission::Shed;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::input::drain_unread;
use crate::api::message::PUBLISH_PATHS;

/// When to come back while the store is full: a person is needed.
const FULL_RETRY: Duration = Duration::from_secs(30);

/// Refuses a publish that would wait too long, or has no room. What passes is asked again once it is
/// known to be a publish: meanwhile others may have come.
pub(crate) async fn shed_publishes(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    if is_publish(&request)
        && let Err(reason) = api.engine.may_publish()
    {
        let (head, mut body) = request.into_parts();
        // So that a client that writes all before it reads still finds the answer.
        drain_unread(&head.headers, &mut body).await;
        return ApiError::from(reason).into_response();
    }
    next.run(request).await
}

fn is_publish(request: &Request) -> bool {
    request.method() == Method::POST
        && request
            .extensions()
            .get::<MatchedPath>()
            .is_some_and(|path| PUBLISH_PATHS.contains(&path.as_str()))
}

impl From<Shed> for ApiError {
    fn from(reason: Shed) -> Self {
        match reason {
            Shed::Waiting => Self::overloaded(),
            Shed::DiskFull => Self::storage_full(),
        }
    }
}

impl ApiError {
    /// There is no room.
    pub(crate) fn storage_full() -> Self {
        use crate::api::error::ErrorCode::StorageFull;
        Self::new(StorageFull, "the server's disk is full; nothing was stored")
            .retry_after(FULL_RETRY)
    }
}
