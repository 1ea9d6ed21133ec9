//! For tests only: the receivers, authorities and processes that a test needs around the code it tests.
//!
//! **Invariant:** everything listens on a free port of 127.0.0.1, and ends when it is dropped.

pub mod api_client;
pub mod fake_endpoint;
pub mod hostile_endpoint;
pub mod real_server;
pub mod received;
pub mod reply;
pub mod seed;
pub mod server_process;
pub mod tarpit;
pub mod test_ca;
pub mod wait;
pub mod world;
