//! The HTTP API: extract, authorize, one call, shape. Decides nothing that the domain or the engine
//! decides.

mod absent;
mod access;
mod application;
mod authentication;
mod background_task;
mod check;
mod docs;
mod endpoint;
mod environment;
mod error;
mod event_type;
mod health;
mod input;
mod management;
mod message;
mod message_attempt;
mod openapi;
mod operational_webhook;
mod page;
mod params;
mod query;
mod rate;
mod respond;
mod routing;
mod shed;
mod statistics;
mod transport;
mod turns;
mod verification;
mod wire;

use std::sync::Arc;

use hookseal_domain::address_policy::AddressPolicy;
use hookseal_domain::id::AppId;
use hookseal_domain::signature::key::KeyKind;
use hookseal_engine::Engine;
use hookseal_store::Store;
use hookseal_store::error::ChangeError;

use crate::api::error::ApiError;
use crate::api::rate::KeyedLimit;
use crate::api::turns::Turns;
use crate::auth::Auth;

pub use crate::api::openapi::openapi_json;
pub use crate::api::rate::RateLimit;
pub use crate::api::routing::router;

/// The context as handlers share it.
pub(crate) type Api = Arc<ApiContext>;

/// What the API works with.
pub struct ApiContext {
    engine: Engine,
    auth: Auth,
    config: ApiConfig,
    token_limit: Option<KeyedLimit<[u8; 32]>>,
    turns: Turns,
}

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Largest payload of a message, in bytes.
    pub payload_bytes_max: usize,
    /// Which addresses endpoints may have; asked when a URL is saved and holds an address.
    pub address_policy: Arc<AddressPolicy>,
    /// How often one token may ask; `None` for no limit.
    pub rate_per_token: Option<RateLimit>,
    /// How often one address may ask; `None` for no limit.
    pub rate_per_address: Option<RateLimit>,
    /// Where clients reach the API, without a slash at its end.
    pub public_url: String,
    /// Which kind of signing key an endpoint gets that brings none.
    pub signing_key_kind: KeyKind,
}

/// The reference of all errors, as Markdown.
pub fn errors_markdown() -> String {
    error::errors_markdown()
}

// === impl ApiContext ===

impl ApiContext {
    /// Puts the parts together.
    pub fn new(engine: Engine, auth: Auth, config: ApiConfig) -> Self {
        Self {
            engine,
            auth,
            token_limit: config.rate_per_token.map(KeyedLimit::new),
            config,
            turns: Turns::default(),
        }
    }

    /// Changes something of an application, which the errors call `what`, and makes it known.
    async fn change<T, F, Change>(&self, what: &str, app: AppId, change: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Store>) -> Change + Send + 'static,
        Change: Future<Output = Result<T, ChangeError>> + Send,
    {
        let changed = self.try_change(app, change).await?;
        changed.map_err(|error| ApiError::change(what, error))
    }

    /// Changes something of an application and makes it known. Goes on to its end even when the
    /// client stops waiting, so that nothing changes unknown.
    async fn try_change<T, F, Change>(
        &self,
        app: AppId,
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
            engine.application_changed(app);
            changed
        });
        changing.await.map_err(|error| ApiError::internal(&error))
    }
}
