//! `/api/v1/app/{app_id}/endpoint`: endpoints.

pub(crate) mod body;
pub(crate) mod breaker;
mod discipline;
mod enable;
mod example;
mod filter;
pub(crate) mod headers;
mod mtls;
mod order;
mod out;
mod pace;
pub(crate) mod pins;
mod private;
mod recovery;
mod rules;
pub(crate) mod secret;
mod server_ca;
pub(crate) mod transport;
mod verification;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::{Endpoint, EndpointSpec};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::signature::key::{HMAC_BYTES, SigningKey};
use hookseal_store::config::{Created, NewEndpoint};
use hookseal_store::page::PageRequest;
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::EndpointRef;

use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::endpoint::body::{CheckedEndpoint, EndpointIn, EndpointPatch, EndpointUpdate};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::{ApplicationPath, EndpointParams, IdempotencyHeader};
use crate::api::query::{FromQuery, Query, QueryReader};
use crate::api::respond::{json, ok, upserted};
use crate::api::{Api, ApiContext};

pub(crate) use crate::api::endpoint::out::{EndpointOut, is_disabled, texts};

/// What the errors call it.
pub(crate) const WHAT: &str = "the endpoint";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, patch, delete))
        .merge(headers::routes())
        .merge(breaker::routes())
        .merge(filter::routes())
        .merge(pace::routes())
        .merge(secret::routes())
        .merge(mtls::routes())
        .merge(server_ca::routes())
        .merge(transport::routes())
        .merge(pins::routes())
        .merge(order::routes())
        .merge(enable::routes())
        .merge(recovery::routes())
        .merge(example::routes())
        .merge(verification::routes())
}

impl FromQuery for PageRequest<EndpointId> {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        query.ordered_page()
    }
}

/// Lists the endpoints of an application.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint", operation_id = "v1.endpoint.list", tag = "Endpoint",
    params(ApplicationPath, OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<EndpointOut>), ErrorResponses))]
async fn list(
    Authorized(own): Authorized<OwnApplication>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<EndpointId>>,
) -> Result<Response, ApiError> {
    let now = api.engine.now();
    let page = api.engine.store().endpoints(own.id(), page).await?;
    let list = ListResponse::of(page, |row| row.id, |row| Some(EndpointOut::of(row, now)));
    Ok(ok(&list))
}

/// Makes an endpoint.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint", operation_id = "v1.endpoint.create", tag = "Endpoint",
    params(ApplicationPath, IdempotencyHeader), request_body = EndpointIn,
    responses((status = 201, description = "Made", body = EndpointOut), ErrorResponses))]
async fn create(
    Authorized(own): Authorized<OwnApplication>,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let checked = input
        .read::<EndpointIn>()?
        .check(&api.config.address_policy)?;
    let idempotency = input.idempotency(
        own.principal,
        api.engine.now(),
        format_args!("endpoint {}", own.id()),
    );
    api.check_plain_http(&own, None, &checked.spec.url).await?;
    let made = api.create_endpoint(own.id(), checked, idempotency).await?;
    Ok(json(
        StatusCode::CREATED,
        &EndpointOut::of(made.into_inner(), api.engine.now()),
    ))
}

/// Shows an endpoint.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.get", tag = "Endpoint",
    params(EndpointParams),
    responses((status = 200, description = "The endpoint", body = EndpointOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    Ok(ok(&EndpointOut::of(endpoint, api.engine.now())))
}

/// Replaces an endpoint, or makes it.
///
/// Headers and signing key stay. Where the body has no `uid`, the uid in the path stays.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.update", tag = "Endpoint",
    params(EndpointParams), request_body = EndpointUpdate,
    responses((status = 200, description = "Replaced", body = EndpointOut),
        (status = 201, description = "Made", body = EndpointOut), ErrorResponses))]
