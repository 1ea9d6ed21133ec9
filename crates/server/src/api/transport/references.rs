//! Whether what a layer of transport policy names is there, and whether it fits together.

use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{Choice, TransportDefaults, TransportPolicy, Trust};
use hookseal_domain::violation::Violation;

use crate::api::check::Fields;

/// What names may stand for.
pub(crate) struct Known<'b> {
    /// What the organisation has.
    pub(crate) book: &'b TransportBook,
    /// What the operator has.
    pub(crate) defaults: &'b TransportDefaults,
    /// Whose layer it is; `None` for a named policy.
    pub(crate) endpoint: Option<EndpointId>,
}

// === impl Known ===

impl Known<'_> {
    /// Notes every name in the layer that leads nowhere or to what is another endpoint's alone, and
    /// private trust without anchors.
    /// `below` is what lies under the layer.
    pub(crate) fn check(
        &self,
        fields: &mut Fields<'_>,
        layer: &TransportPolicy,
        below: &TransportPolicy,
    ) {
        if let Some(name) = &layer.trust_anchors {
            if self.is_anothers(name) {
                fields.add("trustAnchors", &anothers(name));
            } else if !self.book.anchor_sets.contains_key(name) {
                fields.add("trustAnchors", &missing("trust anchor set", name));
            }
        }
        if let Some(Choice::Named(name)) = &layer.client_identity {
            if self.is_anothers(name) {
                fields.add("clientIdentity", &anothers(name));
            } else if !self.has_identity(name) {
                fields.add("clientIdentity", &missing("client identity", name));
            }
        }
        if let Some(Choice::Named(name)) = &layer.proxy
            && !self.defaults.proxies.contains(name)
        {
            fields.add("proxy", &missing("proxy of the operator", name));
        }
        let both = layer.over(below);
        let private = matches!(layer.trust, Some(Trust::Private | Trust::Both));
        if private && both.trust_anchors.is_none() {
            let message = "must name the trust anchor set with the private roots";
            let violation = Violation::new("value_error.missing", message);
            fields.add("trustAnchors", &violation);
        }
    }

    /// Whether the name stands for what belongs to one endpoint alone, and not to this one: it goes
    /// with its endpoint, or when that endpoint says so.
    fn is_anothers(&self, name: &Name) -> bool {
        EndpointId::parse(name.as_str()).is_some_and(|owner| self.endpoint != Some(owner))
    }

    fn has_identity(&self, name: &Name) -> bool {
        self.book.identities.contains_key(name) || self.defaults.identities.contains(name)
    }
}

/// The name of what belongs to another endpoint alone.
fn anothers(name: &Name) -> Violation {
    let message = format!("names {name}, which belongs to that endpoint alone");
    Violation::new("value_error.name.reserved", message)
}

/// The name of something that does not exist.
pub(crate) fn missing(kind: &str, name: &Name) -> Violation {
    let message = format!("names the {kind} {name}, which does not exist");
    Violation::new("value_error.reference", message)
}
