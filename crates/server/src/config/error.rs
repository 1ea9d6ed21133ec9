//! What is wrong with a configuration. Must never show the value of a secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File {
        /// Its path as it was given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line: `--set`, or one with a name of its own.
    Flag(&'static str),
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: is no valid TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// There is no such key.
    #[error("{name} ({origin}): unknown key{}", hint(.nearest.as_deref()))]
    UnknownKey {
        /// What was written.
        name: String,
        /// Where.
        origin: Origin,
        /// The key that looks most like it.
        nearest: Option<String>,
    },
    /// There is no such variable.
    #[error("{name}: unknown environment variable{}", hint(.nearest.as_deref()))]
    UnknownVariable {
        /// What was set.
        name: String,
        /// The variable that looks most like it.
        nearest: Option<String>,
    },
    /// The value does not fit.
    #[error("{key}{} ({origin}): must be {expected}", shown(.value.as_deref()))]
    Value {
        /// Of which key.
        key: String,
        /// The value, unless it is a secret.
        value: Option<String>,
        /// Where it came from.
        origin: Origin,
        /// What it must be.
        expected: String,
    },
    /// Settings that do not go together, or a file that they name and that can't be used.
    #[error("{key}: {problem}")]
    Unusable {
        /// The key to change.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// Everything that is wrong, at once.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

// === impl ConfigError ===

impl ConfigError {
    /// Something that a key names can't be used.
    pub fn unusable(key: &'static str, problem: impl fmt::Display) -> Self {
        Self::Unusable {
            key,
            problem: problem.to_string(),
        }
    }
}

// === impl ConfigErrors ===

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration can't be used:")?;
        for error in &self.0 {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" = {value}"))
}
