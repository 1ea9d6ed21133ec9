//! Why an endpoint's last handshake passed or failed, and what to do.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::delivery::breaker::BreakerState;
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::Pinning;
use hookseal_store::transport::EndpointHandshakes;

use crate::api::endpoint::breaker::BreakerOut;
use crate::api::endpoint::pins::{PinOut, WarningOut};
use crate::api::endpoint::transport::edit::Around;
use crate::api::transport::effective::EffectiveOut;
use crate::api::transport::failure::FailureOut;
use crate::api::transport::handshake::HandshakeOut;
use crate::api::wire::text;

/// What holds for an endpoint's connections, what the last handshakes showed, and what to do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TransportExplanation)]
pub(crate) struct ExplanationOut {
    /// Whose endpoint it is.
    #[schema(value_type = text::ApplicationId)]
    app_id: String,
    /// The endpoint.
    #[schema(value_type = text::EndpointId)]
    endpoint_id: String,
    /// Where it receives.
    #[schema(value_type = text::Url)]
    url: String,
    /// `passed`, `failed` (the last handshake), `unusable` (the policy can't be applied, so that
    /// nothing is sent), `plain_http` (there is no TLS), or `not_seen` (there was no handshake yet).
    verdict: &'static str,
    /// What the failure means, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureOut>,
    /// The verdict in full, for people.
    reason: String,
    /// What to do, the most urgent first; empty if nothing.
    todo: Vec<String>,
    /// Name of the policy under the endpoint's own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<text::TransportName>)]
    policy: Option<String>,
    /// The policy in force, and which layer says what.
    effective: EffectiveOut,
    /// Its pins.
    pins: Vec<PinOut>,
    /// What the pins deserve to be told.
    warnings: Vec<WarningOut>,
    /// Whether attempts are made.
    breaker: BreakerOut,
    /// The last handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<HandshakeOut>,
    /// The last one that was good.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_good: Option<HandshakeOut>,
}

/// What is known of an endpoint.
pub(crate) struct Facts {
    /// Whose it is.
    pub(crate) app: AppId,
    /// The endpoint.
    pub(crate) endpoint: EndpointId,
    /// What it says, and what stands around it.
    pub(crate) around: Around,
    /// What was seen of it last.
    pub(crate) seen: EndpointHandshakes,
    /// Whether attempts are made, where that is known.
    pub(crate) breaker: Option<BreakerState>,
}

struct Verdict {
    word: &'static str,
    failure: Option<TlsFailure>,
    reason: String,
}

// === impl ExplanationOut ===

impl ExplanationOut {
    /// All that is known, put into words.
    pub(crate) fn of(facts: Facts) -> Self {
        let verdict = Verdict::of(&facts);
        let Facts { around, seen, .. } = facts;
        let transport = &around.transport;
        let warnings = WarningOut::all(&transport.pins, &around.live);
        let advice = verdict.failure.map(|failure| failure.advice().to_owned());
        let warned = warnings.iter().map(|warning| warning.advice.to_owned());
        Self {
            app_id: facts.app.to_string(),
            endpoint_id: facts.endpoint.to_string(),
            url: around.url.as_str().to_owned(),
            verdict: verdict.word,
            failure: verdict.failure.map(FailureOut::of),
            reason: verdict.reason,
            todo: advice.into_iter().chain(warned).collect(),
            policy: transport.policy.as_ref().map(Name::to_string),
            effective: EffectiveOut::of(&around.book, transport, &around.defaults),
            pins: PinOut::all(&transport.pins, &around.live),
            warnings,
            breaker: BreakerOut::of(facts.breaker),
            last: seen.last.map(HandshakeOut::of),
            last_good: seen.last_good.map(HandshakeOut::of),
        }
    }
}

// === impl Verdict ===

impl Verdict {
    fn of(facts: &Facts) -> Self {
        let Facts { around, seen, .. } = facts;
        if let Some(problem) = around.problem(&around.transport) {
            return Self {
                word: "unusable",
                failure: Some(TlsFailure::PolicyUnusable),
                reason: format!("Nothing is sent: {problem}."),
            };
        }
        if around.is_plain() {
            return Self {
                word: "plain_http",
                failure: None,
                reason: "The endpoint's URL is http://: nothing protects the connection."
                    .to_owned(),
            };
        }
        match seen.last.as_ref().map(|last| (last, &last.failure)) {
            None => Self {
                word: "not_seen",
                failure: None,
                reason: "There was no handshake with this endpoint yet.".to_owned(),
            },
            Some((_, Some(failed))) => Self {
                word: "failed",
                failure: Some(failed.failure),
                reason: failed.reason.clone(),
            },
            Some((last, None)) => Self {
                word: "passed",
                failure: None,
                reason: passed(last),
            },
        }
    }
}

/// Why a handshake passed, in a sentence or two.
fn passed(report: &HandshakeReport) -> String {
    let mut reason = match (report.verified.first(), report.verified.last()) {
        (Some(own), Some(root)) => format!(
            "The receiver's certificate ({}) leads to the trusted root {}.",
            own.subject, root.subject
        ),
        _ => "The receiver's certificate was verified.".to_owned(),
    };
    match (report.pins.pinning, report.pins.matched.first()) {
        (Pinning::Off, _) => {}
        (_, Some(pin)) => reason.push_str(&format!(" Its path holds the pinned key {pin}.")),
        (_, None) => reason.push_str(" No pin matches, which is only reported."),
    }
    match &report.client.presented {
        Some(presented) => {
            let (number, identity) = (presented.number, &presented.identity);
            reason.push_str(&format!(
                " It asked for a client certificate and was shown number {number} of {identity}"
            ));
            reason.push_str(match report.client.accepted {
                true => ", which it accepted.",
                false => "; whether it accepts that is not known yet.",
            });
        }
        None if report.client.requested => {
            reason.push_str(" It asked for a client certificate and took none.");
        }
        None => {}
    }
    reason
}
