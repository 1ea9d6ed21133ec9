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
mod facts;
mod fetch;
mod identity;
mod limits;
mod open;
mod operator_identity;
mod pkcs11;
mod pool;
mod presentable;
mod probe;
mod proxy;
mod resolve;
mod revocation;
mod stream;
mod target;
mod taxonomy;
mod tls;
mod transport;
mod trust;
mod verifier;
mod wire;

pub use client::{Clock, Egress};
pub use config::{EgressConfig, EgressConfigError, PublicRoots};
pub use exchange::{DeliveryRequest, Exchanged};
pub use operator_identity::{OperatorIdentity, OperatorIdentityStatus, OperatorKey};
pub use pkcs11::TokenConfig;
pub use proxy::{Proxy, ProxyAddress, ProxyCredentials, ProxyCredentialsError, ProxyProtocol};
pub use resolve::Resolver;
pub use target::Target;
pub use transport::{Transport, TransportError};
