//! Changes of what an organisation decided about transport security: made to their end, made
//! known, and made anew when somebody else came first.

use std::sync::Arc;

use utoipa::IntoParams;

use hookseal_domain::id::OrgId;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::pin::Force;
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::publish::Idempotency;

use crate::api::ApiContext;
use crate::api::error::ApiError;
use crate::api::query::{FromQuery, QueryReader};

/// How often a change is decided anew when what it was decided on changed meanwhile.
pub(crate) const TRIES: usize = 4;

/// Whether rules that protect from an outage are kept.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
pub(crate) struct ForceParams {
    /// Make the change although it may stop deliveries.
    #[param(default = false)]
    force: Option<bool>,
}

impl FromQuery for Force {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        match query.flag("force") {
            Some(true) => Self::Yes,
            Some(false) | None => Self::No,
        }
    }
}

/// A document as it was decided on, and the number of what was made in it.
pub(crate) struct Made<T> {
    /// The document.
    pub(crate) document: T,
    /// The number; 0 where nothing is counted.
    pub(crate) number: u32,
}

impl ApiContext {
    /// What an earlier request with the same key made, if there was one.
    pub(crate) async fn earlier(
        &self,
        request: Option<Idempotency>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(request) = request else {
            return Ok(None);
        };
        let (store, now) = (self.engine.store(), self.engine.now());
        let earlier = store.earlier_request(request, now).await;
        earlier.map_err(|error| ApiError::change("what it made", error))
    }

    /// All that the organisation decided about transport security.
    pub(crate) async fn book(&self, org: OrgId) -> Result<TransportBook, ApiError> {
        Ok(self.engine.store().transport_book(org).await?)
    }

    /// Changes something of an organisation and makes it known. Goes on to its end even when the
    /// client stops waiting, so that nothing changes unknown.
    pub(crate) async fn change_organisation<T, F, Change>(
        &self,
        org: OrgId,
        change: F,
    ) -> Result<Result<T, ChangeError>, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Store>) -> Change + Send + 'static,
        Change: Future<Output = Result<T, ChangeError>> + Send,
    {
        let engine = self.engine.clone();
        let changing = tokio::spawn(async move {
            let changed = change(Arc::clone(engine.store())).await;
            engine.organisation_changed(org);
            changed
        });
        changing.await.map_err(|error| ApiError::internal(&error))
    }
}
