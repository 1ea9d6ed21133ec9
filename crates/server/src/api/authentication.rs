//! `/api/v1/auth`: what a token is, how it ends before its time, and tokens for portals.

mod body;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::access::api_token::{ApiTokenText, RANDOM_BYTES, TokenHash};
use hookseal_domain::access::cutoffs::Cutoff;
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::secret::Secret;
use hookseal_store::reference::AppRef;

use crate::api::access::{Anybody, AppPath, Authorized, ManagedApplication, Organisation};
use crate::api::authentication::body::{
    AppPortalAccessIn, AppPortalAccessOut, ExpireTokensIn, ONE_TIME_TOKEN_LASTS, OneTimeTokenIn,
    OneTimeTokenOut, TOKEN_LEEWAY, WhoamiOut,
};
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::ApplicationPath;
use crate::api::respond::ok;
use crate::api::{Api, ApiContext};
use crate::auth::{AuthError, Authenticated};

/// What the errors call it.
const WHAT: &str = "the application";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(whoami))
        .routes(routes!(logout))
        .routes(routes!(expire_all))
        .routes(routes!(portal_access))
        .routes(routes!(exchange))
}

/// Says whom the request's token speaks for, and what it may do.
#[utoipa::path(get, path = "/api/v1/auth/whoami", operation_id = "v1.authentication.whoami", tag = "Authentication",
    responses((status = 200, description = "What the token is", body = WhoamiOut), ErrorResponses))]
async fn whoami(Authorized(Anybody(known)): Authorized<Anybody>) -> Result<Response, ApiError> {
    Ok(ok(&WhoamiOut::of(&known)))
}

/// Ends the request's token, which has to be an application's.
#[utoipa::path(post, path = "/api/v1/auth/logout", operation_id = "logout_api_v1_auth_logout__post", tag = "Authentication",
    responses((status = 204, description = "It holds no more"), ErrorResponses))]
async fn logout(
    Authorized(Anybody(known)): Authorized<Anybody>,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    if let Principal::Organisation(_) = known.principal {
        return Err(ApiError::new(
            ErrorCode::InsufficientPermissions,
            "only the token of an application can be logged out; an API token can be expired",
        ));
    }
    // To its end even when the client stops waiting, so that no ended token stays in mind.
    let ending = tokio::spawn(async move { api.end_token(&known).await });
    ending.await.map_err(|error| ApiError::internal(&error))??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends all tokens of an application that were issued by now, one-time tokens included.
///
/// A token that does not say when it was issued (`iat`) counts as issued before.
#[utoipa::path(post, path = "/api/v1/auth/app/{app_id}/expire-all", operation_id = "v1.authentication.expire-all", tag = "Authentication",
    params(ApplicationPath), request_body = ExpireTokensIn,
    responses((status = 204, description = "They hold no more, or end so"), ErrorResponses))]
