//! Checks the fields of one object against their rules, collecting what is broken.

use std::collections::BTreeMap;
use std::hash::Hash;

use hookseal_domain::application::Metadata;
use hookseal_domain::limits::{METADATA_BYTES_MAX, METADATA_ENTRIES_MAX};
use hookseal_domain::violation::Violation;

use crate::api::error::violations::Violations;

/// The fields of an object that stands at one place in the request.
pub(crate) struct Fields<'v> {
    violations: &'v mut Violations,
    at: &'static [&'static str],
}

/// The bounds of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Fewest bytes.
    pub(crate) min: usize,
    /// Most bytes.
    pub(crate) max: usize,
}

/// The bounds of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items {
    /// Fewest.
    pub(crate) min: usize,
    /// Most.
    pub(crate) max: usize,
}

// === impl Fields ===

impl<'v> Fields<'v> {
    /// The fields of the request's body.
    pub(crate) fn of_body(violations: &'v mut Violations) -> Self {
        Self::at(violations, &["body"])
    }

    /// The fields of an object further inside.
    pub(crate) fn at(violations: &'v mut Violations, at: &'static [&'static str]) -> Self {
        Self { violations, at }
    }

    /// Notes a broken rule of a field.
    pub(crate) fn add(&mut self, field: &str, violation: &Violation) {
        self.add_at(&[field], violation);
    }

    /// Notes a broken rule of something inside a field.
    pub(crate) fn add_at(&mut self, path: &[&str], violation: &Violation) {
        let loc: Vec<_> = self.at.iter().chain(path).copied().collect();
        self.violations.add(&loc, violation);
    }

    /// The value if its rule holds.
    pub(crate) fn take<T>(&mut self, field: &str, checked: Result<T, Violation>) -> Option<T> {
        checked
            .inspect_err(|violation| self.add(field, violation))
            .ok()
    }

    /// A field that has to be given.
    pub(crate) fn required<T>(&mut self, field: &str, given: Option<T>) -> Option<T> {
        if given.is_none() {
            self.add(
                field,
                &Violation::new("value_error.missing", "must be given"),
            );
        }
        given
    }

    /// A field that may be missing; the outer `None` stands for a broken rule.
    pub(crate) fn optional<T, U>(
        &mut self,
        field: &str,
        given: Option<T>,
        parse: impl FnOnce(T) -> Result<U, Violation>,
    ) -> Option<Option<U>> {
        match given {
            None => Some(None),
            Some(given) => self.take(field, parse(given)).map(Some),
        }
    }

    /// A list without repetitions, each item by its own rule.
    pub(crate) fn list<T: Eq + Hash>(
        &mut self,
        field: &str,
        given: &[String],
        items: Items,
        parse: impl Fn(&str) -> Result<T, Violation>,
    ) -> Option<Vec<T>> {
        if let Err(violation) = items.check(given.len()) {
            self.add(field, &violation);
            return None;
        }
        let mut parsed = Vec::with_capacity(given.len());
        for (index, item) in given.iter().enumerate() {
            match parse(item) {
                Ok(item) => parsed.push(item),
                Err(violation) => self.add_at(&[field, &index.to_string()], &violation),
            }
        }
        let unique: std::collections::HashSet<_> = parsed.iter().collect();
        if unique.len() < parsed.len() {
            let violation = Violation::new(
                "value_error.list.unique_items",
                "must not name anything twice",
            );
            self.add(field, &violation);
            return None;
        }
        (parsed.len() == given.len()).then_some(parsed)
    }

    /// The client's notes, bounded.
    pub(crate) fn metadata(&mut self, given: BTreeMap<String, String>) -> Option<Metadata> {
        let limit = Length {
            min: 0,
            max: METADATA_BYTES_MAX,
        };
        if given.len() > METADATA_ENTRIES_MAX {
            let violation = Violation::new(
                "value_error.map.max_items",
                format!("must have at most {METADATA_ENTRIES_MAX} entries"),
            );
            self.add("metadata", &violation);
            return None;
        }
        for (key, value) in &given {
            if let Err(violation) = limit.check(key).and_then(|()| limit.check(value)) {
                self.add_at(&["metadata", key], &violation);
                return None;
            }
        }
        Some(given)
    }
}

// === impl Length ===

impl Length {
    /// Whether a text is within the bounds.
    pub(crate) fn check(self, text: &str) -> Result<(), Violation> {
        if text.len() < self.min {
            return Err(Violation::new("value_error.length", "must not be empty"));
        }
        if text.len() > self.max {
            let message = format!("must be at most {} bytes", self.max);
            return Err(Violation::new("value_error.length", message));
        }
        Ok(())
    }

    /// The text if it is within the bounds.
    pub(crate) fn checked(self, text: String) -> Result<String, Violation> {
        self.check(&text).map(|()| text)
    }
}

// === impl Items ===

impl Items {
    fn check(self, count: usize) -> Result<(), Violation> {
        if count < self.min {
            return Err(Violation::new(
                "value_error.list.min_items",
                "must not be empty; leave it out for all",
            ));
        }
        if count > self.max {
            let message = format!("must have at most {} items", self.max);
            return Err(Violation::new("value_error.list.max_items", message));
        }
        Ok(())
    }
}

/// A number within its range.
pub(crate) fn number<N>(given: i64, min: N, max: N) -> Result<N, Violation>
where
    N: TryFrom<i64> + PartialOrd + Copy + std::fmt::Display,
{
    match N::try_from(given) {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(Violation::new(
            "value_error.number",
            format!("must be from {min} to {max}"),
        )),
    }
}
