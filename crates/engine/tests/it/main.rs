//! The engine over a real store and real sockets, under a manual clock.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod batch;
mod breaker;
mod budget;
mod catalogue;
mod clock;
mod expunge;
mod filters;
mod forms;
mod health;
mod order;
mod pace;
mod story;
mod survival;
mod tasks;
mod timing;
mod transport;
mod trial;
mod trouble;
mod verification;
mod world;
