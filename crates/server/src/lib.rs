//! Hookseal as a library, so that its tests can build a whole server in one process.

pub mod api;
pub mod auth;
pub mod config;
