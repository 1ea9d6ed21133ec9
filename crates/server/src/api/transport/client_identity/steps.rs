//! `…/certificates/{number}/distribute` and `…/retire`: the steps of a rotation that people take.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::id::OrgId;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::Force;
use hookseal_domain::transport::rotation::Step;
use hookseal_store::publish::Idempotency;

use crate::api::access::{Authorized, Organisation};
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{IdempotencyHeader, IdentityCertificateParams};
use crate::api::query::Query;
use crate::api::transport::change::ForceParams;
use crate::api::transport::client_identity::body::IdentityCertificateOut;
use crate::api::transport::client_identity::certificates::shown;
use crate::api::transport::client_identity::edit::{Counts, stepped};
use crate::api::transport::named::{NamePath, NumberPath};
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(distribute))
        .routes(routes!(retire))
}

/// Which certificate takes a step.
struct Walk {
    org: OrgId,
    name: Name,
    number: u32,
    step: Step,
    force: Force,
}

/// Says that the receivers were told of a certificate: it is preferred from now on.
#[utoipa::path(post, path = "/api/v1/transport/client-identity/{name}/certificates/{number}/distribute", operation_id = "v1.transport.client-identity.distribute", tag = "Transport",
    params(IdentityCertificateParams, IdempotencyHeader),
    responses((status = 200, description = "Preferred", body = IdentityCertificateOut), ErrorResponses))]
async fn distribute(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    NumberPath(number): NumberPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let walk = Walk {
        org,
        name,
        number,
        step: Step::Distribute,
        force: Force::No,
    };
    let request = walk.request(&api, &input);
    api.walk(walk, request).await
}

/// Retires a certificate: it is not presented any more.
///
/// Refused while a receiver accepted it last, and while no other certificate of the identity was
/// accepted by any receiver, unless forced.
#[utoipa::path(post, path = "/api/v1/transport/client-identity/{name}/certificates/{number}/retire", operation_id = "v1.transport.client-identity.retire", tag = "Transport",
    params(IdentityCertificateParams, ForceParams, IdempotencyHeader),
    responses((status = 200, description = "Retired", body = IdentityCertificateOut), ErrorResponses))]
async fn retire(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    NumberPath(number): NumberPath,
    State(api): State<Api>,
    Query(force): Query<Force>,
    input: Input,
) -> Result<Response, ApiError> {
    let walk = Walk {
        org,
        name,
        number,
        step: Step::Retire,
        force,
    };
    let request = walk.request(&api, &input);
    api.walk(walk, request).await
}

// === impl Walk ===

impl Walk {
    fn request(&self, api: &ApiContext, input: &Input) -> Option<Idempotency> {
        let who = Principal::Organisation(self.org);
        let (step, name, number) = (self.step, &self.name, self.number);
        input.idempotency(
            who,
            api.engine.now(),
            format_args!("{step:?} {name} {number}"),
        )
    }
}

impl ApiContext {
    async fn walk(&self, walk: Walk, request: Option<Idempotency>) -> Result<Response, ApiError> {
        let (org, number, now) = (walk.org, walk.number, self.engine.now());
        let _turn = self.turns.of(org).await;
        if let Some(number) = self.earlier(request).await? {
            return self
                .certificate(org, &walk.name, number, StatusCode::OK)
                .await;
        }
        let edit = |before: Option<&ClientIdentity>, counts: &Counts| {
            stepped(before, number, walk.step, counts, walk.force, now)
        };
        let made = self.edit_identity(org, &walk.name, request, edit).await?;
        shown(&made, StatusCode::OK)
    }
}
