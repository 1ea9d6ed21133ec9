//! Transport security of an endpoint: whom it trusts, how it is pinned, which certificate we show,
//! and what was seen of all that.
//!
//! **Invariant:** decides only. Nothing here verifies a certificate or opens a connection.

pub mod anchor_set;
pub mod book;
pub mod failure;
pub mod handshake;
pub mod identity;
pub mod name;
pub mod pin;
pub mod policy;
pub mod rotation;
