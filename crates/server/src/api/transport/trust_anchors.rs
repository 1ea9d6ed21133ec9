//! `/api/v1/transport/trust-anchors`: named sets of private roots.
//!
//! **Invariant:** a root that endpoints still need is not removed by accident.

mod anchor;
mod body;
mod edit;
mod given;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::id::OrgId;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::Force;
use hookseal_store::page::PageRequest;

use crate::api::access::{Authorized, Organisation};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::{IdempotencyHeader, TransportNameParams};
use crate::api::query::Query;
use crate::api::respond::{json, ok};
use crate::api::transport::change::ForceParams;
use crate::api::transport::named::{NamePath, check_new_name, page_of};
use crate::api::transport::trust_anchors::body::{AnchorSetOut, AnchorsIn};
use crate::api::transport::trust_anchors::edit::added;
use crate::api::{Api, ApiContext};

pub(crate) use crate::api::transport::trust_anchors::body::Users;
pub(crate) use crate::api::transport::trust_anchors::edit::replaced;
pub(crate) use crate::api::transport::trust_anchors::given::{from_secs, given_anchors, unix_time};

/// What the errors call it.
const WHAT: &str = "the trust anchor set";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, delete))
        .routes(routes!(add))
        .merge(anchor::routes())
}

/// Lists the trust anchor sets by name.
#[utoipa::path(get, path = "/api/v1/transport/trust-anchors", operation_id = "v1.transport.trust-anchors.list", tag = "Transport",
    params(OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<AnchorSetOut>), ErrorResponses))]
async fn list(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<Name>>,
) -> Result<Response, ApiError> {
    let book = api.book(org).await?;
    let page = page_of(&book.anchor_sets, &page);
    let list = ListResponse::of(
        page,
        |(name, _)| name.clone(),
        |(_, set)| Some(AnchorSetOut::of(&set, None)),
    );
    Ok(ok(&list))
}

/// Shows a trust anchor set, with the number of endpoints whose chains end in each root.
#[utoipa::path(get, path = "/api/v1/transport/trust-anchors/{name}", operation_id = "v1.transport.trust-anchors.get", tag = "Transport",
    params(TransportNameParams),
    responses((status = 200, description = "The set", body = AnchorSetOut), ErrorResponses))]
async fn get(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    api.anchor_set(org, &name, StatusCode::OK).await
}

/// Replaces a trust anchor set, or makes it.
///
/// A root that the new set lacks and that endpoints' chains still end in is not removed unless
/// forced: give both, wait until `endpoints` of the old one is 0, and then remove it.
#[utoipa::path(put, path = "/api/v1/transport/trust-anchors/{name}", operation_id = "v1.transport.trust-anchors.put", tag = "Transport",
    params(TransportNameParams, ForceParams), request_body = AnchorsIn,
    responses((status = 200, description = "Replaced", body = AnchorSetOut),
        (status = 201, description = "Made", body = AnchorSetOut), ErrorResponses))]
async fn put(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    Query(force): Query<Force>,
    input: Input,
) -> Result<Response, ApiError> {
    let anchors = input.read::<AnchorsIn>()?.check(api.engine.now())?;
    let _turn = api.turns.of(org).await;
    let edit = |before: Option<&_>, users: &_| {
        if before.is_none() {
            check_new_name(&name)?;
        }
        replaced(&name, before, &anchors, users, force)
    };
    let (set, made) = api.edit_anchor_set(org, &name, None, edit).await?;
    let users = api.anchor_users(org, Some(&set)).await?;
    Ok(json(made, &AnchorSetOut::of(&set, Some(&users))))
}

/// Deletes a trust anchor set that no policy and no endpoint names.
#[utoipa::path(delete, path = "/api/v1/transport/trust-anchors/{name}", operation_id = "v1.transport.trust-anchors.delete", tag = "Transport",
    params(TransportNameParams), responses((status = 204, description = "Deleted"), ErrorResponses))]
async fn delete(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let _turn = api.turns.of(org).await;
    api.delete_anchor_set(org, name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Adds roots to a trust anchor set, or makes it.
#[utoipa::path(post, path = "/api/v1/transport/trust-anchors/{name}/anchors", operation_id = "v1.transport.trust-anchors.add", tag = "Transport",
    params(TransportNameParams, IdempotencyHeader), request_body = AnchorsIn,
    responses((status = 201, description = "Added", body = AnchorSetOut), ErrorResponses))]
async fn add(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let now = api.engine.now();
    let anchors = input.read::<AnchorsIn>()?.check(now)?;
    let who = Principal::Organisation(org);
    let request = input.idempotency(who, now, format_args!("trust-anchors {name}"));
    let _turn = api.turns.of(org).await;
    if api.earlier(request).await?.is_some() {
        return api.anchor_set(org, &name, StatusCode::CREATED).await;
    }
    let edit = |before: Option<&_>, _: &_| {
        if before.is_none() {
            check_new_name(&name)?;
        }
        added(&name, before, &anchors)
    };
    let (set, _) = api.edit_anchor_set(org, &name, request, edit).await?;
    let users = api.anchor_users(org, Some(&set)).await?;
    Ok(json(
        StatusCode::CREATED,
        &AnchorSetOut::of(&set, Some(&users)),
    ))
}

impl ApiContext {
    /// A set as it stands now.
    async fn anchor_set(
        &self,
        org: OrgId,
        name: &Name,
        status: StatusCode,
    ) -> Result<Response, ApiError> {
        let book = self.book(org).await?;
        let found = book.anchor_sets.get(name).map(Arc::as_ref);
        let set = found.ok_or_else(|| ApiError::not_found(WHAT))?;
        let users = self.anchor_users(org, Some(set)).await?;
        Ok(json(status, &AnchorSetOut::of(set, Some(&users))))
    }
}
