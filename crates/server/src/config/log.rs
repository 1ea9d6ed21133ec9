//! Settings of the log.

use tracing_subscriber::EnvFilter;

use crate::config::section::section;
use crate::config::value::{Scalar, choice};

section! {
    /// What is logged; the log goes to standard error.
    pub struct LogSection in "log" {
        /// How a line looks: `text` for people, `json` for machines.
        format: LogFormat = "text";
        /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or a list of such with
        /// modules, as in `info,hookseal_egress=debug`.
        filter: LogFilter = "info";
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object each.
    Json,
}

/// Which lines are logged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogFilter(String);

choice!(LogFormat: "text" => Text, "json" => Json);

// === impl LogFilter ===

impl LogFilter {
    /// As the subscriber takes it.
    pub fn to_filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Scalar for LogFilter {
    const FORM: &'static str = "a level such as info, or a list such as info,hookseal_egress=debug";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && EnvFilter::try_new(text).is_ok()).then(|| Self(text.to_owned()))
    }
}
