//! The store's intents of transport security, each in its own file. Must never do anything itself.

use std::collections::BTreeMap;

use async_trait::async_trait;

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::AnchorSet;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{EndpointTransport, TransportPolicy};
use hookseal_pki::certificate::SpkiSha256;

use crate::codes::ItemKind;
use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::{
    endpoint_transports, endpoints, few_pins, handshake_users, handshakes, transport_book,
    transport_items,
};
use crate::transport::{EndpointHandshakes, FewPins, IdentityUser, SeenHandshake, TransportStore};

#[async_trait]
impl TransportStore for SqliteStore {
    // --- an organisation's ---

    async fn transport_book(&self, org: OrgId) -> Result<TransportBook, StoreError> {
        transport_book::read(self, org).await
    }

    async fn put_transport_policy(
        &self,
        org: OrgId,
        name: Name,
        policy: TransportPolicy,
        now: Timestamp,
    ) -> Result<Created<()>, ChangeError> {
        transport_items::put_policy(self, org, name, policy, now).await
    }

    async fn delete_transport_policy(&self, org: OrgId, name: &Name) -> Result<(), ChangeError> {
        transport_items::delete(self, org, ItemKind::Policy, name).await
    }

    async fn put_trust_anchor_set(
        &self,
        org: OrgId,
        set: AnchorSet,
        now: Timestamp,
    ) -> Result<i64, ChangeError> {
        transport_items::put_anchor_set(self, org, set, now).await
    }

    async fn delete_trust_anchor_set(&self, org: OrgId, name: &Name) -> Result<(), ChangeError> {
        transport_items::delete(self, org, ItemKind::AnchorSet, name).await
    }

    async fn put_client_identity(
        &self,
        org: OrgId,
        identity: ClientIdentity,
        now: Timestamp,
    ) -> Result<i64, ChangeError> {
        transport_items::put_identity(self, org, identity, None, now).await
    }

    async fn put_client_identity_as_asked(
        &self,
        org: OrgId,
        identity: ClientIdentity,
        request: Idempotency,
        number: u32,
        now: Timestamp,
    ) -> Result<i64, ChangeError> {
        let asked = Some((request, i64::from(number)));
        transport_items::put_identity(self, org, identity, asked, now).await
    }

    async fn delete_client_identity(&self, org: OrgId, name: &Name) -> Result<(), ChangeError> {
        transport_items::delete(self, org, ItemKind::ClientIdentity, name).await
    }

    // --- an endpoint's ---

    async fn endpoint_transport(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<EndpointTransport>, StoreError> {
        endpoint_transports::one(self, app, endpoint).await
    }

    async fn set_endpoint_transport(
        &self,
        app: AppId,
        endpoint: EndpointId,
        transport: EndpointTransport,
        before: &EndpointTransport,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        endpoint_transports::set(self, app, endpoint, transport, before, now).await
    }

    async fn find_endpoint(
        &self,
        org: OrgId,
        endpoint: EndpointId,
    ) -> Result<Option<AppId>, StoreError> {
        endpoints::application_of(self, org, endpoint).await
    }

    async fn endpoints_with_fewer_pins(
        &self,
        org: OrgId,
        than: usize,
    ) -> Result<Vec<FewPins>, StoreError> {
        few_pins::of_organisation(self, org, than).await
    }

    // --- seen ---

    async fn record_handshakes(&self, seen: Vec<SeenHandshake>) -> Result<(), StoreError> {
        handshakes::record(self, seen).await
    }

    async fn handshakes(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<EndpointHandshakes, StoreError> {
        handshakes::one(self, app, endpoint).await
    }

    async fn naming_trust_anchor_set(&self, org: OrgId, name: &Name) -> Result<u64, StoreError> {
        transport_items::naming_anchor_set(self, org, name).await
    }

    async fn anchor_users(&self, org: OrgId, anchor: SpkiSha256) -> Result<u64, StoreError> {
        handshake_users::of_anchor(self, org, anchor).await
    }

    async fn identity_users(
        &self,
        org: OrgId,
        identity: &Name,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<IdentityUser>, StoreError> {
        handshake_users::of_identity(self, org, identity, page).await
    }

    async fn identity_standing(
        &self,
        org: OrgId,
        identity: &Name,
    ) -> Result<BTreeMap<u32, u64>, StoreError> {
        handshake_users::standing(self, org, identity).await
    }
}
