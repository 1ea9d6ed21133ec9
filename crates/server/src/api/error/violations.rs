//! Collects the broken rules of one request, each with the field it was found in.

use serde::Serialize;
use utoipa::ToSchema;

use hookseal_domain::violation::Violation;

/// Most violations that are told of one request: more help nobody.
const VIOLATIONS_MAX: usize = 50;
/// Longest message, in bytes: messages may quote what was given.
const MESSAGE_BYTES_MAX: usize = 300;
/// Longest part of a location, in bytes: it may be what was given.
const LOCATION_BYTES_MAX: usize = 100;

/// One broken rule and where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = ValidationError)]
pub(crate) struct FieldViolation {
    /// `body`, `query`, `path` or `header`, then the field.
    pub(crate) loc: Vec<String>,
    /// What the rule demands.
    pub(crate) msg: String,
    /// Stable name of the rule; `docs/reference/errors.md` lists all.
    #[serde(rename = "type")]
    pub(crate) rule: String,
}

/// The broken rules of one request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Violations(Vec<FieldViolation>);

// === impl Violations ===

impl Violations {
    /// One broken rule.
    pub(crate) fn one(loc: &[&str], violation: &Violation) -> Self {
        let mut violations = Self::default();
        violations.add(loc, violation);
        violations
    }

    /// Notes a broken rule.
    pub(crate) fn add(&mut self, loc: &[&str], violation: &Violation) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(FieldViolation {
                loc: loc
                    .iter()
                    .map(|part| cut(part, LOCATION_BYTES_MAX))
                    .collect(),
                msg: cut(&violation.message, MESSAGE_BYTES_MAX),
                rule: violation.rule.to_owned(),
            });
        }
    }

    /// Notes what is wrong with something that stands further inside of the body than it knows.
    pub(crate) fn add_inside(&mut self, place: &[&str], found: Self) {
        for violation in found.0 {
            if self.0.len() < VIOLATIONS_MAX {
                let mut loc = violation.loc;
                let place = place.iter().map(|part| cut(part, LOCATION_BYTES_MAX));
                loc.splice(1.min(loc.len())..1.min(loc.len()), place);
                self.0.push(FieldViolation { loc, ..violation });
            }
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value if its rule holds; else notes the violation.
    pub(crate) fn take<T>(&mut self, loc: &[&str], checked: Result<T, Violation>) -> Option<T> {
        checked
            .inspect_err(|violation| self.add(loc, violation))
            .ok()
    }

    /// All of them.
    pub(crate) fn into_vec(self) -> Vec<FieldViolation> {
        self.0
    }

    /// What was read, unless a rule was broken. `None` without a violation can't be: a part is only
    /// missing where one was noted.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Self> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(self),
        }
    }
}

/// At most `bytes_max` bytes of a text, whole characters.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded() {
        let mut violations = Violations::default();
        for _ in 0..60 {
            let violation = Violation::new("rule", "ü".repeat(1000));
            violations.add(&["body", &"x".repeat(1000)], &violation);
        }
        assert_eq!(violations.0.len(), VIOLATIONS_MAX);
        let first = &violations.0[0];
        assert_eq!(first.msg.chars().count(), MESSAGE_BYTES_MAX / 2 + 1);
        assert_eq!(first.loc[1].len(), LOCATION_BYTES_MAX + '…'.len_utf8());
    }
}