async fn expire_all(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let grace = input.read::<ExpireTokensIn>()?.check()?;
    let (app, now) = (own.id(), api.engine.now());
    let cutoff = Cutoff {
        issued_until: now,
        at: now.plus(grace),
    };
    api.change(WHAT, app, move |store| async move {
        store.cut_tokens_off(app, cutoff).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Makes a token with which an application's portal is used.
///
/// `url` is the server's public URL with a one-time token in its fragment, which
/// `/auth/one-time-token` exchanges for a token like the one in this answer. The server has no
/// portal page itself. `application` makes the application in the path if it does not exist.
#[utoipa::path(post, path = "/api/v1/auth/app-portal-access/{app_id}", operation_id = "v1.authentication.app-portal-access", tag = "Authentication",
    params(ApplicationPath), request_body = AppPortalAccessIn,
    responses((status = 200, description = "The token", body = AppPortalAccessOut), ErrorResponses))]
async fn portal_access(
    Authorized(Organisation(org)): Authorized<Organisation>,
    AppPath(app): AppPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let access = input.read::<AppPortalAccessIn>()?.check()?;
    if let Some(spec) = access.application {
        api.ensure_application(org, &app, spec).await?;
    }
    let routing = api.engine.routing(org, &app).await?;
    let routing = routing.ok_or_else(|| ApiError::not_found(WHAT))?;
    let grant = PortalGrant {
        org,
        app: routing.application.id,
        scopes: access.scopes,
        feature_flags: access.feature_flags,
        lasts_secs: access.lasts_secs,
        issued_at: routing.token_cutoffs.dated(api.engine.now()),
    };
    let token = api.mint_portal(&grant)?;
    let key = api.one_time_token(grant).await?;
    Ok(ok(&AppPortalAccessOut {
        url: format!("{}/#key={}", api.config.public_url, key.expose()),
        token: token.expose().clone(),
    }))
}

/// Exchanges a one-time token for a token of its application. Needs no other token.
#[utoipa::path(post, path = "/api/v1/auth/one-time-token", operation_id = "v1.authentication.exchange-one-time-token", tag = "Authentication",
    security(()), request_body = OneTimeTokenIn,
    responses((status = 200, description = "The token", body = OneTimeTokenOut), ErrorResponses))]
async fn exchange(State(api): State<Api>, input: Input) -> Result<Response, ApiError> {
    let text = input.read::<OneTimeTokenIn>()?.check()?;
    let hash = TokenHash::of(text.expose());
    let (store, now) = (api.engine.store(), api.engine.now());
    let grant = store.take_one_time_token(hash, now).await?;
    let grant = grant.ok_or(AuthError::Unknown)?;
    api.check_not_ended(&grant).await?;
    let token = api.mint_portal(&grant)?;
    Ok(ok(&OneTimeTokenOut::of(&grant, &token)))
}

impl ApiContext {
    async fn end_token(&self, known: &Authenticated) -> Result<(), ApiError> {
        let (store, now) = (self.engine.store(), self.engine.now());
        let ends_at = known.grant.ends_at.map(|end| end.plus(TOKEN_LEEWAY));
        let ended = store.end_token(known.token_hash, ends_at, now).await;
        // Even where it is not known whether it was stored.
        self.auth.token_ended(known.token_hash);
        ended.map_err(|error| ApiError::change("the token", error))
    }

    /// A grant is as good as a token that was issued then: it may have been cut off while it was kept
    /// or taken.
    async fn check_not_ended(&self, grant: &PortalGrant) -> Result<(), ApiError> {
        let app = AppRef::Id(grant.app);
        let routing = self.engine.routing(grant.org, &app).await?;
        let routing = routing.ok_or(AuthError::Unknown)?;
        let now = self.engine.now();
        if routing.token_cutoffs.ended(Some(grant.issued_at), now) {
            return Err(AuthError::Unknown.into());
        }
        Ok(())
    }

    fn mint_portal(&self, grant: &PortalGrant) -> Result<Secret<String>, ApiError> {
        let minted = self.auth.mint_portal(grant, self.engine.now());
        minted.map_err(|error| ApiError::internal(&error))
    }

    /// Keeps a grant for whoever comes with the text that this returns, once.
    async fn one_time_token(&self, grant: PortalGrant) -> Result<ApiTokenText, ApiError> {
        let text = self.new_token_text();
        let now = self.engine.now();
        let expires_at = now.plus(ONE_TIME_TOKEN_LASTS);
        let store = self.engine.store();
        let kept = store.keep_one_time_token(text.hash(), grant, expires_at, now);
        kept.await.map_err(|error| ApiError::change(WHAT, error))?;
        Ok(text)
    }

    /// A new random text.
    pub(crate) fn new_token_text(&self) -> ApiTokenText {
        ApiTokenText::of(&Secret::new(self.engine.random_bytes::<RANDOM_BYTES>()))
    }
}
