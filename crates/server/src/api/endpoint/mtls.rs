//! `…/endpoint/{endpoint_id}/mtls`: the certificate that is presented to one endpoint's receiver.
//!
//! The compatible operation is kept as a client identity with the endpoint's id for a name, which
//! the endpoint's own settings present. **Invariant:** the private key never goes out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::policy::Choice;
use hookseal_store::error::ChangeError;

use crate::api::access::{Authorized, EndpointPath, ManagedApplication, OwnApplication};
use crate::api::check::Fields;
use crate::api::endpoint::private::{in_use_stays, private_name};
use crate::api::endpoint::transport::edit::Around;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::transport::client_identity::{Uploaded, presented_alone, uploaded_pem};
use crate::api::transport::named::hex;
use crate::api::transport::{Made, TRIES};
use crate::api::wire::{At, present};
use crate::api::{Api, ApiContext};

/// What the errors call it.
const IDENTITY: &str = "the client certificate";

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put, delete))
}

/// The certificate that is presented to the receiver.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointMtlsConfigIn)]
struct MtlsIn {
    /// In PEM: the certificate, those between it and the root, and its private key.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, write_only)]
    identity: Option<String>,
}

/// What is presented to the receiver; empty if nothing was set. All fields are extensions of
/// Hookseal.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointMtlsConfigOut)]
struct MtlsOut {
    /// Whom the certificate was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// Names it: SHA-256 in hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Its first second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<At>,
    /// Its last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<At>,
}

/// Shows the certificate that was set for this endpoint alone, without its key.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/mtls",
    operation_id = "v1.endpoint.get-mtls", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "The certificate", body = MtlsOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let name = private_name(&endpoint)?;
    let says = api.own_layer(&own, &endpoint).await?;
    let book = api.book(own.principal.org()).await?;
    let identity = book.identities.get(&name);
    let set = says.client_identity == Some(Choice::Named(name));
    Ok(ok(&identity
        .filter(|_| set)
        .map(|identity| MtlsOut::of(identity))
        .unwrap_or_default()))
}

/// Sets the certificate that is presented to this endpoint's receiver.
///
/// The one before stays as what is tried where the receiver refuses the new one, until the next
/// change.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/mtls",
    operation_id = "v1.endpoint.set-mtls-config", tag = "Endpoint", params(EndpointParams),
    request_body = MtlsIn,
    responses((status = 204, description = "Set"), ErrorResponses))]
async fn put(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let given = input.read::<MtlsIn>()?.check(&api)?;
    let _turn = api.turns.of(own.principal.org()).await;
    api.check_plain_http_never(&endpoint, "a client certificate")?;
    api.keep_private_identity(&own, &endpoint, &given).await?;
    let name = private_name(&endpoint)?;
    let edit = |around: &Around| {
        let mut after = around.transport.clone();
        after.own.client_identity = Some(Choice::Named(name.clone()));
        Ok(after)
    };
    api.edit_transport(&own, &endpoint, None, edit).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Forgets the certificate that was set for this endpoint alone, with its key.
///
/// Where something else names it, it stays for that, and is not presented for this endpoint's own
/// sake any more.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/mtls",
    operation_id = "v1.endpoint.delete-mtls-config", tag = "Endpoint", params(EndpointParams),
    responses((status = 204, description = "Forgotten"), ErrorResponses))]
async fn delete(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let (org, name) = (own.principal.org(), private_name(&endpoint)?);
    let _turn = api.turns.of(org).await;
    let edit = |around: &Around| {
        let mut after = around.transport.clone();
        if after.own.client_identity == Some(Choice::Named(name.clone())) {
            after.own.client_identity = None;
        }
        Ok(after)
    };
    api.edit_transport(&own, &endpoint, None, edit).await?;
    if api.book(org).await?.identities.contains_key(&name) {
        in_use_stays(api.delete_identity(org, name).await)?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

// === impl MtlsIn ===

impl MtlsIn {
    fn check(self, api: &ApiContext) -> Result<Uploaded, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let given = fields.required("identity", self.identity);
        let given = given.and_then(|mut pem| {
            let read = uploaded_pem(&pem, api.engine.now());
            zeroize::Zeroize::zeroize(&mut pem);
            fields.take("identity", read)
        });
        violations.finish(given)
    }
}

// === impl MtlsOut ===

impl MtlsOut {
    fn of(identity: &ClientIdentity) -> Self {
        let Some((_, issued)) = identity.presentable().next() else {
            return Self::default();
        };
        Self {
            subject: Some(issued.subject.clone()),
            issuer: Some(issued.issuer.clone()),
            sha256: Some(hex(&issued.sha256)),
            not_before: Some(At(issued.not_before)),
            not_after: Some(At(issued.not_after)),
        }
    }
}

impl ApiContext {
    async fn keep_private_identity(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
        given: &Uploaded,
    ) -> Result<(), ApiError> {
        let (org, name) = (own.principal.org(), private_name(endpoint)?);
        for _ in 0..TRIES {
            let book = self.book(org).await?;
            let before = book.identities.get(&name).map(std::sync::Arc::as_ref);
            let document = presented_alone(&name, before, given, self.engine.now());
            let made = Made {
                document,
                number: 0,
            };
            match self.put_identity(org, &made, None).await? {
                Err(ChangeError::Stale) => {}
                Err(error) => return Err(ApiError::change(IDENTITY, error)),
                Ok(_) => return Ok(()),
            }
        }
        Err(ApiError::change(IDENTITY, ChangeError::Stale))
    }
}
