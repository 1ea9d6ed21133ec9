//! Answers: a status and a JSON body.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use hookseal_store::config::Created;

use crate::api::error::ApiError;

/// A JSON body with its status.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = (status, bytes).into_response();
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// A JSON body with the status of what was asked for.
pub(crate) fn ok<T: Serialize>(body: &T) -> Response {
    json(StatusCode::OK, body)
}

/// 201 for something new, 200 for something that was replaced.
pub(crate) fn upserted<T, Out: Serialize>(
    put: Created<T>,
    shape: impl FnOnce(T) -> Out,
) -> Response {
    match put {
        Created::New(thing) => json(StatusCode::CREATED, &shape(thing)),
        Created::Existing(thing) => json(StatusCode::OK, &shape(thing)),
    }
}
