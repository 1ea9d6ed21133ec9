//! What belongs to one endpoint alone: the client identity and the trust anchor set that have its
//! id for a name. They are made by the operations `mtls` and `ca`, and go with the endpoint.

use std::collections::BTreeSet;

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::id::{EndpointId, OrgId};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::TransportPolicy;

use crate::api::ApiContext;
use crate::api::access::OwnApplication;
use crate::api::endpoint::WHAT;
use crate::api::error::{ApiError, ErrorCode};

/// The name of what belongs to this endpoint alone.
pub(super) fn private_name(endpoint: &Endpoint) -> Result<Name, ApiError> {
    name_of(endpoint.id)
}

fn name_of(endpoint: EndpointId) -> Result<Name, ApiError> {
    Name::parse(&endpoint.to_string()).map_err(|violation| ApiError::internal(&violation))
}

impl ApiContext {
    /// What an endpoint says itself of transport security.
    pub(super) async fn own_layer(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
    ) -> Result<TransportPolicy, ApiError> {
        let store = self.engine.store();
        let transport = store.endpoint_transport(own.id(), endpoint.id).await?;
        let transport = transport.ok_or_else(|| ApiError::not_found(WHAT))?;
        Ok(transport.own)
    }

    /// Forgets what belonged to endpoints that were deleted, keys above all. What a policy names
    /// all the same stays.
    pub(crate) async fn forget_private(
        &self,
        org: OrgId,
        endpoints: impl IntoIterator<Item = EndpointId> + Send,
    ) -> Result<(), ApiError> {
        let names: Result<BTreeSet<_>, _> = endpoints.into_iter().map(name_of).collect();
        let names = names?;
        let _turn = self.turns.of(org).await;
        let book = self.book(org).await?;
        for name in book.identities.keys().filter(|name| names.contains(name)) {
            in_use_stays(self.delete_identity(org, name.clone()).await)?;
        }
        for name in book.anchor_sets.keys().filter(|name| names.contains(name)) {
            in_use_stays(self.delete_anchor_set(org, name.clone()).await)?;
        }
        Ok(())
    }
}

/// What others name is not deleted, which is no error.
pub(super) fn in_use_stays(deleted: Result<(), ApiError>) -> Result<(), ApiError> {
    match deleted {
        Err(ApiError::Coded {
            code: ErrorCode::InUse,
            ..
        }) => Ok(()),
        other => other,
    }
}
