//! `/api/v1/transport/policy`: named transport policies.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::OrgId;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::Force;
use hookseal_domain::transport::policy::{
    DEFAULT_POLICY, EndpointTransport, Pinning, TransportPolicy,
};
use hookseal_store::page::PageRequest;
use hookseal_store::transport::FewPins;

use crate::api::access::{Authorized, Organisation};
use crate::api::check::Fields;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::TransportNameParams;
use crate::api::query::Query;
use crate::api::respond::{ok, upserted};
use crate::api::transport::change::ForceParams;
use crate::api::transport::layer::{LayerIn, LayerOut};
use crate::api::transport::named::{NamePath, check_new_name, page_of};
use crate::api::transport::references::Known;
use crate::api::{Api, ApiContext};

/// What the errors call it.
const WHAT: &str = "the transport policy";
/// Pins that an endpoint needs where they are enforced: the key in use, and a backup.
const ENFORCED_PINS_MIN: usize = 2;

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
///
/// Refused while it would begin to enforce pins at endpoints that have fewer than two, unless
/// forced: without any nothing is sent, and with one a lost key stops all deliveries.
#[utoipa::path(put, path = "/api/v1/transport/policy/{name}", operation_id = "v1.transport.policy.put", tag = "Transport",
    params(TransportNameParams, ForceParams), request_body = LayerIn,
    responses((status = 200, description = "Replaced", body = LayerOut),
        (status = 201, description = "Made", body = LayerOut), ErrorResponses))]
async fn put(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    Query(force): Query<Force>,
    input: Input,
) -> Result<Response, ApiError> {
    let layer: LayerIn = input.read()?;
    check_new_name(&name)?;
    let _turn = api.turns.of(org).await;
    let policy = api.check_policy(org, &name, layer).await?;
    if force == Force::No {
        api.check_pins(org, &name, &policy).await?;
    }
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

    /// Refuses a policy that begins to enforce pins where there is no backup, or none at all.
    async fn check_pins(
        &self,
        org: OrgId,
        name: &Name,
        policy: &TransportPolicy,
    ) -> Result<(), ApiError> {
        let before = self.book(org).await?;
        let mut after = before.clone();
        after.policies.insert(name.clone(), policy.clone());
        // Few policies get further: all endpoints are read for them.
        if enforces(&before, Some(name), None) || !enforces(&after, Some(name), None) {
            return Ok(());
        }
        let store = self.engine.store();
        let few = store.endpoints_with_fewer_pins(org, ENFORCED_PINS_MIN);
        let endpoints = newly_enforced(&before, &after, &few.await?);
        if endpoints == 0 {
            return Ok(());
        }
        let detail = format!(
            "{endpoints} endpoints that the policy holds for have fewer than {ENFORCED_PINS_MIN} \
             pins, which it would enforce; give them a pin and a backup first, or force it \
             (?force=true)"
        );
        Err(ApiError::new(ErrorCode::WouldInterrupt, detail))
    }
}

/// How many of these endpoints the change begins to enforce pins at.
fn newly_enforced(before: &TransportBook, after: &TransportBook, few: &[FewPins]) -> u64 {
    let newly = |one: &&FewPins| {
        let (policy, pinning) = (one.policy.as_ref(), one.pinning);
        !enforces(before, policy, pinning) && enforces(after, policy, pinning)
    };
    few.iter().filter(newly).map(|one| one.endpoints).sum()
}

/// Whether pins are enforced at an endpoint that says this. One whose policy is missing is sent
/// nothing anyway.
fn enforces(book: &TransportBook, policy: Option<&Name>, pinning: Option<Pinning>) -> bool {
    let says = EndpointTransport {
        policy: policy.cloned(),
        own: TransportPolicy {
            pinning,
            ..TransportPolicy::default()
        },
        ..EndpointTransport::default()
    };
    let layered = book.layered(&says);
    layered.is_ok_and(|policy| policy.pinning == Some(Pinning::Enforce))
}

/// What lies under the policy: `default`, unless it is that itself.
fn below(book: &TransportBook, name: &Name) -> TransportPolicy {
    let mut policies = book.policies.iter();
    policies
        .find(|(other, _)| other.as_str() == DEFAULT_POLICY && *other != name)
        .map(|(_, policy)| policy.clone())
        .unwrap_or_default()
}
