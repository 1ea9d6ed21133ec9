//! The server from outside: its binary, its API, its receivers.
#![expect(clippy::indexing_slicing, reason = "test code")]

mod cli;
mod generated;
mod hostile;
mod interop;
mod isolation;
mod story;
mod support;
mod torture;
