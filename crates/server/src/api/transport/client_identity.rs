//! `/api/v1/transport/client-identity`: certificates that we present to receivers.
//!
//! **Invariant:** a private key comes in, or is made here, and never goes out; nothing old is
//! retired before a receiver accepted what replaces it, unless a person forces it.

mod body;
mod certificates;
mod edit;
mod given;
mod requests;
mod rotation;
mod steps;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::transport::name::Name;
use hookseal_store::page::PageRequest;

use crate::api::Api;
use crate::api::access::{Authorized, Organisation};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::TransportNameParams;
use crate::api::query::Query;
use crate::api::respond::ok;
use crate::api::transport::client_identity::body::IdentityOut;
use crate::api::transport::named::{NamePath, page_of};

pub(crate) use crate::api::transport::client_identity::edit::presented_alone;
pub(crate) use crate::api::transport::client_identity::given::{Uploaded, uploaded_pem};

/// What the errors call it.
const WHAT: &str = "the client identity";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, delete))
        .merge(certificates::routes())
        .merge(requests::routes())
        .merge(steps::routes())
        .merge(rotation::routes())
}

/// Lists the client identities by name, without their keys.
#[utoipa::path(get, path = "/api/v1/transport/client-identity", operation_id = "v1.transport.client-identity.list", tag = "Transport",
    params(OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<IdentityOut>), ErrorResponses))]
async fn list(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<Name>>,
) -> Result<Response, ApiError> {
    let book = api.book(org).await?;
    let page = page_of(&book.identities, &page);
    let list = ListResponse::of(
        page,
        |(name, _)| name.clone(),
        |(_, identity)| Some(IdentityOut::of(&identity)),
    );
    Ok(ok(&list))
}

/// Shows a client identity, without its keys.
#[utoipa::path(get, path = "/api/v1/transport/client-identity/{name}", operation_id = "v1.transport.client-identity.get", tag = "Transport",
    params(TransportNameParams),
    responses((status = 200, description = "The identity", body = IdentityOut), ErrorResponses))]
async fn get(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let book = api.book(org).await?;
    let found = book.identities.get(&name).map(Arc::as_ref);
    let identity = found.ok_or_else(|| ApiError::not_found(WHAT))?;
    Ok(ok(&IdentityOut::of(identity)))
}

/// Deletes a client identity that no policy and no endpoint names, with its keys.
#[utoipa::path(delete, path = "/api/v1/transport/client-identity/{name}", operation_id = "v1.transport.client-identity.delete", tag = "Transport",
    params(TransportNameParams), responses((status = 204, description = "Deleted"), ErrorResponses))]
async fn delete(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let _turn = api.turns.of(org).await;
    api.delete_identity(org, name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
