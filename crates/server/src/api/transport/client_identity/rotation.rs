//! `…/client-identity/{name}/rotation`: where each certificate and each endpoint stands.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_store::page::PageRequest;
use hookseal_store::transport::IdentityUser;

use crate::api::Api;
use crate::api::access::{Authorized, Organisation};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::page::{ListResponse, OrderedPageParams};
use crate::api::params::TransportNameParams;
use crate::api::query::Query;
use crate::api::respond::ok;
use crate::api::transport::client_identity::WHAT;
use crate::api::transport::client_identity::edit::Counts;
use crate::api::transport::named::{NamePath, hex};
use crate::api::wire::{At, text};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Where the rotation of a client identity stands.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientIdentityRotation)]
struct RotationOut {
    /// Each certificate with the number of endpoints that accepted it last.
    certificates: Vec<CertificateStanding>,
    /// Endpoints that accepted a certificate of the identity, by id, with the one that each
    /// accepted last.
    endpoints: ListResponse<EndpointStanding>,
}

/// Where one certificate stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClientCertificateStanding)]
struct CertificateStanding {
    /// Its number within the identity.
    number: u32,
    /// `requested`, `issued`, `distributed`, `seen` or `retired`.
    stage: &'static str,
    /// Names it: SHA-256 in hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Its last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<At>,
    /// How many endpoints accepted it last, and none since.
    endpoints: u64,
}

/// Where one endpoint stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClientIdentityUser)]
struct EndpointStanding {
    /// Whose endpoint it is.
    #[schema(value_type = text::ApplicationId)]
    app_id: String,
    /// The endpoint.
    #[schema(value_type = text::EndpointId)]
    endpoint_id: String,
    /// The number of the certificate that it accepted last.
    number: u32,
    /// Names the certificate: SHA-256 in hex digits.
    sha256: String,
    /// Whether there is a newer one that it was not seen with yet.
    still_on_old: bool,
    /// When it accepted it.
    at: At,
}

/// Shows where the rotation of a client identity stands.
#[utoipa::path(get, path = "/api/v1/transport/client-identity/{name}/rotation", operation_id = "v1.transport.client-identity.rotation", tag = "Transport",
    params(TransportNameParams, OrderedPageParams),
    responses((status = 200, description = "Where it stands", body = RotationOut), ErrorResponses))]
async fn get(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    Query(page): Query<PageRequest<EndpointId>>,
) -> Result<Response, ApiError> {
    let book = api.book(org).await?;
    let found = book.identities.get(&name);
    let identity = found.ok_or_else(|| ApiError::not_found(WHAT))?;
    let store = api.engine.store();
    let counts = store.identity_standing(org, &name).await?;
    let users = store.identity_users(org, &name, page).await?;
    let newest = identity
        .presentable()
        .next()
        .map_or(0, |(one, _)| one.number);
    let shape = |user: IdentityUser| Some(EndpointStanding::of(&user, newest));
    let endpoints = ListResponse::of(users, |user| user.endpoint, shape);
    Ok(ok(&RotationOut {
        certificates: CertificateStanding::of(identity, &counts),
        endpoints,
    }))
}

// === impl CertificateStanding ===

impl CertificateStanding {
    fn of(identity: &ClientIdentity, counts: &Counts) -> Vec<Self> {
        let certificates = identity.certificates.iter();
        let standing = certificates.map(|one| Self {
            number: one.number,
            stage: one.stage.as_str(),
            sha256: one.issued.as_ref().map(|issued| hex(&issued.sha256)),
            not_after: one.issued.as_ref().map(|issued| At(issued.not_after)),
            endpoints: counts.get(&one.number).copied().unwrap_or(0),
        });
        standing.collect()
    }
}

// === impl EndpointStanding ===

impl EndpointStanding {
    fn of(user: &IdentityUser, newest: u32) -> Self {
        Self {
            app_id: user.app.to_string(),
            endpoint_id: user.endpoint.to_string(),
            number: user.number,
            sha256: hex(&user.sha256),
            still_on_old: user.number < newest,
            at: At(user.at),
        }
    }
}
