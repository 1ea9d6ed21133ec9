//! Every answer that is not what was asked for. Nothing internal leaves through here.

mod reference;
pub(crate) mod violations;

use std::fmt::Write;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use hookseal_store::error::{ChangeError, ResendError, StoreError};

use crate::api::error::violations::{FieldViolation, Violations};
use crate::auth::{AuthError, AuthFailure};

pub(crate) use crate::api::error::reference::errors_markdown;

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $code:literal $status:ident;)*) => {
        /// Every `code` that an error body can have, with its status.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl ErrorCode {
            /// All of them, for the reference.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it stands in the body; never changes.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The answer's status.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// When it is sent and what to do, for the reference.
            pub(crate) const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)* }
            }
        }
    };
}

error_codes! {
    /// The request could not be read: a query or path that is not UTF-8, a body that broke off.
    BadRequest "bad_request" BAD_REQUEST;
    /// No bearer token, or one that does not hold. The detail says why; get a new token.
    AuthenticationFailed "authentication_failed" UNAUTHORIZED;
    /// The token is good, but not for this: an application's token used where the organisation's
    /// own is needed, or one whose scopes do not cover it.
    InsufficientPermissions "insufficient_permissions" FORBIDDEN;
    /// What the path names does not exist, or not for this token.
    NotFound "not_found" NOT_FOUND;
    /// The path exists, but not with this method; `Allow` lists those it has.
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED;
    /// The body did not arrive in time.
    RequestTimeout "request_timeout" REQUEST_TIMEOUT;
    /// The `uid`, `eventId` or name belongs to another thing of the same kind.
    Conflict "conflict" CONFLICT;
    /// There are as many things of this kind as there may be.
    LimitReached "limit_reached" CONFLICT;
    /// Others name the thing; the detail says how many. Make them name something else first.
    InUse "in_use" CONFLICT;
    /// Somebody else changes the same thing at the same time. Read it again and repeat.
    ChangedMeanwhile "changed_meanwhile" CONFLICT;
    /// The change may stop deliveries; the detail says why, and what to do first. `?force=true`
    /// makes it all the same.
    WouldInterrupt "would_interrupt" CONFLICT;
    /// A step of a rotation that does not follow the stage in which the certificate stands.
    WrongStage "wrong_stage" CONFLICT;
    /// The receiver does not show the key that was confirmed. Nothing was pinned.
    KeyNotShown "key_not_shown" CONFLICT;
    /// The endpoint's URL is `http://`: there is no handshake to look at.
    NoTls "no_tls" CONFLICT;
    /// The `idempotency-key` was used in the last 12 hours with another body.
    IdempotencyKeyReused "idempotency_key_reused" CONFLICT;
    /// The message can't be sent again: its payload was expunged or its retention is over.
    PayloadGone "payload_gone" CONFLICT;
    /// The message can't be sent again: the time that its `expireAfter` set is over.
    MessageExpired "message_expired" CONFLICT;
    /// The message can't be sent again: the endpoint is disabled. Enable it first.
    EndpointDisabled "endpoint_disabled" CONFLICT;
    /// The body, or the payload in it, is larger than the server is configured to take.
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE;
    /// The body is not `application/json` in UTF-8, or has a content encoding.
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE;
    /// Too many requests with this token or from this address; `Retry-After` says when to go on.
    RateLimited "rate_limited" TOO_MANY_REQUESTS;
    /// The operation is of the Svix API, but this server does not have it.
    NotImplemented "not_implemented" NOT_IMPLEMENTED;
    /// A fault of the server; its log says what. Report it.
    ServerError "server_error" INTERNAL_SERVER_ERROR;
    /// More is published than can be stored in time, or the store has too much to do. Nothing was
    /// stored. Repeat after `Retry-After`.
    Overloaded "overloaded" SERVICE_UNAVAILABLE;
    /// The store's disk is full: an operator has to make room. Nothing was stored, what was accepted
    /// before is kept. Repeat after `Retry-After`.
    StorageFull "storage_full" SERVICE_UNAVAILABLE;
    /// The store can't be reached. Repeat after `Retry-After`.
    Unavailable "unavailable" SERVICE_UNAVAILABLE;
}

/// A request that is not answered as asked.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// With a code.
    Coded {
        /// The code.
        code: ErrorCode,
        /// For people.
        detail: String,
        /// When to try again, where that helps.
        retry_after: Option<Duration>,
    },
    /// Values that break rules: 422.
    Invalid(Violations),
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = HttpErrorOut)]
pub(crate) struct ErrorBody {
    /// Stable name of the error; `docs/reference/errors.md` lists all.
    code: &'static str,
    /// What happened, for people.
    detail: String,
}

/// Values that break rules.
#[derive(Serialize, ToSchema)]
#[schema(as = HTTPValidationError)]
pub(crate) struct ValidationBody {
    /// One entry for each broken rule.
    detail: Vec<FieldViolation>,
}

