//! The receivers of the demo with mutual TLS: each lets in only clients with a certificate of the
//! private CA, and verifies what comes.

use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::json;

use crate::demo::mutual::{MutualError, setting};
use crate::demo::receivers::{Ledger, Role};
use crate::demo::stage::Stage;
use crate::receiver::Receiver;
use crate::receiver::authority::Clients;
use crate::receiver::verify::Verifier;

/// Whose receiver it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Party {
    /// As everything should be.
    Bank,
    /// Another key than the pinned one.
    Impostor,
    /// Its endpoint presents no certificate.
    Anonymous,
}

/// All of them.
pub(super) struct Receivers {
    bank: Member,
    impostor: Member,
    anonymous: Member,
}

struct Member {
    ledger: Arc<Ledger>,
    receiver: Receiver,
}

// === impl Party ===

impl Party {
    /// In the order of the story.
    pub(super) const ALL: [Self; 3] = [Self::Bank, Self::Impostor, Self::Anonymous];

    /// What its endpoint is called.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Impostor => "impostor",
            Self::Anonymous => "anonymous",
        }
    }

    /// What the API should say of the first attempt.
    pub(super) const fn expected_failure(self) -> Option<&'static str> {
        match self {
            Self::Bank => None,
            Self::Impostor => Some("pin_mismatch"),
            Self::Anonymous => Some("certificate_required"),
        }
    }
}

// === impl Receivers ===

impl Receivers {
    /// Starts all of them, and makes their endpoints.
    pub(super) async fn start(stage: &Stage) -> Result<Self, MutualError> {
        Ok(Self {
            bank: Member::start(stage, Party::Bank).await?,
            impostor: Member::start(stage, Party::Impostor).await?,
            anonymous: Member::start(stage, Party::Anonymous).await?,
        })
    }

    /// What one of them has seen.
    pub(super) fn ledger(&self, party: Party) -> &Ledger {
        match party {
            Party::Bank => &self.bank.ledger,
            Party::Impostor => &self.impostor.ledger,
            Party::Anonymous => &self.anonymous.ledger,
        }
    }

    /// Gives the bank another key; its open connections finish and close.
    pub(super) fn change_key(&self, config: Arc<ServerConfig>) {
        self.bank.receiver.replace(config);
    }
}

// === impl Member ===

impl Member {
    async fn start(stage: &Stage, party: Party) -> Result<Self, MutualError> {
        let ledger = Ledger::new(Role::Healthy);
        let server = stage.authority.server(names())?;
        let config = server.config(Clients::Of(&stage.authority))?;
        let recipient = Arc::<Ledger>::clone(&ledger);
        let receiver = stage.receiver(config, recipient).await?;
        let key = setting::make_endpoint(stage, party, &receiver.url()).await?;
        ledger.verify_with(Verifier::parse(key.expose())?);
        match party {
            Party::Bank => {
                let backup = stage.authority.server(names())?;
                setting::pin(stage, party, server.pem()).await?;
                setting::pin(stage, party, backup.pem()).await?;
                setting::demand(stage, party, &json!({ "pinning": "enforce" })).await?;
            }
            Party::Impostor => {
                for _ in 0..2 {
                    let genuine = stage.authority.server(names())?;
                    setting::pin(stage, party, genuine.pem()).await?;
                }
                setting::demand(stage, party, &json!({ "pinning": "enforce" })).await?;
            }
            Party::Anonymous => {
                setting::demand(stage, party, &json!({ "clientIdentity": "none" })).await?;
            }
        }
        Ok(Self { ledger, receiver })
    }
}

/// What a receiver on this machine is called.
pub(super) fn names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}
