//! What organisations and endpoints decided about transport security, and what was seen of it, as
//! it goes in and comes out.

use std::collections::BTreeMap;

use async_trait::async_trait;

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::AnchorSet;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{EndpointTransport, Pinning, TransportPolicy};
use hookseal_pki::certificate::SpkiSha256;

use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;

/// Most named policies of an organisation: people choose from them, and all are read together.
pub const POLICIES_MAX: usize = 200;
/// Most trust anchor sets of an organisation: all are read together, up to 32 roots in each.
pub const ANCHOR_SETS_MAX: usize = 200;
/// Most client identities of an organisation: all are read together, with their private keys.
pub const IDENTITIES_MAX: usize = 500;

/// The part of [`crate::Store`] that keeps transport security.
///
/// What an organisation has is versioned: every change takes the next version of its book, and no
/// version is given twice, not even to something that is deleted and made anew.
#[async_trait]
pub trait TransportStore: Send + Sync {
    // --- an organisation's ---

    /// All named policies, trust anchor sets and client identities, as of one version. An empty
    /// book of version 0 where there never was any.
    async fn transport_book(&self, org: OrgId) -> Result<TransportBook, StoreError>;

    /// Makes or replaces a named policy; says which.
    async fn put_transport_policy(
        &self,
        org: OrgId,
        name: Name,
        policy: TransportPolicy,
        now: Timestamp,
    ) -> Result<Created<()>, ChangeError>;

    /// Deletes a named policy that no endpoint names.
    async fn delete_transport_policy(&self, org: OrgId, name: &Name) -> Result<(), ChangeError>;

    /// Replaces a trust anchor set, which has to stand as of the version given, or makes it where
    /// that is 0 and the name is free. Returns its new version.
    async fn put_trust_anchor_set(
        &self,
        org: OrgId,
        set: AnchorSet,
        now: Timestamp,
    ) -> Result<i64, ChangeError>;

    /// Deletes a trust anchor set that no policy or endpoint names.
    async fn delete_trust_anchor_set(&self, org: OrgId, name: &Name) -> Result<(), ChangeError>;

    /// Replaces a client identity, which has to stand as of the version given, or makes it where
    /// that is 0 and the name is free. Returns its new version. What was seen of its certificates
    /// in the meantime is kept.
    async fn put_client_identity(
        &self,
        org: OrgId,
        identity: ClientIdentity,
        now: Timestamp,
    ) -> Result<i64, ChangeError>;

    /// As `put_client_identity`, and takes down with it that this request made the certificate of
    /// this number: never one without the other.
    async fn put_client_identity_as_asked(
        &self,
        org: OrgId,
        identity: ClientIdentity,
        request: Idempotency,
        number: u32,
        now: Timestamp,
    ) -> Result<i64, ChangeError>;

    /// Deletes a client identity that no policy or endpoint names, with its keys for good.
    async fn delete_client_identity(&self, org: OrgId, name: &Name) -> Result<(), ChangeError>;

    // --- an endpoint's ---

    /// What an endpoint says itself; `None` if there is no such endpoint.
    async fn endpoint_transport(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<EndpointTransport>, StoreError>;

    /// Replaces what an endpoint says itself and begins a new generation of it. Refused as stale
    /// unless it still stands as in `before`; when a pin was seen does not count.
    async fn set_endpoint_transport(
        &self,
        app: AppId,
        endpoint: EndpointId,
        transport: EndpointTransport,
        before: &EndpointTransport,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// The application of an organisation's endpoint.
    async fn find_endpoint(
        &self,
        org: OrgId,
        endpoint: EndpointId,
    ) -> Result<Option<AppId>, StoreError>;

    /// What an organisation's endpoints that have fewer pins than this say of pinning, and how many
    /// say so. Reads what every endpoint of the organisation says: for a change that is rare.
    async fn endpoints_with_fewer_pins(
        &self,
        org: OrgId,
        than: usize,
    ) -> Result<Vec<FewPins>, StoreError>;

    // --- seen ---

    /// Keeps what was seen, the newest of each endpoint, and moves its pins and the certificates of
    /// our identities on. Makes no new version or generation. Ignores endpoints that are gone.
    async fn record_handshakes(&self, seen: Vec<SeenHandshake>) -> Result<(), StoreError>;

    /// What was seen of an endpoint last.
    async fn handshakes(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<EndpointHandshakes, StoreError>;

    /// How many policies and endpoints name a trust anchor set.
    async fn naming_trust_anchor_set(&self, org: OrgId, name: &Name) -> Result<u64, StoreError>;

    /// How many endpoints' last good chains ended in this root.
    async fn anchor_users(&self, org: OrgId, anchor: SpkiSha256) -> Result<u64, StoreError>;

    /// Endpoints whose receivers accepted a certificate of this identity last and that present it
    /// still, by id: one that another identity is named for now needs none of its certificates.
    async fn identity_users(
        &self,
        org: OrgId,
        identity: &Name,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<IdentityUser>, StoreError>;

    /// How many of those there are, by the certificate's number.
    async fn identity_standing(
        &self,
        org: OrgId,
        identity: &Name,
    ) -> Result<BTreeMap<u32, u64>, StoreError>;
}

/// Endpoints that have few pins and say the same of pinning.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FewPins {
    /// The named policy under their own.
    pub policy: Option<Name>,
    /// What they say themselves.
    pub pinning: Option<Pinning>,
    /// How many there are.
    pub endpoints: u64,
}

/// A handshake with an endpoint's receiver.
#[derive(Clone, Debug)]
pub struct SeenHandshake {
    /// Whose endpoint it is.
    pub org: OrgId,
    /// Of which application.
    pub app: AppId,
    /// Which.
    pub endpoint: EndpointId,
    /// What was seen.
    pub report: HandshakeReport,
}

/// What was seen of an endpoint last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndpointHandshakes {
    /// The last handshake.
    pub last: Option<HandshakeReport>,
    /// The last one that was good.
    pub last_good: Option<HandshakeReport>,
}

/// An endpoint whose receiver accepted a certificate of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityUser {
    /// Of which application.
    pub app: AppId,
    /// Which.
    pub endpoint: EndpointId,
    /// The certificate's number within the identity; 0 for the operator's own.
    pub number: u32,
    /// Names the certificate.
    pub sha256: [u8; 32],
    /// When it was accepted.
    pub at: Timestamp,
}
