//! Client identities as they go out. There is no field for a key.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::transport::identity::{ClientIdentity, IdentityCertificate};
use hookseal_pki::anchor_set::certificate_pem;

use crate::api::transport::named::hex;

use crate::api::wire::{At, text};

/// A client identity: the certificates that we present under one name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClientIdentity)]
pub(crate) struct IdentityOut {
    /// Its name.
    #[schema(value_type = text::TransportName)]
    name: String,
    /// Grows with each change.
    version: i64,
    /// Its certificates, and keys that wait for one, by number.
    certificates: Vec<IdentityCertificateOut>,
    /// When it was last changed.
    updated_at: At,
}

/// One key of a client identity, with its certificate once there is one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClientIdentityCertificate)]
pub(crate) struct IdentityCertificateOut {
    /// Counts from 1 within the identity; a newer one has a higher number.
    number: u32,
    /// `requested` (the CA has not answered yet), `issued` (receivers were not told yet),
    /// `distributed` (they were), `seen` (one accepted it), or `retired`.
    stage: &'static str,
    /// Whom it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// Names it: SHA-256 in hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Its first second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<At>,
    /// Its last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<At>,
    /// Its chain in PEM, our own certificate first.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// The certificate request in PEM, where the key was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    csr: Option<String>,
    /// When the key was made or uploaded.
    added_at: At,
    /// When the certificate was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<At>,
    /// When the receivers were told.
    #[serde(skip_serializing_if = "Option::is_none")]
    distributed_at: Option<At>,
    /// When a receiver first accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at: Option<At>,
    /// When it was retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<At>,
}

// === impl IdentityOut ===

impl IdentityOut {
    /// As it goes out.
    pub(crate) fn of(identity: &ClientIdentity) -> Self {
        let certificates = identity.certificates.iter();
        Self {
            name: identity.name.to_string(),
            version: identity.version,
            certificates: certificates.map(IdentityCertificateOut::of).collect(),
            updated_at: At(identity.updated_at),
        }
    }
}

// === impl IdentityCertificateOut ===

impl IdentityCertificateOut {
    /// As it goes out.
    pub(crate) fn of(one: &IdentityCertificate) -> Self {
        let issued = one.issued.as_ref();
        let chain = |chain: &Vec<Vec<u8>>| chain.iter().map(|der| certificate_pem(der)).collect();
        Self {
            number: one.number,
            stage: one.stage.as_str(),
            subject: issued.map(|issued| issued.subject.clone()),
            issuer: issued.map(|issued| issued.issuer.clone()),
            sha256: issued.map(|issued| hex(&issued.sha256)),
            not_before: issued.map(|issued| At(issued.not_before)),
            not_after: issued.map(|issued| At(issued.not_after)),
            certificate: issued.map(|issued| chain(&issued.chain_der)),
            csr: one.csr_pem.clone(),
            added_at: At(one.added_at),
            issued_at: one.times.issued_at.map(At),
            distributed_at: one.times.distributed_at.map(At),
            seen_at: one.times.seen_at.map(At),
            retired_at: one.times.retired_at.map(At),
        }
    }
}
