//! Who may do what: every handler names in its signature what its caller must be allowed to touch.
//!
//! **Invariant:** an application's token reaches its own application only, and can't tell whether
//! another one exists.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header;
use axum::http::request::Parts;

use hookseal_domain::access::Principal;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, AttemptId, OrgId};
use hookseal_domain::message::Message;
use hookseal_domain::uid::Uid;
use hookseal_domain::violation::Violation;
use hookseal_store::config::Routing;
use hookseal_store::reference::{AppRef, EndpointRef, MessageRef};

use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::{Api, ApiContext};

/// Proof that the caller may touch what `S` names.
pub(crate) struct Authorized<S>(pub(crate) S);

/// Something that a caller may be allowed to touch.
pub(crate) trait Scope: Sized {
    /// Checks the caller against the request's path.
    fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> impl Future<Output = Result<Self, ApiError>> + Send;
}

/// The organisation itself; not for application tokens.
pub(crate) struct Organisation(pub(crate) OrgId);

/// What everybody in the organisation may read.
pub(crate) struct Catalogue(pub(crate) Principal);

/// The application in the path; for its own tokens and the organisation's.
pub(crate) struct OwnApplication {
    /// Who asks.
    pub(crate) principal: Principal,
    /// The application as it stands.
    pub(crate) routing: Arc<Routing>,
}

/// The application in the path; for the organisation's tokens only.
pub(crate) struct ManagedApplication(pub(crate) OwnApplication);

/// The application in the path, which need not exist yet.
pub(crate) struct AppPath(pub(crate) AppRef);

/// The endpoint in the path.
pub(crate) struct EndpointPath(pub(crate) EndpointRef);

/// The message in the path.
pub(crate) struct MessagePath(pub(crate) MessageRef);

/// The attempt in the path.
pub(crate) struct AttemptPath(pub(crate) AttemptId);

/// The event type in the path.
pub(crate) struct EventTypePath(pub(crate) EventTypeName);

// === impl Authorized ===

impl<S: Scope> FromRequestParts<Api> for Authorized<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let principal = authenticate(parts, api)?;
        S::authorize(api, principal, parts).await.map(Self)
    }
}

fn authenticate(parts: &Parts, api: &ApiContext) -> Result<Principal, ApiError> {
    let missing = || {
        ApiError::new(
            ErrorCode::AuthenticationFailed,
            "a header `Authorization: Bearer <token>` is needed",
        )
    };
    let given = parts.headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    let (scheme, token) = given.and_then(|v| v.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    let known = api.auth.verify(token.trim(), api.engine.now())?;
    if let Some(limit) = &api.token_limit {
        limit.check(known.token_hash)?;
    }
    Ok(known.principal)
}

// === impl Scope ===

impl Scope for Organisation {
    async fn authorize(
        _: &ApiContext,
        principal: Principal,
        _: &mut Parts,
    ) -> Result<Self, ApiError> {
        match principal {
            Principal::Organisation(org) => Ok(Self(org)),
            Principal::Application(..) => Err(forbidden()),
        }
    }
}

impl Scope for Catalogue {
    async fn authorize(
        _: &ApiContext,
        principal: Principal,
        _: &mut Parts,
    ) -> Result<Self, ApiError> {
        Ok(Self(principal))
    }
}

impl Scope for OwnApplication {
    async fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        let AppPath(app) = AppPath::read(parts).await?;
        let routing = api.engine.routing(principal.org(), &app).await?;
        routing
            .filter(|routing| principal.may_access(routing.application.id))
            .map(|routing| Self { principal, routing })
            .ok_or_else(|| ApiError::not_found("the application"))
    }
}

impl Scope for ManagedApplication {
    async fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        Organisation::authorize(api, principal, parts).await?;
        OwnApplication::authorize(api, principal, parts)
            .await
            .map(Self)
    }
}

fn forbidden() -> ApiError {
    ApiError::new(
        ErrorCode::InsufficientPermissions,
        "this needs a token of the organisation, not of an application",
    )
}

// === impl OwnApplication ===

impl OwnApplication {
    /// The application.
    pub(crate) fn id(&self) -> AppId {
        self.routing.application.id
    }

    /// One of its endpoints.
    pub(crate) async fn endpoint(
        &self,
        api: &ApiContext,
        endpoint: &EndpointRef,
    ) -> Result<Endpoint, ApiError> {
        let found = api.engine.store().endpoint(self.id(), endpoint).await?;
        found.ok_or_else(|| ApiError::not_found("the endpoint"))
    }

    /// One of its messages.
    pub(crate) async fn message(
        &self,
        api: &ApiContext,
        message: &MessageRef,
    ) -> Result<Message, ApiError> {
        let found = api.engine.store().message(self.id(), message).await?;
        found.ok_or_else(|| ApiError::not_found("the message"))
    }
}

// === impl AppPath ===

impl AppPath {
    async fn read(parts: &mut Parts) -> Result<Self, ApiError> {
        let text = path_param(parts, "app_id").await?;
        Ok(Self(AppRef::parse(&text)))
    }
}

impl FromRequestParts<Api> for AppPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        Self::read(parts).await
    }
}

impl FromRequestParts<Api> for EndpointPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = path_param(parts, "endpoint_id").await?;
        Ok(Self(EndpointRef::parse(&text)))
    }
}

impl FromRequestParts<Api> for MessagePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = path_param(parts, "msg_id").await?;
        Ok(Self(MessageRef::parse(&text)))
    }
}

impl FromRequestParts<Api> for AttemptPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = path_param(parts, "attempt_id").await?;
        AttemptId::parse(&text)
            .map(Self)
            .ok_or_else(|| ApiError::not_found("the attempt"))
    }
}

impl FromRequestParts<Api> for EventTypePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = path_param(parts, "event_type_name").await?;
        let name = EventTypeName::parse(&text);
        name.map(Self)
            .map_err(|violation| Violations::one(&["path", "event_type_name"], &violation).into())
    }
}

/// A part of the path that may be an id or a uid, which have the same shape.
pub(crate) async fn path_param(parts: &mut Parts, name: &'static str) -> Result<String, ApiError> {
    /// No uid can begin with this: ids are taken too.
    const NO_PREFIX: &str = "/";
    let invalid =
        |violation: &Violation| ApiError::from(Violations::one(&["path", name], violation));
    let given = RawPathParams::from_request_parts(parts, &()).await;
    let given = given.map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path is not UTF-8"))?;
    let text = given.iter().find(|(key, _)| *key == name);
    let text = text.map(|(_, value)| value).unwrap_or_default();
    match Uid::parse(text, NO_PREFIX) {
        Ok(_) => Ok(text.to_owned()),
        Err(violation) => Err(invalid(&violation)),
    }
}
