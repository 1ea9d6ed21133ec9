//! A whole server in one process: puts the parts together, and takes them apart again in the order
//! that loses nothing.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use hookseal_egress::{Egress, EgressConfigError};
use hookseal_engine::clock::{Clock, Random};
use hookseal_engine::config::EngineConfig;
use hookseal_engine::{Engine, EngineParts};
use hookseal_store::error::StoreError;
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{OpenError, SqliteOptions, SqliteStore};

use crate::admin::{self, AdminContext};
use crate::api::{self, ApiConfig, ApiContext, RateLimit};
use crate::auth::Auth;
use crate::auth::jwt::{InvalidKey, VerifyingKeys};
use crate::config::Config;
use crate::config::error::{ConfigError, ConfigErrors};
use crate::config::file;
use crate::config::public_url::PublicUrl;
use crate::config::store::StoreUrl;
use crate::keys::{self, KeyError};
use crate::listener::certificates::{CertificateFiles, Certificates};
use crate::listener::{Listener, ListenerConfig, Serving};
use crate::runtime::clock::SystemClock;
use crate::runtime::random::SystemRandom;
use crate::telemetry::metrics;

/// Most connections to the admin listener: a few monitors, none of which needs many.
const ADMIN_CONNECTIONS_MAX: usize = 64;
/// How long a page of the admin listener may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Time and randomness, for tests to choose.
#[derive(Clone)]
pub struct RuntimeParts {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
}

/// A server at work.
pub struct RunningServer {
    api: Serving,
    admin: Serving,
    engine: Engine,
    store: Arc<SqliteStore>,
    shutdown_timeout: Duration,
}

