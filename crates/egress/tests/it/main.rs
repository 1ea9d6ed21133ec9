//! Exchanges with receivers of every sort, good and hostile, all on this machine.
#![expect(clippy::unwrap_used, reason = "test code")]

mod addresses;
mod client;
mod client_certificates;
mod hostile;
mod http1;
mod http2;
mod identities;
mod last_words;
mod operator_identities;
mod pins;
mod pkcs11;
mod policies;
mod probes;
mod proxies;
mod receivers;
mod refused;
mod renegotiation;
mod revocation;
mod server;
mod tls;
mod tls_receiver;
mod tool;
mod trials;
