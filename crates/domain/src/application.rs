//! An application: one consumer of the events; the unit of isolation, access and placement.

use std::collections::BTreeMap;

use crate::id::{AppId, OrgId};
use crate::time::Timestamp;
use crate::uid::Uid;

/// Free text pairs that belong to the client, never read by us.
pub type Metadata = BTreeMap<String, String>;

/// What a client says of an application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApplicationSpec {
    /// What people call it.
    pub name: String,
    /// The client's own name of it, unique in the organisation.
    pub uid: Option<Uid>,
    /// Most messages per second over all its endpoints; `None` for no limit.
    pub throttle_rate: Option<u16>,
    /// The client's notes.
    pub metadata: Metadata,
}

/// A stored application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Application {
    /// Its id.
    pub id: AppId,
    /// Whose it is.
    pub org: OrgId,
    /// What the client says of it.
    pub spec: ApplicationSpec,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
