//! The name of a kind of thing that happens, with its versioned schemas.

pub mod validation;

use std::fmt;
use std::sync::Arc;

use crate::delivery::retry::RetrySchedule;
use crate::event_type::validation::ValidationMode;
use crate::id::OrgId;
use crate::limits::EVENT_TYPE_BYTES_MAX;
use crate::time::Timestamp;
use crate::violation::{Violation, check_name};

/// The name of an event type: 1 to 256 of `[A-Za-z0-9-_.]`, such as `invoice.paid`.
/// Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EventTypeName(Arc<str>);

/// What a client says of an event type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventTypeSpec {
    /// For people.
    pub description: String,
    /// Not offered to consumers any more.
    pub archived: bool,
    /// Offered with a warning.
    pub deprecated: bool,
    /// Shown only to applications with one of these flags; empty for all.
    pub feature_flags: Vec<String>,
    /// For display in groups.
    pub group_name: Option<String>,
    /// JSON schemas by version, as the JSON text that was given.
    pub schemas: Option<String>,
    /// What becomes of payloads that do not match the newest of them.
    pub validation: ValidationMode,
}

/// A stored event type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventType {
    /// Whose it is.
    pub org: OrgId,
    /// Its name, unique in the organisation.
    pub name: EventTypeName,
    /// What the client says of it.
    pub spec: EventTypeSpec,
    /// When its deliveries are tried again; `None` for the server's schedule. Has an operation of its
    /// own.
    pub retry_schedule: Option<RetrySchedule>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

// === impl EventTypeName ===

impl EventTypeName {
    /// Parses what a client gave.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        check_name(text, EVENT_TYPE_BYTES_MAX, "-_.")?;
        Ok(Self(text.into()))
    }

    /// A name read back from the store.
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// Whether a subscription to this name takes in a type: the type of that name; and, if the name
    /// has no dot but at its end, whatever is below it, so that `invoice` takes in `invoice.paid`. One
    /// that ends with a dot is such a group at any depth.
    pub fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let group = match self.0.strip_suffix('.') {
            Some(group) => group,
            None if !self.0.contains('.') => &self.0,
            None => return false,
        };
        let below = other.0.strip_prefix(group);
        below.is_some_and(|below| below.starts_with('.'))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_end_at_a_dot() {
        let check = |wanted: &str, name: &str, expect: bool| {
            let [wanted, name] = [wanted, name].map(|name| EventTypeName::parse(name).unwrap());
            assert_eq!(wanted.covers(&name), expect, "{wanted} {name}");
        };
        check("invoice.paid", "invoice.paid", true);
        check("invoice.paid", "invoice.paid.late", false);
        check("invoice.paid.", "invoice.paid.late", true);
        check("invoice.paid.", "invoice.paid", false);
        check("invoice.paid.", "invoice.paidlate", false);
        check("invoice", "invoice", true);
        check("invoice", "invoice.paid", true);
        check("invoice", "invoice.paid.late", true);
        check("invoice", "invoices.paid", false);
        check("invoice", "invoice_paid", false);
        check("invoice.", "invoice.paid", true);
        check("invoice.paid", "invoice", false);
        check("paid", "invoice.paid", false);
        check(".", "a.b", false);
        check(".", ".b", true);
    }
}
