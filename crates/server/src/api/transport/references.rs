//! Whether what a layer of transport policy names is there, and whether it fits together.

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
}

// === impl Known ===

impl Known<'_> {
    /// Notes every name in the layer that leads nowhere, and private trust without anchors.
    /// `below` is what lies under the layer.
    pub(crate) fn check(
        &self,
        fields: &mut Fields<'_>,
        layer: &TransportPolicy,
        below: &TransportPolicy,
    ) {
        if let Some(name) = &layer.trust_anchors
            && !self.book.anchor_sets.contains_key(name)
        {
            fields.add("trustAnchors", &missing("trust anchor set", name));
        }
        if let Some(Choice::Named(name)) = &layer.client_identity
            && !self.has_identity(name)
        {
            fields.add("clientIdentity", &missing("client identity", name));
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

    fn has_identity(&self, name: &Name) -> bool {
        self.book.identities.contains_key(name) || self.defaults.identities.contains(name)
    }
}

/// The name of something that does not exist.
pub(crate) fn missing(kind: &str, name: &Name) -> Violation {
    let message = format!("names the {kind} {name}, which does not exist");
    Violation::new("value_error.reference", message)
}
