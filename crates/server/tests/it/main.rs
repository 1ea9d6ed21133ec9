//! The server from outside: its binary, its API, its receivers.
#![expect(clippy::indexing_slicing, reason = "test code")]

mod api;
mod cli;
mod cloud_events;
mod demo;
mod documents;
mod fuzz;
mod generated;
mod hostile;
mod interop;
mod interop_clients;
mod isolation;
mod order;
mod overload;
mod recovery;
mod rotation;
mod story;
mod support;
mod tls_command;
mod torture;
mod verification;
