//! `…/endpoint/{endpoint_id}/ca`: the roots that an endpoint's chain may end in.
//!
//! The compatible operation is kept as a trust anchor set with the endpoint's id for a name, which
//! the endpoint's own settings trust and no others.
//!
//! **Invariant:** roots are only taken away where that is said in so many words.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::transport::anchor_set::{Anchor, AnchorSet};
use hookseal_domain::transport::pin::Force;
use hookseal_domain::transport::policy::Trust;
use hookseal_pki::anchor_set::certificate_pem;

use crate::api::access::{Authorized, EndpointPath, ManagedApplication, OwnApplication};
use crate::api::check::Fields;
use crate::api::endpoint::private::{in_use_stays, private_name};
use crate::api::endpoint::transport::edit::Around;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::EndpointParams;
use crate::api::respond::ok;
use crate::api::transport::given_anchors;
use crate::api::transport::trust_anchors::{Users, replaced};
use crate::api::wire::{Patch, present};
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// The roots that an endpoint's chain may end in.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointServerCaIn)]
struct ServerCaIn {
    /// One or more certificates in PEM; `null` to trust what the layers below say.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, required)]
    cert: Patch<String>,
}

/// The roots that an endpoint's chain may end in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointServerCaOut)]
struct ServerCaOut {
    /// The certificates in PEM, where the endpoint has roots of its own.
    cert: Option<String>,
}

/// Shows the roots that were set for this endpoint alone.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/ca",
    operation_id = "v1.endpoint.get-server-ca", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "The roots", body = ServerCaOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let name = private_name(&endpoint)?;
    let says = api.own_layer(&own, &endpoint).await?;
    let book = api.book(own.principal.org()).await?;
    let set = book.anchor_sets.get(&name);
    let set = set.filter(|_| says.trust_anchors == Some(name));
    let pem = |set: &AnchorSet| {
        set.anchors
            .iter()
            .map(|anchor| certificate_pem(&anchor.der))
            .collect()
    };
    Ok(ok(&ServerCaOut {
        cert: set.map(|set| pem(set)),
    }))
}

/// Sets the roots that this endpoint's chain may end in, and no others; `null` takes that back.
///
/// To replace a root without an outage, give the old and the new one together, and the new one
/// alone when the receiver has changed over. Roots that something else names stay for that when
/// they are taken back.
#[utoipa::path(put, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/ca",
    operation_id = "v1.endpoint.set-server-ca", tag = "Endpoint", params(EndpointParams),
    request_body = ServerCaIn,
    responses((status = 204, description = "Set"), ErrorResponses))]
async fn put(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let anchors = input.read::<ServerCaIn>()?.check(&api)?;
    let _turn = api.turns.of(own.principal.org()).await;
    match anchors {
        Some(anchors) => api.trust_alone(&own, &endpoint, anchors).await?,
        None => api.trust_as_below(&own, &endpoint).await?,
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

// === impl ServerCaIn ===

impl ServerCaIn {
    fn check(self, api: &ApiContext) -> Result<Option<Vec<Anchor>>, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let now = api.engine.now();
        let cert = fields.required("cert", self.cert);
        let anchors =
            cert.and_then(|cert| fields.optional("cert", cert, |pem| given_anchors(&pem, now)));
        violations.finish(anchors)
    }
}

impl ApiContext {
    async fn trust_alone(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
        anchors: Vec<Anchor>,
    ) -> Result<(), ApiError> {
        let (org, name) = (own.principal.org(), private_name(endpoint)?);
        // The caller says what holds from now on, and has no way to say it twice.
        let edit = |before: Option<&AnchorSet>, users: &Users| {
            replaced(&name, before, &anchors, users, Force::Yes)
        };
        self.check_plain_http_never(endpoint, "private roots")?;
        self.edit_anchor_set(org, &name, None, edit).await?;
        let edit = |around: &Around| {
            let mut after = around.transport.clone();
            after.own.trust = Some(Trust::Private);
            after.own.trust_anchors = Some(name.clone());
            Ok(after)
        };
        self.edit_transport(own, endpoint, None, edit).await?;
        Ok(())
    }

    async fn trust_as_below(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
    ) -> Result<(), ApiError> {
        let (org, name) = (own.principal.org(), private_name(endpoint)?);
        let edit = |around: &Around| {
            let mut after = around.transport.clone();
            if after.own.trust_anchors.as_ref() == Some(&name) {
                after.own.trust = None;
                after.own.trust_anchors = None;
            }
            Ok(after)
        };
        self.edit_transport(own, endpoint, None, edit).await?;
        if self.book(org).await?.anchor_sets.contains_key(&name) {
            in_use_stays(self.delete_anchor_set(org, name).await)?;
        }
        Ok(())
    }
}
