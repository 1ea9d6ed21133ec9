//! Strangers' bytes to certificates to findings.
//!
//! **Invariant:** no IO and no clock: `now` is an argument. Nothing that a peer sends makes it
//! panic or use more than a bounded amount of memory. Knows nothing of webhooks.

pub mod anchor_set;
pub mod certificate;
pub mod certificate_request;
pub mod chain;
mod der;
pub mod identity;
pub mod inspection;
pub mod pin_source;
pub mod pkcs12;
pub mod private_key;
pub mod public_root;
pub mod revocation;
mod rules;
pub mod trust_anchor;
pub mod verify;
