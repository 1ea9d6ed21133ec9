//! The application that an organisation has for operational events, which no path names.

use axum::http::request::Parts;

use hookseal_domain::access::Principal;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::id::AppId;
use hookseal_store::reference::EndpointRef;

use crate::api::ApiContext;
use crate::api::access::{Organisation, OwnApplication, Scope};
use crate::api::endpoint::WHAT;
use crate::api::error::ApiError;

/// The organisation's operational webhooks; not for application tokens.
pub(super) struct OperationalWebhooks {
    principal: Principal,
}

impl Scope for OperationalWebhooks {
    async fn authorize(
        api: &ApiContext,
        principal: Principal,
        parts: &mut Parts,
    ) -> Result<Self, ApiError> {
        Organisation::authorize(api, principal, parts).await?;
        Ok(Self { principal })
    }
}

// === impl OperationalWebhooks ===

impl OperationalWebhooks {
    /// Their application; `None` as long as there never was a webhook.
    pub(super) async fn application(
        &self,
        api: &ApiContext,
    ) -> Result<Option<OwnApplication>, ApiError> {
        let store = api.engine.store();
        match store.operational_application(self.principal.org()).await? {
            Some(app) => self.own(api, app).await.map(Some),
            None => Ok(None),
        }
    }

    /// Their application, made with the first webhook.
    pub(super) async fn application_made(
        &self,
        api: &ApiContext,
    ) -> Result<OwnApplication, ApiError> {
        if let Some(own) = self.application(api).await? {
            return Ok(own);
        }
        let (id, now) = (api.engine.next_id(), api.engine.now());
        let store = api.engine.store();
        let made = store.make_operational_application(self.principal.org(), id, now);
        let app = made.await.map_err(|error| ApiError::change(WHAT, error))?;
        self.own(api, app).await
    }

    /// One of the webhooks.
    pub(super) async fn endpoint(
        &self,
        api: &ApiContext,
        named: &EndpointRef,
    ) -> Result<(OwnApplication, Endpoint), ApiError> {
        let own = self.application(api).await?;
        let own = own.ok_or_else(|| ApiError::not_found(WHAT))?;
        let endpoint = own.endpoint(api, named).await?;
        Ok((own, endpoint))
    }

    async fn own(&self, api: &ApiContext, app: AppId) -> Result<OwnApplication, ApiError> {
        let routing = api.engine.routing_of(app).await?;
        let routing = routing.ok_or_else(|| ApiError::not_found(WHAT))?;
        Ok(OwnApplication {
            principal: self.principal,
            routing,
        })
    }
}
