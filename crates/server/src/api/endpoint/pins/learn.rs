//! `…/pins/learn`: pins from what the receiver shows, which a person confirms.
//!
//! **Invariant:** nothing is pinned that was not named by the person and shown again.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::{HandshakeReport, SeenCertificate};
use hookseal_domain::transport::pin::{Pin, PinState};
use hookseal_store::publish::Idempotency;

use crate::api::access::{Authorized, EndpointPath, ManagedApplication, OwnApplication};
use crate::api::check::Fields;
use crate::api::endpoint::pins::body::{PinOut, check_note, new_pin, parse_pin};
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{EndpointParams, IdempotencyHeader};
use crate::api::respond::ok;
use crate::api::transport::handshake::{HandshakeOut, SeenCertificateOut};
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(learn))
}

/// Which of the keys that are shown is to be pinned; none to see them first.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PinLearnIn)]
struct LearnIn {
    /// The `confirm` of a candidate.
    confirm: Option<String>,
    /// For people: at most 500 characters.
    #[serde(default)]
    #[schema(default = "", max_length = 500)]
    note: String,
}

/// The keys that could be pinned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PinCandidates)]
struct CandidatesOut {
    /// The keys of the verified path; of the chain as it was sent, if none was verified.
    candidates: Vec<CandidateOut>,
    /// What speaks against pinning any of them.
    warnings: Vec<String>,
    /// What was seen.
    handshake: HandshakeOut,
}

/// A key that could be pinned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PinCandidate)]
struct CandidateOut {
    /// What to give as `confirm` to pin it.
    confirm: String,
    /// `leaf` (the receiver's own key), `intermediate` or `root` (a CA's: it pins every certificate
    /// that the CA issues).
    role: &'static str,
    /// Whether it was on the verified path.
    verified: bool,
    /// The certificate that it stands in.
    certificate: SeenCertificateOut,
}

/// Shows the keys that the receiver shows now, or pins one of them.
///
/// With `confirm`, the receiver is asked once more, and the key is pinned (201, as `staged`) only if
/// it still shows it.
#[utoipa::path(post, path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/pins/learn",
    operation_id = "v1.endpoint.pins.learn", tag = "Transport", params(EndpointParams, IdempotencyHeader),
    request_body = LearnIn,
    responses((status = 200, description = "The keys", body = CandidatesOut),
        (status = 201, description = "Pinned", body = PinOut), ErrorResponses))]
async fn learn(
    Authorized(ManagedApplication(own)): Authorized<ManagedApplication>,
    EndpointPath(named): EndpointPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let endpoint = own.endpoint(&api, &named).await?;
    let now = api.engine.now();
    let confirmed = input.read::<LearnIn>()?.check(now)?;
    let Some(pin) = confirmed else {
        let report = api.look(&own, &endpoint).await?;
        return Ok(ok(&CandidatesOut::of(report)));
    };
    let request = input.idempotency(
        own.principal,
        now,
        format_args!("learn {} {}", own.id(), endpoint.id),
    );
    api.learn_pin(&own, &endpoint, request, pin).await
}

impl ApiContext {
    async fn learn_pin(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
        request: Option<Idempotency>,
        pin: Pin,
    ) -> Result<Response, ApiError> {
        if self.earlier(request).await?.is_none() {
            let report = self.look(own, endpoint).await?;
            let mut shown = candidates(&report).0.iter();
            if !shown.any(|seen| seen.spki_sha256 == pin.key) {
                let detail = format!(
                    "the receiver does not show the key {} now; look at what it shows before you \
                     pin anything",
                    pin.key
                );
                return Err(ApiError::new(ErrorCode::KeyNotShown, detail));
            }
        }
        let _turn = self.turns.of(own.principal.org()).await;
        self.add_pin(own, endpoint, request, pin).await
    }
}

/// The certificates whose keys could be pinned, and whether they were verified.
fn candidates(report: &HandshakeReport) -> (&[SeenCertificate], bool) {
    if report.verified.is_empty() {
        return (&report.observed, false);
    }
    (&report.verified, true)
}

// === impl LearnIn ===

impl LearnIn {
    fn check(self, now: Timestamp) -> Result<Option<Pin>, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let key = fields.optional("confirm", self.confirm, |text| parse_pin(&text));
        let note = fields.take("note", check_note(self.note));
        let pin = key.zip(note);
        let pin = pin.map(|(key, note)| Some(new_pin(key?, PinState::Staged, note, now)));
        violations.finish(pin)
    }
}

// === impl CandidatesOut ===

impl CandidatesOut {
    fn of(report: HandshakeReport) -> Self {
        let (seen, verified) = candidates(&report);
        let last = seen.len().saturating_sub(1);
        let role = |place: usize| match place {
            0 => "leaf",
            place if verified && place == last => "root",
            _ => "intermediate",
        };
        let candidate = |(place, seen): (usize, &SeenCertificate)| CandidateOut {
            confirm: seen.spki_sha256.to_string(),
            role: role(place),
            verified,
            certificate: SeenCertificateOut::of(seen.clone()),
        };
        let candidates = seen.iter().enumerate().map(candidate).collect();
        Self {
            candidates,
            warnings: warnings(&report, verified),
            handshake: HandshakeOut::of(report),
        }
    }
}

fn warnings(report: &HandshakeReport, verified: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(failed) = &report.failure {
        warnings.push(format!("The handshake failed: {}.", failed.reason));
    }
    if !verified && !report.observed.is_empty() {
        let unverified = "These keys were not verified: anybody could have shown them. A pin does \
            not replace the verification, it stands beside it.";
        warnings.push(unverified.to_owned());
    }
    if report.observed.is_empty() && report.verified.is_empty() {
        warnings.push("The receiver showed no certificate.".to_owned());
    }
    warnings
}
