//! `/api/v1/management/authentication`: the tokens of an organisation that the API makes.

mod body;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::access::api_token::ApiToken;
use hookseal_domain::id::{ApiTokenId, OrgId};
use hookseal_store::error::ChangeError;
use hookseal_store::page::PageRequest;
use hookseal_store::tokens::{ApiTokenChange, NewApiToken};

use crate::api::Api;
use crate::api::access::{ApiTokenPath, Authorized, Environment};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::management::body::{
    ApiTokenCensoredOut, ApiTokenExpireIn, ApiTokenIn, ApiTokenOut, ApiTokenPatch, ApiTokenUpdate,
};
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::{ApiTokenParams, EnvironmentParams, IdempotencyHeader};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::ok;

/// What the errors call it.
const WHAT: &str = "the API token";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, patch))
        .routes(routes!(expire))
}

impl FromQuery for PageRequest<ApiTokenId> {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        query.ordered_page()
    }
}

/// Lists the API tokens of the organisation, those among them that ended in the last 90 days.
#[utoipa::path(get, path = "/api/v1/management/authentication/{env_id}/api-token",
    operation_id = "v1.management.authentication.list-api-tokens", tag = "Management",
    params(EnvironmentParams, OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<ApiTokenCensoredOut>), ErrorResponses))]
async fn list(
    Authorized(Environment(org)): Authorized<Environment>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<ApiTokenId>>,
) -> Result<Response, ApiError> {
    let page = api.engine.store().api_tokens(org, page).await?;
    let shape = |row: ApiToken| Some(ApiTokenCensoredOut::of(row));
    Ok(ok(&ListResponse::of(page, |row| row.id, shape)))
}

/// Makes an API token. This answer is the only one that shows it.
///
/// A repeated request makes no second token: the one that it made before gets a new text, and the
/// text of the earlier answer holds no more.
#[utoipa::path(post, path = "/api/v1/management/authentication/{env_id}/api-token",
    operation_id = "v1.management.authentication.create-api-token", tag = "Management",
    params(EnvironmentParams, IdempotencyHeader), request_body = ApiTokenIn,
    responses((status = 200, description = "Made", body = ApiTokenOut), ErrorResponses))]
async fn create(
    Authorized(Environment(org)): Authorized<Environment>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let now = api.engine.now();
    let checked = input.read::<ApiTokenIn>()?.check(now)?;
    let who = Principal::Organisation(org);
    let idempotency = input.idempotency(who, now, format_args!("api-token"));
    let text = api.new_token_text();
    let token = ApiToken {
        id: api.engine.next_id(),
        org,
        name: checked.name,
        scopes: checked.scopes,
        ending: text.ending(),
        expires_at: checked.expires_at,
        used_at: None,
    };
    let hash = text.hash();
    let new = NewApiToken { token, hash, now };
    let made = changed(&api, move |api| async move {
        let made = api.engine.store().create_api_token(new, idempotency).await;
        // One that was made before has another text now.
        (made.as_ref().map(|made| made.id).ok(), made)
    });
    Ok(ok(&ApiTokenOut::of(made.await?, &text)))
}

/// Shows an API token, but for its text.
#[utoipa::path(get, path = "/api/v1/management/authentication/{env_id}/api-token/{key_id}",
    operation_id = "v1.management.authentication.get-api-token", tag = "Management",
    params(ApiTokenParams),
    responses((status = 200, description = "The token", body = ApiTokenCensoredOut), ErrorResponses))]
async fn get(
    Authorized(Environment(org)): Authorized<Environment>,
    ApiTokenPath(id): ApiTokenPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let found = api.engine.store().api_token(org, id).await?;
    let found = found.ok_or_else(|| ApiError::not_found(WHAT))?;
    Ok(ok(&ApiTokenCensoredOut::of(found)))
}

/// Names an API token anew.
#[utoipa::path(put, path = "/api/v1/management/authentication/{env_id}/api-token/{key_id}",
    operation_id = "v1.management.authentication.update-api-token", tag = "Management",
    params(ApiTokenParams), request_body = ApiTokenUpdate,
    responses((status = 200, description = "Changed", body = ApiTokenCensoredOut), ErrorResponses))]
async fn put(
    Authorized(Environment(org)): Authorized<Environment>,
    ApiTokenPath(id): ApiTokenPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let change = input.read::<ApiTokenUpdate>()?.check()?;
    change_token(&api, org, id, change).await
}

/// Changes an API token's name or scopes. Scopes hold from the next request on.
#[utoipa::path(patch, path = "/api/v1/management/authentication/{env_id}/api-token/{key_id}",
    operation_id = "v1.management.authentication.patch-api-token", tag = "Management",
    params(ApiTokenParams), request_body = ApiTokenPatch,
    responses((status = 200, description = "Changed", body = ApiTokenCensoredOut), ErrorResponses))]
async fn patch(
    Authorized(Environment(org)): Authorized<Environment>,
    ApiTokenPath(id): ApiTokenPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let change = input.read::<ApiTokenPatch>()?.check()?;
    change_token(&api, org, id, change).await
}

/// Ends an API token, at once if nothing else is said. It never ends later than it would have.
#[utoipa::path(post, path = "/api/v1/management/authentication/{env_id}/api-token/{key_id}/expire",
    operation_id = "v1.management.authentication.expire-api-token", tag = "Management",
    params(ApiTokenParams), request_body = ApiTokenExpireIn,
    responses((status = 204, description = "It holds no more, or ends so"), ErrorResponses))]
async fn expire(
    Authorized(Environment(org)): Authorized<Environment>,
    ApiTokenPath(id): ApiTokenPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let grace = input.read::<ApiTokenExpireIn>()?.check()?;
    let at = api.engine.now().plus(grace);
    changed(&api, move |api| async move {
        let expired = api.engine.store().expire_api_token(org, id, at).await;
        (Some(id), expired)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn change_token(
    api: &Api,
    org: OrgId,
    id: ApiTokenId,
    change: ApiTokenChange,
) -> Result<Response, ApiError> {
    let token = changed(api, move |api| async move {
        let store = api.engine.store();
        (Some(id), store.change_api_token(org, id, change).await)
    });
    Ok(ok(&ApiTokenCensoredOut::of(token.await?)))
}

/// Changes a token, and forgets what was known of it. Goes on to its end even when the client stops
/// waiting, so that nothing old stays in mind.
async fn changed<T, F, Change>(api: &Api, change: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(Api) -> Change + Send + 'static,
    Change: Future<Output = (Option<ApiTokenId>, Result<T, ChangeError>)> + Send,
{
    let api = Api::clone(api);
    let changing = tokio::spawn(async move {
        let (id, changed) = change(Api::clone(&api)).await;
        if let Some(id) = id {
            api.auth.api_token_changed(id);
        }
        changed
    });
    let changed = changing.await.map_err(|error| ApiError::internal(&error))?;
    changed.map_err(|error| ApiError::change(WHAT, error))
}
