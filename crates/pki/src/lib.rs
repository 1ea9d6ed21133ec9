//! Strangers' bytes to certificates to findings.
//!
//! **Invariant:** no IO and no clock: `now` is an argument. Nothing that a peer sends makes it
//! panic or use more than a bounded amount of memory. Knows nothing of webhooks.

pub mod certificate;
pub mod chain;
pub mod pin_source;
pub mod public_root;
pub mod revocation;
pub mod trust_anchor;
pub mod verify;