/// The server did not start. Nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is configured can't be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A key is missing or exposed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A port can't be had.
    #[error("{key}: can't listen on {address}")]
    Bind {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The database can't be opened.
    #[error("the database can't be opened")]
    Open(#[from] OpenError),
    /// The store failed right away.
    #[error("the engine can't start")]
    Engine(#[from] StoreError),
}

/// What the configuration comes to, all of it checked before anything is opened.
struct Prepared {
    certificates: Option<Certificates>,
    egress: Egress,
    engine: EngineConfig,
    auth: Auth,
    master_key: MasterKey,
}

// === impl RuntimeParts ===

impl RuntimeParts {
    /// The machine's.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }
}

/// Starts a server. When it returns, requests are answered.
pub async fn start(config: &Config, runtime: RuntimeParts) -> Result<RunningServer, StartError> {
    let prepared = prepare(config, &runtime.clock)?;
    let api_listener = bind_api(config, prepared.certificates).await?;
    let admin_listener = bind_admin(config).await?;
    let store = open_store(config, prepared.master_key).await?;
    let mut registry = metrics::registry(&prepared.egress, &runtime.clock);
    let parts = EngineParts {
        store: store.clone(),
        egress: prepared.egress,
        clock: runtime.clock,
        random: runtime.random,
        config: prepared.engine,
    };
    let engine = Engine::start(parts, &mut registry).await?;
    let public_url = public_url(config, api_listener.address());
    let context = ApiContext::new(
        engine.clone(),
        prepared.auth,
        api_config(config, public_url),
    );
    let admin = AdminContext {
        registry: Arc::new(registry),
        store: store.clone(),
    };
    Ok(RunningServer {
        api: api_listener.serve(api::router(context)),
        admin: admin_listener.serve(admin::router(admin)),
        engine,
        store,
        shutdown_timeout: config.server.shutdown_timeout,
    })
}

// === impl RunningServer ===

impl RunningServer {
    /// Where the API is.
    pub fn api_address(&self) -> SocketAddr {
        self.api.address()
    }

    /// Where metrics and health are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Waits until the store can't be trusted any more, and says why. The process must end then.
    pub async fn failed(&self) -> String {
        self.store.failed().await
    }

    /// Stops within the configured bound: first no new requests, then no new attempts, and what is
    /// unfinished goes back to the store.
    pub async fn shutdown(self) {
        let deadline = Instant::now() + self.shutdown_timeout;
        // Half for requests leaves the other half for the attempts that they may have caused.
        let cut = self.api.stop(self.shutdown_timeout / 2).await;
        if cut > 0 {
            warn!(
                connections = cut,
                "Cut {cut} connections that were still busy"
            );
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        self.engine.shutdown(rest).await;
        self.admin.stop(Duration::ZERO).await;
    }
}

fn prepare(config: &Config, clock: &Arc<dyn Clock>) -> Result<Prepared, StartError> {
    let mut errors = Vec::new();
    let mut take = |error| errors.push(error);
    let certificates = certificates(config).map_err(&mut take).ok();
    let egress = egress(config, clock).map_err(&mut take).ok();
    let policy = config.retention.policy();
    let public_url = config.server.public_url.as_ref();
    let verification = config.endpoints.verification(public_url);
    let engine = config
        .delivery
        .engine(&config.breaker, &config.health, policy, verification);
    let engine = engine.map_err(&mut take).ok();
    let public_key_pem = public_key_pem(config).map_err(&mut take).ok();
    let (Some(certificates), Some(egress), Some(engine), Some(public_key_pem)) =
        (certificates, egress, engine, public_key_pem)
    else {
        return Err(ConfigErrors(errors).into());
    };
    let secret = keys::jwt_secret(config)?;
    if let Some(weakness) = keys::jwt_secret_weakness(&secret) {
        warn!("The token secret {weakness}");
    }
    let auth = auth(&VerifyingKeys {
        shared_secret: Some(secret),
        public_key_pem,
    });
    Ok(Prepared {
        certificates,
        egress,
        engine,
        auth: auth.map_err(ConfigErrors::from)?,
        master_key: keys::master_key(config)?,
    })
}

fn egress(config: &Config, clock: &Arc<dyn Clock>) -> Result<Egress, ConfigError> {
    let clock = Arc::clone(clock);
    let egress = Egress::new(config.egress.egress()?, Arc::new(move || clock.now()));
    egress.map_err(|error| match error {
        EgressConfigError::ExtraRoots(error) => ConfigError::unusable("egress.extra_roots", error),
        EgressConfigError::NoRoots => ConfigError::unusable("egress.public_roots", error),
        EgressConfigError::NoSuchProxy(_) => ConfigError::unusable("egress.proxy", error),
        EgressConfigError::Tls(error) => ConfigError::unusable("egress.tls_min_version", error),
    })
}

fn auth(keys: &VerifyingKeys) -> Result<Auth, ConfigError> {
    Auth::new(keys).map_err(|error| match error {
        InvalidKey::EmptySecret => ConfigError::unusable("auth.jwt_secret", error),
        InvalidKey::NotAPublicKey => ConfigError::unusable("auth.jwt_public_key", error),
    })
}

/// The egress, if it can be set up as configured.
pub(crate) fn check_egress(config: &Config) -> Result<Egress, ConfigError> {
    egress(config, &RuntimeParts::system().clock)
}

/// Whether the key of others' tokens can be used, if there is one.
pub(crate) fn check_public_key(config: &Config) -> Result<(), ConfigError> {
    let public_key_pem = public_key_pem(config)?;
    auth(&VerifyingKeys {
        shared_secret: None,
        public_key_pem,
    })
    .map(drop)
}

/// The files that TLS takes, if the API listener speaks it.
pub(crate) fn certificate_files(config: &Config) -> Option<CertificateFiles> {
    let (chain, key) = config.server.tls_files()?;
    Some(CertificateFiles {
        chain: chain.clone(),
        key: key.clone(),
    })
}

fn certificates(config: &Config) -> Result<Option<Certificates>, ConfigError> {
    certificate_files(config)
        .map(Certificates::load)
        .transpose()
}

fn public_key_pem(config: &Config) -> Result<Option<String>, ConfigError> {
    const KEY: &str = "auth.jwt_public_key";
    let Some(path) = &config.auth.jwt_public_key else {
        return Ok(None);
    };
    let text = String::from_utf8(file::read(KEY, path)?);
    let text = text.map_err(|_| ConfigError::unusable(KEY, "is no PEM file"))?;
    Ok(Some(text))
}

fn public_url(config: &Config, listening: SocketAddr) -> String {
    let scheme = match config.server.tls_files() {
        Some(_) => "https",
        None => "http",
    };
    let listener = || PublicUrl::of_listener(scheme, listening);
    let url = config.server.public_url.clone();
    url.unwrap_or_else(listener).to_string()
}

fn api_config(config: &Config, public_url: String) -> ApiConfig {
    let limit = |rate: Option<u32>| {
        let per_second = NonZeroU32::new(rate?)?;
        let burst = config.api.rate_burst.and_then(NonZeroU32::new);
        Some(RateLimit {
            per_second,
            burst: burst.unwrap_or(per_second),
        })
    };
    ApiConfig {
        payload_bytes_max: config.server.payload_bytes_max.bytes(),
        address_policy: Arc::new(config.egress.address_policy()),
        public_url,
        rate_per_token: limit(config.api.rate_per_token),
        rate_per_address: limit(config.api.rate_per_address),
        signing_key_kind: config.delivery.default_signature,
    }
}

async fn bind_api(
    config: &Config,
    certificates: Option<Certificates>,
) -> Result<Listener, StartError> {
    let listener = ListenerConfig {
        address: config.server.listen,
        certificates,
        connections_max: config.server.connections_max,
        request_timeout: config.server.request_timeout,
    };
    bind("server.listen", listener).await
}

async fn bind_admin(config: &Config) -> Result<Listener, StartError> {
    let listener = ListenerConfig {
        address: config.server.admin_listen,
        certificates: None,
        connections_max: ADMIN_CONNECTIONS_MAX,
        request_timeout: ADMIN_TIMEOUT,
    };
    bind("server.admin_listen", listener).await
}

async fn bind(key: &'static str, config: ListenerConfig) -> Result<Listener, StartError> {
    let address = config.address;
    Listener::bind(config)
        .await
        .map_err(|source| StartError::Bind {
            key,
            address,
            source,
        })
}

/// Opening brings the schema up to date, which may take a while, and blocks.
async fn open_store(config: &Config, key: MasterKey) -> Result<Arc<SqliteStore>, StartError> {
    let StoreUrl::Sqlite(path) = config.store_url();
    let open = move || SqliteStore::open(SqliteOptions::new(path), key);
    match tokio::task::spawn_blocking(open).await {
        Ok(store) => Ok(Arc::new(store?)),
        Err(error) => Err(OpenError::File(io::Error::other(error)).into()),
    }
}
