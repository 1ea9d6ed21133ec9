//! Stories of whole deliveries, from the API to the receivers and back.

mod batch;
mod delivery;
mod endpoint_states;
mod health;
mod operation;
mod operational;
mod restart;
mod secrecy;
mod transport;
