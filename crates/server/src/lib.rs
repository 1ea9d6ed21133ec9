//! Hookseal as a library, so that its tests can build a whole server in one process.

mod admin;
pub mod api;
pub mod api_client;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demo;
pub mod keys;
pub mod listener;
pub mod receiver;
pub mod runtime;
pub mod serve;
pub mod telemetry;
