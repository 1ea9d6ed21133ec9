//! Settings of the log.

use tracing_subscriber::EnvFilter;

use crate::config::section::section;
use crate::config::value::{Scalar, choice};

/// The words that say how much is logged.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

section! {
    /// What is logged; the log goes to standard error.
    pub struct LogSection in "log" {
        /// How a line looks: `text` for people, `json` for machines.
        format: LogFormat = "text";
        /// What is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`, or a list of such
        /// with modules, as in `info,hookseal_egress=debug`.
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
    const FORM: &'static str = "off, error, warn, info, debug or trace, or a list with modules \
                                such as info,hookseal_egress=debug";

    fn parse(text: &str) -> Option<Self> {
        let are_levels = text.split(',').all(|directive| {
            let (_, level) = directive.rsplit_once('=').unwrap_or(("", directive));
            LEVELS.iter().any(|word| word.eq_ignore_ascii_case(level))
        });
        (are_levels && EnvFilter::try_new(text).is_ok()).then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_alone_is_a_level() {
        for good in [
            "off",
            "INFO",
            "info,hookseal_egress=debug",
            "warn,hookseal::auth=trace",
            "hyper=off",
        ] {
            assert!(LogFilter::parse(good).is_some(), "{good}");
        }
        // The subscriber takes a word that it does not know for a module, and is silent.
        for bad in [
            "",
            "inof",
            "info,",
            "info, debug",
            "info,hookseal",
            "hookseal=inof",
            "info,hookseal=",
            "=",
        ] {
            assert!(LogFilter::parse(bad).is_none(), "{bad}");
        }
    }
}
