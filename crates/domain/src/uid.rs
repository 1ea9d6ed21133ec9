//! Names that our clients give to their things, accepted wherever an id is.

use std::fmt;

use crate::limits::UID_BYTES_MAX;
use crate::violation::{Violation, check_name};

/// A client's own name of an application or endpoint, or the `eventId` of a message.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uid(String);

// === impl Uid ===

impl Uid {
    /// 1 to 256 of `[A-Za-z0-9-_.]`, not starting with `prefix`, which would make it look like an
    /// id of ours.
    pub fn parse(text: &str, prefix: &str) -> Result<Self, Violation> {
        check_name(text, UID_BYTES_MAX, "-_.")?;
        if text.starts_with(prefix) {
            return Err(Violation::new(
                "invalid_uid_prefix",
                format!("must not start with {prefix}, which is kept for ids"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// A uid read back from the store.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(), &str>) {
        let got = Uid::parse(text, "app_").map(|_| ());
        assert_eq!(got.map_err(|v| v.rule), expect, "{text}");
    }

    #[test]
    fn rules() {
        check("customer-1.eu_west", Ok(()));
        check("", Err("value_error.length"));
        check(&"a".repeat(256), Ok(()));
        check(&"a".repeat(257), Err("value_error.length"));
        check("a b", Err("value_error.pattern"));
        check("ü", Err("value_error.pattern"));
        check("app_x", Err("invalid_uid_prefix"));
        check("ep_x", Ok(()));
    }
}
