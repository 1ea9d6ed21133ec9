//! Names of policies, trust anchor sets, client identities and proxies.

use std::fmt;

use crate::violation::{Violation, check_name};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// 1 to 128 of `[A-Za-z0-9-_.]`, unique among things of its kind in an organisation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

// === impl Name ===

impl Name {
    /// Parses what a client gave.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        check_name(text, NAME_BYTES_MAX, "-_.")?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
