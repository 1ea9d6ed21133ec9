//! The HTTP API in one process: the real router over a real store, without sockets to the API.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod authorization;
mod bodies;
mod breaker;
mod catalogue;
mod cloud_events;
mod contract;
mod discipline;
mod documents;
mod enabling;
mod environment;
mod filters;
mod foreigners;
mod history;
mod http;
mod idempotency;
mod messages;
mod order;
mod pace;
mod pages;
mod resources;
mod shop;
mod statistics;
mod tasks;
mod tokens;
mod transport;
mod trial;
mod validation;
mod verification;
