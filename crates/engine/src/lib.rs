//! Work that happens without a request: publish, lanes, deliver, schedule, retention, shutdown.
//! Knows no axum and no SQL.

pub mod clock;
pub mod config;
pub mod publish;
