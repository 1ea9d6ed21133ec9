//! Where the demo plays: a whole server on a store in a temporary directory, and an authority for
//! the certificates. Nothing of it outlives the demo.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tempfile::TempDir;

use hookseal_domain::access::Principal;
use hookseal_domain::id::OrgId;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_engine::clock::Clock;

use crate::api_client::{Client, Server};
use crate::auth::jwt::{self, MintError};
use crate::config::Config;
use crate::config::source::{Assignment, NotAnAssignment, Sources};
use crate::keys::{self, KeyError};
use crate::receiver::authority::{AuthorityError, LocalAuthority};
use crate::receiver::{Receiver, Recipient, Transport};
use crate::runtime::random::SystemRandom;
use crate::serve::{self, RunningServer, RuntimeParts, StartError};
use crate::telemetry;

/// How long the token is valid: nobody looks at a demo for longer.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What the demo sets: only the receivers are trusted and reached, and the flaky one is tried again
/// within seconds. Whatever else is configured on this machine is left aside.
const SETTINGS: [&str; 6] = [
    "server.admin_listen=127.0.0.1:0",
    "server.shutdown_timeout=3s",
    "egress.allow_networks=127.0.0.0/8",
    "egress.public_roots=none",
    "delivery.retry_schedule=250ms,500ms,1s,2s,4s,8s",
    "log.filter=warn,hookseal_engine::handshakes=error",
];

/// A server, and what receivers need.
pub struct Stage {
    /// A client of the server's API, with a token.
    pub client: Client,
    /// Issues the certificates that the server trusts.
    pub authority: LocalAuthority,
    server: RunningServer,
    token: Secret<String>,
    clock: Arc<dyn Clock>,
    /// Removed when dropped.
    folder: TempDir,
}

/// The stage could not be set.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// There is no temporary directory.
    #[error("no temporary directory can be made")]
    Folder(#[source] io::Error),
    /// There are no certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A receiver has no port.
    #[error("the receivers can't listen on 127.0.0.1")]
    Receiver(#[source] io::Error),
    /// A setting of the demo is no setting.
    #[error("the demo's settings: {0}")]
    Setting(#[from] NotAnAssignment),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The key of the token can't be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no token.
    #[error("no token could be made")]
    Token(#[from] MintError),
}

// === impl Stage ===

impl Stage {
    /// Starts everything; the API listens on `listen`.
    pub async fn set(listen: SocketAddr, runtime: RuntimeParts) -> Result<Self, StageError> {
        let folder = tempfile::Builder::new()
            .prefix("hookseal-demo-")
            .tempdir()
            .map_err(StageError::Folder)?;
        let clock = Arc::clone(&runtime.clock);
        let authority = LocalAuthority::make("Hookseal demo root", clock.now())?;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, authority.pem()).map_err(StageError::Folder)?;

        let mut set = SETTINGS.map(str::to_owned).to_vec();
        set.push(format!("server.listen={listen}"));
        set.push(format!("egress.extra_roots={}", roots.display()));
        let set: Result<Vec<Assignment>, _> = set.iter().map(|text| text.parse()).collect();
        let sources = Sources {
            set: set?,
            ..Sources::default()
        };
        let config =
            Config::load(folder.path().join("data"), &sources).map_err(StartError::from)?;
        telemetry::init(&config.log);

        let server = serve::start(&config, runtime).await?;
        let org = OrgId::from_stored(*SystemRandom.key().expose());
        let (secret, now) = (keys::jwt_secret(&config)?, clock.now());
        let ends_at = Some(now.plus(TOKEN_LIFETIME));
        let token = jwt::mint(&secret, Principal::Organisation(org), now, ends_at)?;
        Ok(Self {
            client: Client::new(Server::plain(server.api_address()), token.clone()),
            authority,
            server,
            token,
            clock,
            folder,
        })
    }

    /// Where the API is.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.server.api_address())
    }

    /// A token for everything in the demo.
    pub fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Starts a receiver that speaks TLS as `config` says.
    pub async fn receiver(
        &self,
        config: Arc<ServerConfig>,
        recipient: Arc<dyn Recipient>,
    ) -> Result<Receiver, StageError> {
        let address = ([127, 0, 0, 1], 0).into();
        let transport = Transport::Tls(config);
        let receiver = Receiver::start(address, transport, recipient, Arc::clone(&self.clock));
        receiver.await.map_err(StageError::Receiver)
    }

    /// Waits until the store can't be trusted any more, and says why.
    pub async fn failed(&self) -> String {
        self.server.failed().await
    }

    /// Stops everything and removes the store.
    pub async fn strike(self) -> io::Result<()> {
        self.server.shutdown().await;
        self.folder.close()
    }
}
