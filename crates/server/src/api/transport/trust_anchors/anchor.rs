//! `…/trust-anchors/{name}/anchors/{sha256}`: one root of a set.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::transport::anchor_set::AnchorSet;
use hookseal_domain::transport::pin::Force;
use hookseal_domain::violation::Violation;

use crate::api::Api;
use crate::api::access::{Authorized, Organisation};
use crate::api::check::Fields;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::TrustAnchorParams;
use crate::api::query::Query;
use crate::api::respond::ok;
use crate::api::transport::change::ForceParams;
use crate::api::transport::named::{HashPath, NamePath};
use crate::api::transport::trust_anchors::WHAT;
use crate::api::transport::trust_anchors::body::{AnchorPatch, AnchorSetOut, Users};
use crate::api::transport::trust_anchors::edit::{AnchorState, marked, without};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(patch, delete))
}

/// Marks a root as one that is to go, or takes that back.
///
/// It is trusted all the same: the mark is for people, beside the count of the endpoints that
/// still need it.
#[utoipa::path(patch, path = "/api/v1/transport/trust-anchors/{name}/anchors/{sha256}", operation_id = "v1.transport.trust-anchors.mark", tag = "Transport",
    params(TrustAnchorParams), request_body = AnchorPatch,
    responses((status = 200, description = "The set", body = AnchorSetOut), ErrorResponses))]
async fn patch(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    HashPath(sha256): HashPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let state = input.read::<AnchorPatch>()?.check()?;
    let now = api.engine.now();
    let _turn = api.turns.of(org).await;
    let edit = |before: Option<&AnchorSet>, _: &Users| {
        let before = before.ok_or_else(|| ApiError::not_found(WHAT))?;
        marked(before, sha256, state, now)
    };
    let (set, _) = api.edit_anchor_set(org, &name, None, edit).await?;
    let users = api.anchor_users(org, Some(&set)).await?;
    Ok(ok(&AnchorSetOut::of(&set, Some(&users))))
}

/// Removes a root that no endpoint needs any more.
#[utoipa::path(delete, path = "/api/v1/transport/trust-anchors/{name}/anchors/{sha256}", operation_id = "v1.transport.trust-anchors.remove", tag = "Transport",
    params(TrustAnchorParams, ForceParams),
    responses((status = 200, description = "The set without it", body = AnchorSetOut), ErrorResponses))]
async fn delete(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    HashPath(sha256): HashPath,
    State(api): State<Api>,
    Query(force): Query<Force>,
) -> Result<Response, ApiError> {
    let _turn = api.turns.of(org).await;
    let edit = |before: Option<&AnchorSet>, users: &Users| {
        let before = before.ok_or_else(|| ApiError::not_found(WHAT))?;
        without(before, sha256, users, force)
    };
    let (set, _) = api.edit_anchor_set(org, &name, None, edit).await?;
    let users = api.anchor_users(org, Some(&set)).await?;
    Ok(ok(&AnchorSetOut::of(&set, Some(&users))))
}

// === impl AnchorPatch ===

impl AnchorPatch {
    fn check(self) -> Result<AnchorState, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let state = fields.required("state", self.state);
        let state = state.and_then(|state| {
            let read = match state.as_str() {
                "active" => Ok(AnchorState::Active),
                "retiring" => Ok(AnchorState::Retiring),
                _ => Err(Violation::new(
                    "value_error.choice",
                    "must be active or retiring",
                )),
            };
            fields.take("state", read)
        });
        violations.finish(state)
    }
}
