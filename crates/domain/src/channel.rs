//! Channels: labels on messages that endpoints may ask for, orthogonal to event types.

use std::fmt;

use crate::limits::CHANNEL_BYTES_MAX;
use crate::violation::{Violation, check_name};

/// A channel name: 1 to 128 of `[A-Za-z0-9-_.:+]`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Channel(String);

// === impl Channel ===

impl Channel {
    /// Parses what a client gave.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        check_name(text, CHANNEL_BYTES_MAX, "-_.:+")?;
        Ok(Self(text.to_owned()))
    }

    /// A channel read back from the store.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
