//! `…/endpoint/{endpoint_id}/secret`: what the receiver verifies with, and its rotation.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::limits::{KEY_GRACE_SECS_DEFAULT, KEY_GRACE_SECS_MAX};
use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::violation::Violation;
use hookseal_store::config::NewSigningKey;
use hookseal_store::error::ChangeError;

use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::check::{Fields, number};
use crate::api::endpoint::WHAT;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::ok;
use crate::api::wire::text;
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get))
        .routes(routes!(rotate))
}

/// A signing key that is to take over.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointSecretRotateIn {
    /// The new signing key; made if not given.
    #[schema(value_type = Option<text::SigningKey>)]
    key: Option<String>,
    /// How long the old key signs beside the new one; 0 ends it at once.
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    grace_period_seconds: Option<i64>,
}

/// What a receiver verifies with.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointSecretOut {
    /// The key.
    #[schema(value_type = text::ReceiverKey)]
    key: String,
}

/// A rotation to make, checked.
pub(crate) struct CheckedRotation {
    key: Option<SigningKey>,
    grace_secs: u32,
}

/// Shows what the receiver verifies with.
#[utoipa::path(get, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret",
    operation_id = "v1.endpoint.get-secret", tag = "Endpoint", params(EndpointParams),
    responses((status = 200, description = "The key", body = EndpointSecretOut), ErrorResponses))]
async fn get(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?.id;
    api.current_key(own.id(), endpoint).await
}

/// Makes another signing key the current one.
///
/// Until the grace period ends, deliveries are signed with both. Repeated with the same
/// `idempotency-key`, the answer is the current key, which may have been rotated since; a rotation
/// to the key that is current already is taken for such a repetition, and refused without one.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
    operation_id = "v1.endpoint.rotate-secret", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = EndpointSecretRotateIn,
    responses((status = 200, description = "The new key", body = EndpointSecretOut), ErrorResponses))]
async fn rotate(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let rotation = input.read::<EndpointSecretRotateIn>()?.check()?;
    let endpoint = own.endpoint(&api, &named).await?.id;
    api.rotate_key(&own, endpoint, rotation, &input).await?;
    api.current_key(own.id(), endpoint).await
}

impl ApiContext {
    /// Makes another signing key the current one, unless this was done before.
    pub(crate) async fn rotate_key(
        &self,
        own: &OwnApplication,
        endpoint: EndpointId,
        rotation: CheckedRotation,
        input: &Input,
    ) -> Result<(), ApiError> {
        let (app, now) = (own.id(), self.engine.now());
        let _turn = self.turns.of(app).await;
        if let Some(given) = &rotation.key
            && self.is_current(app, endpoint, given).await?
        {
            if input.is_repeatable() {
                return Ok(());
            }
            let violation = Violation::new("value_error.secret", "is the current key already");
            return Err(Violations::one(&["body", "key"], &violation).into());
        }
        let new = NewSigningKey {
            key: rotation.key.map_or_else(|| self.new_signing_key(), Ok)?,
            now,
            old_ends_at: now.plus(Duration::from_secs(rotation.grace_secs.into())),
        };
        let idempotency =
            input.idempotency(own.principal, now, format_args!("rotate {app} {endpoint}"));
        let rotating = self.try_change(app, move |store| async move {
            store
                .rotate_signing_key(app, endpoint, new, idempotency)
                .await
        });
        rotating.await?.map_err(refused)?;
        Ok(())
    }

    async fn is_current(
        &self,
        app: AppId,
        endpoint: EndpointId,
        given: &SigningKey,
    ) -> Result<bool, ApiError> {
        let store = self.engine.store();
        let current = store.current_signing_key(app, endpoint).await?;
        Ok(current.is_some_and(|current| current.matches(given)))
    }

    /// The key that has no end, as it is shown.
    pub(crate) async fn current_key(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Response, ApiError> {
        let key = self
            .engine
            .store()
            .current_signing_key(app, endpoint)
            .await?;
        let key = key.ok_or_else(|| ApiError::not_found(WHAT))?;
        let text = key.receiver_text();
        Ok(ok(&EndpointSecretOut {
            key: text.expose().clone(),
        }))
    }
}

fn refused(error: ChangeError) -> ApiError {
    match error {
        ChangeError::TooMany { max } => ApiError::new(
            ErrorCode::LimitReached,
            format!(
                "there are {max} signing keys already, which is the limit; all but the current one \
                 end after their grace period"
            ),
        ),
        other => ApiError::change(WHAT, other),
    }
}

// === impl EndpointSecretRotateIn ===

impl EndpointSecretRotateIn {
    /// Checks the body of a request.
    pub(crate) fn check(self) -> Result<CheckedRotation, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let key = fields.optional("key", self.key, |text| SigningKey::parse(&text));
        let grace = fields.optional("gracePeriodSeconds", self.grace_period_seconds, |secs| {
            number(secs, 0, KEY_GRACE_SECS_MAX)
        });
        let checked = key.zip(grace).map(|(key, grace)| CheckedRotation {
            key,
            grace_secs: grace.unwrap_or(KEY_GRACE_SECS_DEFAULT),
        });
        violations.finish(checked)
    }
}