async fn put(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let mut body: EndpointUpdate = input.read()?;
    if let EndpointRef::Uid(uid) = &named {
        body = body.named(uid);
    }
    let spec = body.check(&api.config.address_policy)?;
    let found = api.engine.store().endpoint(own.id(), &named).await?;
    api.check_plain_http(&own, found.as_ref(), &spec.url)
        .await?;
    let put = match (found, named) {
        (Some(before), _) => Created::Existing(api.replace_endpoint(own.id(), before, spec).await?),
        (None, EndpointRef::Id(_)) => return Err(ApiError::not_found(WHAT)),
        (None, EndpointRef::Uid(_)) => {
            let made = api.create_endpoint(own.id(), CheckedEndpoint::plain(spec), None);
            Created::New(made.await?.into_inner())
        }
    };
    Ok(upserted(put, |endpoint| {
        EndpointOut::of(endpoint, api.engine.now())
    }))
}

/// Changes parts of an endpoint.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "patch_endpoint", tag = "Endpoint",
    params(EndpointParams), request_body = EndpointPatch,
    responses((status = 200, description = "Changed", body = EndpointOut), ErrorResponses))]
async fn patch(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let patch: EndpointPatch = input.read()?;
    let _turn = api.turns.of(own.id()).await;
    let before = own.endpoint(&api, &named).await?;
    let spec = patch.apply(before.clone(), &api.config.address_policy)?;
    api.check_plain_http(&own, Some(&before), &spec.url).await?;
    let endpoint = api.replace_endpoint(own.id(), before, spec).await?;
    Ok(ok(&EndpointOut::of(endpoint, api.engine.now())))
}

/// Deletes an endpoint; its unfinished deliveries end.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}", operation_id = "v1.endpoint.delete", tag = "Endpoint",
    params(EndpointParams), responses((status = 204, description = "Deleted"), ErrorResponses))]
async fn delete(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    api.delete_endpoint(&own, endpoint).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

// === impl CheckedEndpoint ===

impl CheckedEndpoint {
    /// One without headers that brings no signing key.
    pub(crate) fn plain(spec: EndpointSpec) -> Self {
        Self {
            spec,
            headers: Default::default(),
            signing_key: None,
        }
    }
}

impl ApiContext {
    /// Deletes an endpoint with what belongs to it alone.
    pub(crate) async fn delete_endpoint(
        &self,
        own: &OwnApplication,
        endpoint: EndpointId,
    ) -> Result<(), ApiError> {
        let (app, now) = (own.id(), self.engine.now());
        self.change(WHAT, app, move |store| async move {
            store.delete_endpoint(app, endpoint, now).await
        })
        .await?;
        self.forget_private(own.principal.org(), [endpoint]).await
    }

    /// Makes an endpoint.
    pub(crate) async fn create_endpoint(
        &self,
        app: AppId,
        checked: CheckedEndpoint,
        idempotency: Option<Idempotency>,
    ) -> Result<Created<Endpoint>, ApiError> {
        let signing_key = match checked.signing_key {
            Some(key) => key,
            None => self.new_signing_key()?,
        };
        let new = NewEndpoint {
            id: self.engine.next_id(),
            app,
            spec: checked.spec,
            headers: checked.headers,
            signing_key,
            now: self.engine.now(),
        };
        self.change(WHAT, app, move |store| async move {
            store.create_endpoint(new, idempotency).await
        })
        .await
    }

    /// Replaces what the client says of an endpoint.
    pub(crate) async fn replace_endpoint(
        &self,
        app: AppId,
        before: Endpoint,
        spec: EndpointSpec,
    ) -> Result<Endpoint, ApiError> {
        let (endpoint, now) = (before.id, self.engine.now());
        let enabled = is_disabled(&before) && !spec.disabled;
        let after = self
            .change(WHAT, app, move |store| async move {
                store.update_endpoint(app, endpoint, spec, now).await
            })
            .await?;
        if enabled {
            self.engine.backlog_changed(app, endpoint);
        }
        Ok(after)
    }

    /// A new signing key of the configured kind.
    fn new_signing_key(&self) -> Result<SigningKey, ApiError> {
        let mut secret = self.engine.random_bytes::<HMAC_BYTES>();
        let key = SigningKey::from_bytes(self.config.signing_key_kind, &secret);
        zeroize::Zeroize::zeroize(&mut secret);
        key.map_err(|violation| ApiError::internal(&violation))
    }
}
