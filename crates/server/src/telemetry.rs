//! What operators see of a running server: its log and its metrics. Must never show a secret, a
//! payload, a header's value or a URL's query.

pub mod metrics;
mod process;

use std::io;

use crate::config::log::{LogFormat, LogSection};

/// Starts the log. Does nothing if this process has one already.
pub fn init(log: &LogSection) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(log.filter.to_filter())
        .with_writer(io::stderr)
        .with_ansi(false);
    let started = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // Fails only where tests or the demo started a log of their own, which is then the one to use.
    drop(started);
}
