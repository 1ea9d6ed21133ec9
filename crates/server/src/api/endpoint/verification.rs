//! `…/endpoint/{endpoint_id}/verify`: asking a receiver whether it wants what is sent to it.

use std::num::NonZeroU32;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::verification::{Last, Method, Stage, Standing};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_engine::{Asked, VerifyError};

use crate::api::Api;
use crate::api::access::{Authorized, EndpointPath, OwnApplication};
use crate::api::check::{Fields, number};
use crate::api::endpoint::WHAT;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::ok;
use crate::api::wire::{At, present};

/// How to ask.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointVerifyIn)]
struct VerifyIn {
    /// `cloudevents` for the handshake of CloudEvents' Web Hooks, `challenge` for a signed request
    /// with a random text that the receiver has to answer with.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required)]
    method: Option<String>,
    /// How often you would like to send, in requests per minute; with `cloudevents`. What the
    /// endpoint's `throttleRate` comes to if not given.
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    request_rate: Option<i64>,
}

/// What is known of an endpoint's verification. An extension of Hookseal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointVerification)]
pub(crate) struct VerificationOut {
    /// How it was asked last: `cloudevents` or `challenge`; `none` if nobody asked.
    #[schema(value_type = String)]
    method: &'static str,
    /// `unverified`, `pending`, `verified` or `failed`.
    #[schema(value_type = String)]
    state: &'static str,
    /// When it was verified, if that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<At>,
    /// Until when a pending one counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<At>,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Most requests per minute that the receiver granted; absent if it granted any number, or was
    /// not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    granted_rate: Option<NonZeroU32>,
    /// Whether deliveries wait for it, since the server demands one and there is none that holds.
    withheld: bool,
}

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Asks an endpoint's receiver whether it wants what is sent to it.
///
/// The answer tells what the receiver said, or `pending` where it may still call back. What was
/// verified stays so until this one ends. Asking twice does no harm, so that an `idempotency-key` has
/// no effect.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/verify",
    operation_id = "v1.endpoint.verify", tag = "Endpoint",
    params(EndpointParams, IdempotencyHeader), request_body = VerifyIn,
    responses((status = 200, description = "What the receiver said", body = VerificationOut), ErrorResponses))]
async fn verify(
    Authorized(own): Authorized<OwnApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let asked = input.read::<VerifyIn>()?.check(&endpoint)?;
    let verified = api.engine.verify(own.id(), endpoint.id, asked).await;
    let verified = verified.map_err(unasked)?;
    let now = api.engine.now();
    Ok(ok(&VerificationOut::of(&verified, now)))
}

fn unasked(error: VerifyError) -> ApiError {
    match error {
        VerifyError::NoOrigin => {
            let rule = "can not be cloudevents: the server is not told who asks; its operator has \
                        to set server.public_url or endpoints.verification_origin";
            let violation = Violation::new("value_error.not_supported", rule);
            Violations::one(&["body", "method"], &violation).into()
        }
        VerifyError::Busy => ApiError::overloaded(),
        VerifyError::UnknownEndpoint => ApiError::not_found(WHAT),
        VerifyError::Store(error) => error.into(),
    }
}

// === impl VerifyIn ===

impl VerifyIn {
    fn check(self, endpoint: &Endpoint) -> Result<Asked, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let method = fields.required("method", self.method);
        let method = method.and_then(|name| {
            let rule = "must be cloudevents or challenge";
            let method = Method::parse(&name);
            let method = method.ok_or_else(|| Violation::new("value_error.choice", rule));
            fields.take("method", method)
        });
        let rate = fields.optional("requestRate", self.request_rate, |rate| {
            let rate = number(rate, 1, u32::MAX)?;
            if method == Some(Method::Challenge) {
                let rule = "can not be given with challenge, which grants no rate";
                return Err(Violation::new("value_error.not_supported", rule));
            }
            Ok(NonZeroU32::new(rate))
        });
        let throttle_rate = endpoint.spec.throttle_rate.map(|rate| u32::from(rate) * 60);
        match (method, rate) {
            (Some(method), Some(rate)) => Ok(Asked {
                method,
                rate: rate.flatten().or(throttle_rate.and_then(NonZeroU32::new)),
            }),
            _ => Err(violations),
        }
    }
}

// === impl VerificationOut ===

impl VerificationOut {
    /// As it goes out where there is something to tell.
    pub(crate) fn shown(endpoint: &Endpoint, now: Timestamp) -> Option<Self> {
        let known = &endpoint.verification;
        let is_told = known.last.is_some() || known.standing == Standing::Withheld;
        is_told.then(|| Self::of(endpoint, now))
    }

    fn of(endpoint: &Endpoint, now: Timestamp) -> Self {
        let known = &endpoint.verification;
        let expires_at = match known.last.as_ref().map(|last| &last.stage) {
            Some(Stage::Pending { until }) if now < *until => Some(At(*until)),
            _ => None,
        };
        let method = |last: &Last| last.method.as_str();
        Self {
            method: known.last.as_ref().map_or("none", method),
            state: known.state(now).as_str(),
            verified_at: known.verified_at.map(At),
            expires_at,
            reason: known.reason(now).map(str::to_owned),
            granted_rate: known.grant.as_ref().and_then(|grant| grant.rate),
            withheld: known.standing == Standing::Withheld,
        }
    }
}
