//! `…/pins/{sha256}`: one pin.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::transport::pin::{Force, PinError, PinSet, PinState};
use hookseal_domain::violation::Violation;
use hookseal_pki::certificate::SpkiSha256;

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, ManagedApplication};
use crate::api::check::Fields;
use crate::api::endpoint::pins::body::{PinOut, check_note};
use crate::api::endpoint::pins::{PIN, refused};
use crate::api::endpoint::transport::edit::Around;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::PinParams;
use crate::api::query::Query;
use crate::api::transport::ForceParams;
use crate::api::transport::named::HashPath;
use crate::api::wire::present;

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(patch, delete))
}

/// Changes of a pin: what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PinPatch)]
struct PinPatch {
    /// `staged`, `active` (those that were active begin to retire; refused unless its key was
    /// seen) or `retiring`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false)]
    state: Option<String>,
    /// For people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 500)]
    note: Option<String>,
    /// Make it active although its key was not seen.
    #[serde(default)]
    #[schema(default = false)]
    force: bool,
}

struct CheckedPatch {
    state: Option<PinState>,
    note: Option<String>,
    force: Force,
}

/// Changes the state or the note of a pin.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/pins/{sha256}",
    operation_id = "v1.endpoint.pins.patch", tag = "Transport", params(PinParams),
    request_body = PinPatch,
    responses((status = 200, description = "Changed", body = PinOut), ErrorResponses))]
async fn patch(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    HashPath(sha256): HashPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let patch = input.read::<PinPatch>()?.check()?;
    let key = named_key(sha256)?;
    let _turn = api.turns.of(own.principal.org()).await;
    let edit = |around: &Around| {
        let mut after = around.transport.clone();
        patch.apply(&mut after.pins, key).map_err(refused)?;
        Ok(after)
    };
    api.edit_transport(&own, &endpoint, None, edit).await?;
    api.pin(&own, &endpoint, key, StatusCode::OK).await
}

/// Removes a pin.
///
/// Where pins are enforced, the only one that matched last and the last backup stay, unless
/// forced.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/pins/{sha256}",
    operation_id = "v1.endpoint.pins.remove", tag = "Transport", params(PinParams, ForceParams),
    responses((status = 204, description = "Removed"), ErrorResponses))]
async fn delete(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    HashPath(sha256): HashPath,
    State(api): State<Api>,
    Query(force): Query<Force>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let key = named_key(sha256)?;
    let _turn = api.turns.of(own.principal.org()).await;
    let edit = |around: &Around| {
        let mut after = around.transport.clone();
        let enforced = around.enforced(&after);
        let removed = after.pins.remove(key, &around.live, enforced, force);
        removed.map(|_| after).map_err(refused)
    };
    api.edit_transport(&own, &endpoint, None, edit).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn named_key(sha256: Option<[u8; 32]>) -> Result<SpkiSha256, ApiError> {
    let key = sha256.map(SpkiSha256::from_bytes);
    key.ok_or_else(|| ApiError::not_found(PIN))
}

// === impl PinPatch ===

impl PinPatch {
    fn check(self) -> Result<CheckedPatch, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let state = fields.optional("state", self.state, |state| {
            let chosen = PinState::parse(&state).filter(|state| *state != PinState::Seen);
            let message = "must be staged, active or retiring";
            chosen.ok_or_else(|| Violation::new("value_error.choice", message))
        });
        let note = fields.optional("note", self.note, check_note);
        let force = match self.force {
            true => Force::Yes,
            false => Force::No,
        };
        let patch = state.zip(note);
        violations.finish(patch.map(|(state, note)| CheckedPatch { state, note, force }))
    }
}

// === impl CheckedPatch ===

impl CheckedPatch {
    fn apply(&self, pins: &mut PinSet, key: SpkiSha256) -> Result<(), PinError> {
        match self.state {
            Some(PinState::Active) => pins.activate(key, self.force)?,
            Some(state) => pins.set_state(key, state)?,
            None => {}
        }
        match &self.note {
            Some(note) => pins.set_note(key, note.clone()),
            None => Ok(()),
        }
    }
}
