//! A rule that a given value breaks, in words for the person who gave it.

use std::borrow::Cow;
use std::fmt;

/// One broken rule about one value. The field it was found in is added at the edge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Stable name of the rule, `snake_case`; part of the API.
    pub rule: &'static str,
    /// What the rule demands, completing "`<field>` …".
    pub message: Cow<'static, str>,
}

impl Violation {
    /// A violation of `rule`.
    pub fn new(rule: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Violation {}

/// Checks the shape that uids, event types and channels share: 1 to `length_max` of
/// `[A-Za-z0-9]` and `extra`.
pub(crate) fn check_name(text: &str, length_max: usize, extra: &str) -> Result<(), Violation> {
    if text.is_empty() {
        return Err(Violation::new("value_error.length", "must not be empty"));
    }
    if text.len() > length_max {
        return Err(Violation::new(
            "value_error.length",
            format!("must be at most {length_max} characters"),
        ));
    }
    if text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    {
        return Ok(());
    }
    Err(Violation::new(
        "value_error.pattern",
        format!(
            "may only contain letters, digits and the characters {}",
            spaced(extra)
        ),
    ))
}

fn spaced(extra: &str) -> String {
    extra
        .chars()
        .map(String::from)
        .collect::<Vec<_>>()
        .join(" ")
}
