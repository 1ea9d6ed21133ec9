//! Who is asking, and what they may touch.
//!
//! **Invariant:** an application's token never reaches another application.

pub mod api_token;
pub mod cutoffs;
pub mod portal;
pub mod scopes;

use crate::id::{AppId, OrgId};

/// Whom a verified token speaks for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Principal {
    /// The provider: everything in its organisation.
    Organisation(OrgId),
    /// One consumer: its own application only.
    Application(OrgId, AppId),
}

// === impl Principal ===

impl Principal {
    /// The organisation that everything is looked up in.
    pub fn org(&self) -> OrgId {
        match self {
            Self::Organisation(org) | Self::Application(org, _) => *org,
        }
    }

    /// Whether it may touch this application of its organisation.
    pub fn may_access(&self, app: AppId) -> bool {
        match self {
            Self::Organisation(_) => true,
            Self::Application(_, own) => *own == app,
        }
    }
}
