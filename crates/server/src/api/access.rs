//! Who may do what: every handler names in its signature what its caller must be allowed to touch.
//!
//! **Invariant:** an application's token reaches its own application only, and can't tell whether
//! another one exists.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::request::Parts;
use axum::http::{Method, header};

use hookseal_domain::access::Principal;
use hookseal_domain::access::scopes::Need;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{ApiTokenId, AppId, AttemptId, OrgId};
use hookseal_domain::message::Message;
use hookseal_domain::uid::Uid;
use hookseal_domain::violation::Violation;
use hookseal_store::config::Routing;
use hookseal_store::reference::{AppRef, EndpointRef, MessageRef};

use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::message::PUBLISH_PATHS;
use crate::api::{Api, ApiContext};
use crate::auth::{AuthError, Authenticated, Grant};

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

/// The organisation in the path, which is to be the caller's; not for application tokens.
pub(crate) struct Environment(pub(crate) OrgId);

/// What everybody in the organisation may read.
pub(crate) struct Catalogue(pub(crate) Reader);

/// Whoever asks, for what concerns its token only.
pub(crate) struct Anybody(pub(crate) Authenticated);

/// Who reads, and what its token says it is to see.
#[derive(Clone)]
pub(crate) struct Reader {
    principal: Principal,
    grant: Arc<Grant>,
}

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

/// The API token in the path.
pub(crate) struct ApiTokenPath(pub(crate) ApiTokenId);

/// The event type in the path.
pub(crate) struct EventTypePath(pub(crate) EventTypeName);

// === impl Authorized ===

impl<S: Scope> FromRequestParts<Api> for Authorized<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let known = authenticate(parts, api).await?;
        let principal = known.principal;
        if !known.grant.scopes.allows(need(parts)) {
            return Err(beyond_scopes());
        }
        parts.extensions.insert(known);
        S::authorize(api, principal, parts).await.map(Self)
    }
}

/// Where a token may ask about itself, or end itself.
pub(crate) const ITS_OWN: [&str; 2] = ["/api/v1/auth/whoami", "/api/v1/auth/logout"];
/// What the scope `publish` is for, too.
const CHECKING: &str = "/api/v1/app/{app_id}/msg/precheck/active";

/// What a request asks for. A safe method changes nothing (RFC 9110 §9.2.1), but what it shows may
/// be a secret, with which more can be done than to look.
fn need(parts: &Parts) -> Need {
    let path = parts.extensions.get::<MatchedPath>();
    let path = path.map(MatchedPath::as_str).unwrap_or_default();
    let is_safe = parts.method == Method::GET || parts.method == Method::HEAD;
    if ITS_OWN.contains(&path) {
        Need::Itself
    } else if is_safe && !path.ends_with("/secret") {
        Need::Read
    } else if parts.method == Method::POST && is_publishing(path) {
        Need::Publish
    } else {
        Need::Full
    }
}

fn is_publishing(path: &str) -> bool {
    PUBLISH_PATHS.contains(&path) || path == CHECKING
}

fn beyond_scopes() -> ApiError {
    ApiError::new(
        ErrorCode::InsufficientPermissions,
        "the token's scopes do not cover this",
    )
}

async fn authenticate(parts: &Parts, api: &ApiContext) -> Result<Authenticated, ApiError> {
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
    let (store, now) = (api.engine.store(), api.engine.now());
    let known = api.auth.authenticate(store, token.trim(), now).await?;
    check_cutoffs(api, &known).await?;
    if let Some(limit) = &api.token_limit {
        limit.check(known.token_hash.0)?;
    }
    Ok(known)
}

/// Refuses a token of an application that is gone, or whose tokens of that time were ended.
async fn check_cutoffs(api: &ApiContext, known: &Authenticated) -> Result<(), ApiError> {
    let Principal::Application(org, app) = known.principal else {
        return Ok(());
    };
    let routing = api.engine.routing(org, &AppRef::Id(app)).await?;
    let routing = routing.ok_or(AuthError::Unknown)?;
    let (issued_at, now) = (known.grant.issued_at, api.engine.now());
    if routing.token_cutoffs.ended(issued_at, now) {
        return Err(AuthError::Revoked.into());
    }
    Ok(())
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

impl Scope for Environment {
    async fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        let Organisation(org) = Organisation::authorize(api, principal, parts).await?;
        let named = OrgId::parse(&path_param(parts, "env_id").await?);
        match named {
            Some(named) if named == org => Ok(Self(org)),
            _ => Err(ApiError::not_found("the environment")),
        }
    }
}

impl Scope for Catalogue {
    async fn authorize(
        _: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        let grant = Arc::clone(&authenticated(parts)?.grant);
        Ok(Self(Reader { principal, grant }))
    }
}

impl Scope for Anybody {
    async fn authorize(_: &ApiContext, _: Principal, parts: &mut Parts) -> Result<Self, ApiError> {
        authenticated(parts).cloned().map(Self)
    }
}

/// The token that the request came with.
fn authenticated(parts: &Parts) -> Result<&Authenticated, ApiError> {
    let known = parts.extensions.get();
    known.ok_or_else(|| AuthError::Unknown.into())
}

// === impl Reader ===

impl Reader {
    /// The organisation that everything is looked up in.
    pub(crate) fn org(&self) -> OrgId {
        self.principal.org()
    }

    /// Whether it may know of something that needs one of these flags, if there are any.
    pub(crate) fn is_offered(&self, flags: &[String]) -> bool {
        let has = |flag| self.grant.feature_flags.contains(flag);
        match self.principal {
            Principal::Organisation(_) => true,
            Principal::Application(..) => flags.is_empty() || flags.iter().any(has),
        }
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

impl Scope for (OwnApplication, Catalogue) {
    async fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        let own = OwnApplication::authorize(api, principal, parts).await?;
        Ok((own, Catalogue::authorize(api, principal, parts).await?))
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

impl FromRequestParts<Api> for ApiTokenPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = path_param(parts, "key_id").await?;
        let id = ApiTokenId::parse(&text).map(Self);
        id.ok_or_else(|| ApiError::not_found("the API token"))
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
