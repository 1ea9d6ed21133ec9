//! What the operator decides: read from file, environment and flags, and checked as a whole before
//! anything is opened. Must never show the value of a secret.

pub mod api;
pub mod auth;
pub mod breaker;
pub mod byte_size;
pub mod delivery;
mod duration;
pub mod egress;
pub mod endpoints;
pub mod error;
pub(crate) mod file;
pub mod health;
pub mod keys;
pub mod log;
mod nearest;
mod proxy_credentials;
pub mod public_url;
pub mod reference;
pub mod retention;
mod section;
pub mod server;
pub mod source;
pub mod store;
mod value;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::api::ApiSection;
use crate::config::auth::AuthSection;
use crate::config::breaker::BreakerSection;
use crate::config::delivery::DeliverySection;
use crate::config::egress::EgressSection;
use crate::config::endpoints::EndpointsSection;
use crate::config::error::ConfigErrors;
use crate::config::health::HealthSection;
use crate::config::keys::KeysSection;
use crate::config::log::LogSection;
use crate::config::retention::RetentionSection;
use crate::config::section::{Chapter, Reader, Section};
use crate::config::server::ServerSection;
use crate::config::source::{Layers, Sources};
use crate::config::store::{StoreSection, StoreUrl};
use crate::config::value::Scalar;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where keys and, unless configured otherwise, the database are kept.
    pub data_dir: PathBuf,
    /// Where the server listens and how much it takes on.
    pub server: ServerSection,
    /// How much one client may ask of the HTTP API.
    pub api: ApiSection,
    /// How bearer tokens are verified.
    pub auth: AuthSection,
    /// Where everything is kept.
    pub store: StoreSection,
    /// The key that seals the store.
    pub keys: KeysSection,
    /// How messages are delivered.
    pub delivery: DeliverySection,
    /// When an endpoint that fails gets no attempts for a while.
    pub breaker: BreakerSection,
    /// What happens to an endpoint that does nothing but fail.
    pub health: HealthSection,
    /// What is demanded of endpoints.
    pub endpoints: EndpointsSection,
    /// Where deliveries may go, and whom they trust.
    pub egress: EgressSection,
    /// What is forgotten, and when.
    pub retention: RetentionSection,
    /// What is logged.
    pub log: LogSection,
}

// === impl Config ===

impl Config {
    /// Lays the sources over each other, and checks what comes out.
    pub fn load(data_dir: PathBuf, sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let layers = Layers::new(&chapters(), sources, &mut errors);
        let config = Self::read(data_dir, &mut Reader::new(&layers, &mut errors));
        if let Some(config) = &config {
            config.server.check(&mut errors);
            config.delivery.check(&config.retention, &mut errors);
            config.egress.check(&mut errors);
        }
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors(errors)),
        }
    }

    /// Where the database is.
    pub fn store_url(&self) -> StoreUrl {
        let default = || StoreUrl::Sqlite(self.data_dir.join("hookseal.db"));
        self.store.url.clone().unwrap_or_else(default)
    }

    /// Where the key is that seals the store.
    pub fn master_key_file(&self) -> PathBuf {
        let default = || self.data_dir.join("master.key");
        self.keys.master_key_file.clone().unwrap_or_else(default)
    }

    /// Where the secret of the tokens is, unless one is configured.
    pub fn jwt_secret_file(&self) -> PathBuf {
        self.data_dir.join("jwt.secret")
    }

    fn read(data_dir: PathBuf, reader: &mut Reader<'_>) -> Option<Self> {
        let server = Section::read(reader);
        let api = Section::read(reader);
        let auth = Section::read(reader);
        let store = Section::read(reader);
        let keys = Section::read(reader);
        let delivery = Section::read(reader);
        let breaker = Section::read(reader);
        let health = Section::read(reader);
        let endpoints = Section::read(reader);
        let egress = Section::read(reader);
        let retention = Section::read(reader);
        let log = Section::read(reader);
        Some(Self {
            data_dir,
            server: server?,
            api: api?,
            auth: auth?,
            store: store?,
            keys: keys?,
            delivery: delivery?,
            breaker: breaker?,
            health: health?,
            endpoints: endpoints?,
            egress: egress?,
            retention: retention?,
            log: log?,
        })
    }
}

/// A duration as the configuration has it, for flags that take one too.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(|| format!("must be {}", Duration::FORM))
}

/// What is said of all sections, in the order of the reference.
fn chapters() -> [Chapter; 12] {
    [
        ServerSection::chapter(),
        ApiSection::chapter(),
        AuthSection::chapter(),
        StoreSection::chapter(),
        KeysSection::chapter(),
        DeliverySection::chapter(),
        BreakerSection::chapter(),
        HealthSection::chapter(),
        EndpointsSection::chapter(),
        EgressSection::chapter(),
        RetentionSection::chapter(),
        LogSection::chapter(),
    ]
}
