//! `/api/v1/transport/policy`: named transport policies.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::OrgId;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{DEFAULT_POLICY, TransportPolicy};
use hookseal_store::page::PageRequest;

use crate::api::access::{Authorized, Organisation};
use crate::api::check::Fields;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::TransportNameParams;
use crate::api::query::Query;
use crate::api::respond::{ok, upserted};
use crate::api::transport::layer::{LayerIn, LayerOut};
use crate::api::transport::named::{NamePath, check_new_name, page_of};
use crate::api::transport::references::Known;
use crate::api::{Api, ApiContext};

/// What the errors call it.
const WHAT: &str = "the transport policy";

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, delete))
}

/// Lists the transport policies by name.
#[utoipa::path(get, path = "/api/v1/transport/policy", operation_id = "v1.transport.policy.list", tag = "Transport",
    params(OrderedPageParams),
    responses((status = 200, description = "A page", body = ListResponse<LayerOut>), ErrorResponses))]
async fn list(
    Authorized(Organisation(org)): Authorized<Organisation>,
    State(api): State<Api>,
    Query(page): Query<PageRequest<Name>>,
) -> Result<Response, ApiError> {
    let book = api.book(org).await?;
    let page = page_of(&book.policies, &page);
    let list = ListResponse::of(
        page,
        |(name, _)| name.clone(),
        |(name, policy)| Some(LayerOut::named(&name, &policy)),
    );
    Ok(ok(&list))
}

/// Shows a transport policy.
#[utoipa::path(get, path = "/api/v1/transport/policy/{name}", operation_id = "v1.transport.policy.get", tag = "Transport",
    params(TransportNameParams),
    responses((status = 200, description = "The policy", body = LayerOut), ErrorResponses))]
async fn get(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let book = api.book(org).await?;
    let found = book.policies.get(&name);
    let policy = found.ok_or_else(|| ApiError::not_found(WHAT))?;
    Ok(ok(&LayerOut::named(&name, policy)))
}

/// Replaces a transport policy, or makes it.
///
/// The policy named `default` lies under all others of the organisation. A change holds for the
/// next connection of every endpoint that the policy applies to; open ones are not used again.
#[utoipa::path(put, path = "/api/v1/transport/policy/{name}", operation_id = "v1.transport.policy.put", tag = "Transport",
    params(TransportNameParams), request_body = LayerIn,
    responses((status = 200, description = "Replaced", body = LayerOut),
        (status = 201, description = "Made", body = LayerOut), ErrorResponses))]
async fn put(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let layer: LayerIn = input.read()?;
    check_new_name(&name)?;
    let _turn = api.turns.of(org).await;
    let policy = api.check_policy(org, &name, layer).await?;
    let (named, now, kept) = (name.clone(), api.engine.now(), policy.clone());
    let put = api.change_organisation(org, move |store| async move {
        store.put_transport_policy(org, named, kept, now).await
    });
    let put = put.await?.map_err(|error| ApiError::change(WHAT, error))?;
    Ok(upserted(put, |()| LayerOut::named(&name, &policy)))
}

/// Deletes a transport policy that no endpoint names.
#[utoipa::path(delete, path = "/api/v1/transport/policy/{name}", operation_id = "v1.transport.policy.delete", tag = "Transport",
    params(TransportNameParams), responses((status = 204, description = "Deleted"), ErrorResponses))]
async fn delete(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let _turn = api.turns.of(org).await;
    let deleted = api.change_organisation(org, move |store| async move {
        store.delete_transport_policy(org, &name).await
    });
    deleted
        .await?
        .map_err(|error| ApiError::change(WHAT, error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl ApiContext {
    /// A policy whose fields hold to their rules and whose names lead somewhere.
    async fn check_policy(
        &self,
        org: OrgId,
        name: &Name,
        layer: LayerIn,
    ) -> Result<TransportPolicy, ApiError> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let policy = layer.check(&mut fields);
        let (book, defaults) = (self.book(org).await?, self.engine.transport_defaults());
        let known = Known {
            book: &book,
            defaults: &defaults,
            endpoint: None,
        };
        known.check(&mut fields, &policy, &below(&book, name));
        Ok(violations.finish(Some(policy))?)
    }
}

/// What lies under the policy: `default`, unless it is that itself.
fn below(book: &TransportBook, name: &Name) -> TransportPolicy {
    let mut policies = book.policies.iter();
    policies
        .find(|(other, _)| other.as_str() == DEFAULT_POLICY && *other != name)
        .map(|(_, policy)| policy.clone())
        .unwrap_or_default()
}
