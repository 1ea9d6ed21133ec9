//! Delivers requests to strangers' servers: the only crate that opens sockets to them.
//!
//! **Invariants:** a socket is opened only to a [`ScreenedAddr`] that the address policy made from
//! the very address it checked; no byte of a request leaves over TLS before a `VerifiedChain`
//! exists on that very connection; whatever a peer sends is read to a bound. Knows no database.
//!
//! [`ScreenedAddr`]: hookseal_domain::address_policy::ScreenedAddr

mod client;
mod config;
mod connect;
mod connection;
mod error;
mod exchange;
mod limits;
mod pool;
mod presentable;
mod resolve;
mod stream;
mod target;
mod tls;
mod verifier;

pub use client::{Clock, Egress};
pub use config::{EgressConfig, EgressConfigError, PublicRoots, TlsMinVersion};
pub use exchange::{DeliveryRequest, Exchanged};
pub use resolve::Resolver;
pub use target::Target;
