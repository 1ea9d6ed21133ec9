//! Trust anchor sets as they come in and go out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::transport::anchor_set::{Anchor, AnchorSet};
use hookseal_pki::anchor_set::certificate_pem;
use hookseal_pki::certificate::SpkiSha256;

use crate::api::transport::named::hex;

use crate::api::wire::{At, present, text};

/// How many endpoints' chains ended in a root when they were last verified, by the root's key.
pub(crate) type Users = BTreeMap<SpkiSha256, u64>;

/// Private roots.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrustAnchorsIn)]
pub(super) struct AnchorsIn {
    /// One or more PEM sections `-----BEGIN CERTIFICATE-----`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required)]
    pub(super) pem: Option<String>,
}

/// Changes of one root.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrustAnchorPatch)]
pub(super) struct AnchorPatch {
    /// `retiring` marks a root that is to go; `active` takes that back.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required)]
    pub(super) state: Option<String>,
}

/// A named set of private roots.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TrustAnchorSet)]
pub(super) struct AnchorSetOut {
    /// Its name.
    #[schema(value_type = text::TransportName)]
    name: String,
    /// Grows with each change.
    version: i64,
    /// The roots, in the order in which they were added.
    anchors: Vec<AnchorOut>,
    /// When it was last changed.
    updated_at: At,
}

/// One private root.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TrustAnchor)]
pub(super) struct AnchorOut {
    /// SHA-256 of the certificate in hex digits: names it.
    sha256: String,
    /// Whose it is.
    subject: String,
    /// Names its key: `sha256/` and base64 (RFC 7469).
    pin: String,
    /// Its first second.
    not_before: At,
    /// Its last second.
    not_after: At,
    /// `active`, or `retiring` once it is to go. Both are trusted.
    state: &'static str,
    /// When it was added.
    added_at: At,
    /// Since when it is to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_since: Option<At>,
    /// How many endpoints' chains ended in it when they were last verified: of all endpoints of the
    /// organisation, whichever set they use, and 0 where no policy and no endpoint names the set.
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<u64>,
    /// The certificate.
    pem: String,
}

// === impl AnchorSetOut ===

impl AnchorSetOut {
    /// As it goes out; without `users` in lists.
    pub(super) fn of(set: &AnchorSet, users: Option<&Users>) -> Self {
        let anchors = set.anchors.iter();
        Self {
            name: set.name.to_string(),
            version: set.version,
            anchors: anchors.map(|one| AnchorOut::of(one, users)).collect(),
            updated_at: At(set.updated_at),
        }
    }
}

// === impl AnchorOut ===

impl AnchorOut {
    fn of(anchor: &Anchor, users: Option<&Users>) -> Self {
        let endpoints = |users: &Users| users.get(&anchor.spki_sha256).copied().unwrap_or(0);
        Self {
            sha256: hex(&anchor.sha256),
            subject: anchor.subject.clone(),
            pin: anchor.spki_sha256.to_string(),
            not_before: At(anchor.not_before),
            not_after: At(anchor.not_after),
            state: match anchor.retiring_since {
                None => "active",
                Some(_) => "retiring",
            },
            added_at: At(anchor.added_at),
            retiring_since: anchor.retiring_since.map(At),
            endpoints: users.map(endpoints),
            pem: certificate_pem(&anchor.der),
        }
    }
}
