//! What every store must do, run against each back end; and what each back end must do besides.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod applications;
mod claims;
mod cloud_events;
mod conformance;
mod deliveries;
mod endpoints;
mod event_types;
mod findings;
mod handshakes;
mod health;
mod history;
mod model;
mod operational;
mod order;
mod publish;
mod retention;
mod scene;
mod sqlite;
mod statistics;
mod tasks;
mod timing;
mod tokens;
mod transport;
mod verifications;

conformance::conformance!(sqlite);
