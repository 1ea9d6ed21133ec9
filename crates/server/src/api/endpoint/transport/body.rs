//! What an endpoint says itself of transport security, as it comes in and goes out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{EndpointTransport, TransportPolicy};

use crate::api::check::Fields;
use crate::api::endpoint::pins::{PinOut, WarningOut};
use crate::api::endpoint::transport::edit::Around;
use crate::api::error::violations::Violations;
use crate::api::transport::effective::EffectiveOut;
use crate::api::transport::layer::{LayerIn, LayerOut, LayerPatch};
use crate::api::wire::{Patch, present, text};

/// What an endpoint says itself of transport security, all of it.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointTransportIn)]
pub(super) struct TransportIn {
    /// Name of the policy under the endpoint's own settings.
    #[schema(value_type = Option<text::TransportName>)]
    policy: Option<String>,
    /// The endpoint's own settings; what is absent or `null` is left to the layers below.
    #[schema(value_type = Option<LayerIn>)]
    own: Option<LayerIn>,
}

/// Changes of what an endpoint says itself: what is absent stays, `null` leaves it to the layer
/// below.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndpointTransportPatch)]
pub(super) struct TransportPatch {
    /// Name of the policy under the endpoint's own settings.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<text::TransportName>)]
    policy: Patch<String>,
    /// Changes of the endpoint's own settings.
    #[schema(value_type = Option<LayerPatch>)]
    own: Option<LayerPatch>,
}

/// What an endpoint demands of its connections.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointTransport)]
pub(super) struct TransportOut {
    /// Name of the policy under the endpoint's own settings.
    #[schema(value_type = Option<text::TransportName>)]
    policy: Option<String>,
    /// The endpoint's own settings.
    own: LayerOut,
    /// What holds, all layers put together, and which layer says so.
    effective: EffectiveOut,
    /// Why nothing is sent: what is wrong with the settings as they stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Its pins.
    pins: Vec<PinOut>,
    /// What the pins deserve to be told.
    warnings: Vec<WarningOut>,
    /// Grows with each change of what concerns the connection.
    generation: u64,
}

// === impl TransportIn ===

impl TransportIn {
    /// The name of the policy, and the endpoint's own settings.
    pub(super) fn check(self) -> Result<(Option<Name>, TransportPolicy), Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let policy = fields.optional("policy", self.policy, |name| Name::parse(&name));
        let own = self.own.unwrap_or_default();
        let own = own.check(&mut Fields::at(&mut violations, &["body", "own"]));
        violations.finish(policy.map(|policy| (policy, own)))
    }
}

// === impl TransportPatch ===

impl TransportPatch {
    /// What the endpoint says after the change.
    pub(super) fn apply(
        self,
        mut before: EndpointTransport,
    ) -> Result<EndpointTransport, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        if let Some(policy) = self.policy {
            let policy = fields.optional("policy", policy, |name| Name::parse(&name));
            before.policy = policy.flatten();
        }
        if let Some(own) = self.own {
            let mut fields = Fields::at(&mut violations, &["body", "own"]);
            before.own = own.apply(before.own, &mut fields);
        }
        violations.finish(Some(before))
    }
}

// === impl TransportOut ===

impl TransportOut {
    /// As it goes out.
    pub(super) fn of(around: &Around) -> Self {
        let transport = &around.transport;
        Self {
            policy: transport.policy.as_ref().map(Name::to_string),
            own: LayerOut::of(&transport.own),
            effective: EffectiveOut::of(&around.book, transport, &around.defaults),
            problem: around.problem(transport).map(|problem| problem.to_string()),
            pins: PinOut::all(&transport.pins, &around.live),
            warnings: WarningOut::all(&transport.pins, &around.live),
            generation: around.generation,
        }
    }
}
