//! The three receivers of the demo, each with what it sees.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use hookseal_domain::secret::Secret;
use hookseal_domain::signature::key::KeyKind;

use crate::demo::receivers::{Ledger, Role};
use crate::demo::stage::{Stage, StageError};
use crate::receiver::Receiver;
use crate::receiver::authority::Clients;
use crate::runtime::random::SystemRandom;

/// The receivers, in the order of the story.
pub struct Cast(Vec<Member>);

/// A receiver of the demo.
pub struct Member {
    /// How it behaves.
    pub role: Role,
    /// What it has seen.
    pub ledger: Arc<Ledger>,
    /// The receiver itself.
    pub receiver: Receiver,
    /// The key that its endpoint shall be signed with; `None` for one that the server makes.
    pub signing_key: Option<Secret<String>>,
}

// === impl Cast ===

impl Cast {
    /// Starts all of them.
    pub async fn start(stage: &Stage) -> Result<Self, StageError> {
        let mut members = Vec::new();
        for role in Role::ALL {
            members.push(Member::start(role, stage).await?);
        }
        Ok(Self(members))
    }

    /// All of them.
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    /// The one that behaves so.
    pub fn member(&self, role: Role) -> Option<&Member> {
        self.0.iter().find(|member| member.role == role)
    }
}

// === impl Member ===

impl Member {
    async fn start(role: Role, stage: &Stage) -> Result<Self, StageError> {
        let ledger = Ledger::new(role);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let config = stage.authority.server(names)?.config(Clients::Anybody)?;
        let recipient = Arc::<Ledger>::clone(&ledger);
        let receiver = stage.receiver(config, recipient).await?;
        let signing_key = match role.signing_key_kind() {
            KeyKind::HmacSha256 => None,
            KeyKind::Ed25519 => {
                let seed = SystemRandom.key::<32>();
                let text = format!("whsk_{}", STANDARD.encode(seed.expose()));
                Some(Secret::new(text))
            }
        };
        Ok(Self {
            role,
            ledger,
            receiver,
            signing_key,
        })
    }
}
