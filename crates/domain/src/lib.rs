//! What the things of Hookseal are and what may happen to them.
//!
//! **Invariant:** no IO, no clock, no async, no wire formats: `now` and randomness are arguments.

pub mod access;
pub mod address_policy;
pub mod admission;
pub mod application;
pub mod channel;
pub mod cloud_event;
pub mod delivery;
pub mod endpoint;
pub mod event_type;
pub mod filter;
pub mod id;
pub mod limits;
pub mod message;
pub mod operational;
pub mod secret;
pub mod signature;
pub mod slice;
pub mod subscription;
pub mod task;
pub mod time;
pub mod transport;
pub mod uid;
pub mod violation;
