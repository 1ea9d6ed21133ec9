//! What a token for an application's portal is to allow. Never a token itself.

use crate::access::scopes::Scopes;
use crate::id::{AppId, OrgId};
use crate::time::Timestamp;

/// What such a token says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortalGrant {
    /// Whose application it is.
    pub org: OrgId,
    /// The only application that it reaches.
    pub app: AppId,
    /// What it may do there.
    pub scopes: Scopes,
    /// Event types with these flags are offered to it.
    pub feature_flags: Vec<String>,
    /// How long it lasts from when it is made, in seconds.
    pub lasts_secs: u32,
    /// As of when it counts as issued, whenever it is made: what ends the one ends the other.
    pub issued_at: Timestamp,
}