/// What every operation may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers; ApiError makes them")]
pub(crate) enum ErrorResponses {
    /// No valid token.
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// The token is not for this.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// It does not exist.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// It stands against something that exists.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// A value breaks a rule.
    #[response(status = 422)]
    Invalid(ValidationBody),
    /// Too many requests.
    #[response(status = 429)]
    RateLimited(ErrorBody),
    /// A fault of the server.
    #[response(status = 500)]
    Failed(ErrorBody),
    /// The server can't at the moment.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// When to come back after an overload: writes are grouped in milliseconds.
const OVERLOAD_RETRY: Duration = Duration::from_secs(1);
/// When to come back while the store is away: people are needed.
const OUTAGE_RETRY: Duration = Duration::from_secs(30);

// === impl ApiError ===

impl ApiError {
    /// An error with its code.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::Coded {
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The thing does not exist, as far as this token may know.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{what} does not exist"))
    }

    /// Another request has to come first, or time to pass.
    pub(crate) fn retry_after(self, delay: Duration) -> Self {
        match self {
            Self::Coded { code, detail, .. } => Self::Coded {
                code,
                detail,
                retry_after: Some(delay),
            },
            Self::Invalid(violations) => Self::Invalid(violations),
        }
    }

    /// A change that was not made to a thing called `what`.
    pub(crate) fn change(what: &str, error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound => Self::not_found(what),
            ChangeError::NameTaken => Self::new(
                ErrorCode::Conflict,
                format!("{what} has a uid or name that another one has already"),
            ),
            ChangeError::TooMany { max } => Self::new(
                ErrorCode::LimitReached,
                format!("{what} would be one too many: there are {max}, which is the limit"),
            ),
            ChangeError::Stale => Self::new(
                ErrorCode::ChangedMeanwhile,
                format!("{what} was changed by somebody else meanwhile; read it again and repeat"),
            ),
            ChangeError::InUse { by } => Self::new(
                ErrorCode::InUse,
                format!("{what} is named by {by} others; make them name something else first"),
            ),
            ChangeError::IdempotencyKeyReused => Self::idempotency_key_reused(),
            ChangeError::Store(error) => error.into(),
        }
    }

    /// The key belongs to another request.
    pub(crate) fn idempotency_key_reused() -> Self {
        Self::new(
            ErrorCode::IdempotencyKeyReused,
            "this idempotency-key was used with another body in the last 12 hours",
        )
    }

    /// Our own fault; `error` goes to the log and only there.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a String can't fail.
            _ = write!(chain, ": {error}");
            cause = error.source();
        }
        tracing::error!(error = %chain, "A request failed: {chain}");
        Self::new(
            ErrorCode::ServerError,
            "the server failed; its log says why",
        )
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::overloaded(),
            StoreError::DiskFull => Self::storage_full(),
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "A request was refused: {error}");
                Self::new(ErrorCode::Unavailable, "the store is not available")
                    .retry_after(OUTAGE_RETRY)
            }
            StoreError::CorruptRow { .. } | StoreError::Unsealable { .. } => Self::internal(&error),
        }
    }
}

impl ApiError {
    /// Too much is waiting.
    pub(crate) fn overloaded() -> Self {
        Self::new(ErrorCode::Overloaded, "too much is waiting; try again")
            .retry_after(OVERLOAD_RETRY)
    }
}

impl From<ResendError> for ApiError {
    fn from(error: ResendError) -> Self {
        match error {
            ResendError::NotFound => Self::not_found("the message or endpoint"),
            ResendError::PayloadGone => Self::new(
                ErrorCode::PayloadGone,
                "the message's payload was expunged or its retention is over",
            ),
            ResendError::MessageExpired => Self::new(
                ErrorCode::MessageExpired,
                "the time that the message's expireAfter set is over",
            ),
            ResendError::EndpointDisabled => {
                Self::new(ErrorCode::EndpointDisabled, "the endpoint is disabled")
            }
            ResendError::IdempotencyKeyReused => Self::idempotency_key_reused(),
            ResendError::Store(error) => error.into(),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::new(ErrorCode::AuthenticationFailed, error.to_string())
    }
}

impl From<AuthFailure> for ApiError {
    fn from(failure: AuthFailure) -> Self {
        match failure {
            AuthFailure::Refused(error) => error.into(),
            AuthFailure::Store(error) => error.into(),
        }
    }
}

impl From<Violations> for ApiError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (code, detail, retry_after) = match self {
            Self::Invalid(violations) => {
                let detail = violations.into_vec();
                let body = Json(ValidationBody { detail });
                return (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
            }
            Self::Coded {
                code,
                detail,
                retry_after,
            } => (code, detail, retry_after),
        };
        let body = ErrorBody {
            code: code.as_str(),
            detail,
        };
        let mut response = (code.status(), Json(body)).into_response();
        let mut add = |name: HeaderName, value| response.headers_mut().insert(name, value);
        if let Some(delay) = retry_after {
            let secs = delay.as_millis().div_ceil(1000).clamp(1, 3600);
            let secs = u64::try_from(secs).unwrap_or(u64::MAX);
            add(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if code == ErrorCode::AuthenticationFailed {
            add(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_documented() {
        for (at, code) in ErrorCode::ALL.iter().enumerate() {
            assert!(code.doc().len() > 20, "{code:?}");
            let same = |other: &&ErrorCode| other.as_str() == code.as_str();
            assert_eq!(ErrorCode::ALL.iter().filter(same).count(), 1);
            assert_eq!(ErrorCode::ALL[at], *code);
        }
    }

    #[test]
    fn an_outage_says_when_to_come_back_and_nothing_else() {
        let error = ApiError::from(StoreError::Unavailable("secret path".to_owned()));
        assert!(!format!("{error:?}").contains("secret"));
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "30");
    }
}
