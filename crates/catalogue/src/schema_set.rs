//! The schemas of an event type by their versions.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::limits::{VERSION_BYTES_MAX, VERSIONS_MAX};
use crate::schema::{Schema, SchemaFault};
use crate::version::compare;

/// Schemas by version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaSet(BTreeMap<String, Value>);

/// What is wrong with an event type's schemas.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SchemaSetFault {
    /// It is no object of objects.
    #[error("must be an object of JSON schemas, each an object")]
    NoObject,
    /// There are too many versions.
    #[error("must have at most {VERSIONS_MAX} versions")]
    TooMany,
    /// A version's name is empty or too long.
    #[error("a version's name must be 1 to {VERSION_BYTES_MAX} bytes")]
    Name,
    /// A schema is none.
    #[error("version {version}: {fault}")]
    Schema {
        /// Of which version.
        version: String,
        /// What is wrong with it.
        fault: SchemaFault,
    },
}

// === impl SchemaSet ===

impl SchemaSet {
    /// Reads what a client gave. The schemas themselves are not looked at.
    pub fn parse(text: &str) -> Result<Self, SchemaSetFault> {
        let parsed: Result<BTreeMap<String, Value>, _> = serde_json::from_str(text);
        Self::of(parsed.map_err(|_| SchemaSetFault::NoObject)?)
    }

    /// Compiles every version. Takes up to some seconds for large ones.
    pub fn check(&self) -> Result<(), SchemaSetFault> {
        for (version, schema) in &self.0 {
            Schema::compile(version, schema).map_err(|fault| SchemaSetFault::Schema {
                version: version.clone(),
                fault,
            })?;
        }
        Ok(())
    }

    fn of(versions: BTreeMap<String, Value>) -> Result<Self, SchemaSetFault> {
        if !versions.values().all(Value::is_object) {
            return Err(SchemaSetFault::NoObject);
        }
        let set = Self(versions);
        set.check_bounds()?;
        Ok(set)
    }

    /// Whether there are not too many versions, with names that are not too long.
    pub(crate) fn check_bounds(&self) -> Result<(), SchemaSetFault> {
        if self.0.len() > VERSIONS_MAX {
            return Err(SchemaSetFault::TooMany);
        }
        let named = |name: &String| (1..=VERSION_BYTES_MAX).contains(&name.len());
        if !self.0.keys().all(named) {
            return Err(SchemaSetFault::Name);
        }
        Ok(())
    }

    /// A name for one more version that is newer than all others: the next number, if that is.
    pub(crate) fn next_version(&self) -> String {
        let numbers = self.0.keys().filter_map(|name| name.parse::<u32>().ok());
        let number = numbers.max().unwrap_or_default().saturating_add(1);
        let name = number.to_string();
        match self.newest() {
            Some((newest, _)) if compare(newest, &name).is_ge() => format!("{newest}.2"),
            _ => name,
        }
    }

    /// Whether there is a version of this name.
    pub(crate) fn has(&self, version: &str) -> bool {
        self.0.contains_key(version)
    }

    /// Adds a version, or replaces it.
    pub(crate) fn put(&mut self, version: String, schema: Value) {
        self.0.insert(version, schema);
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// As it is stored.
    pub fn to_text(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// The newest version with its schema: numbers in the names are compared as numbers, everything
    /// else as text.
    pub fn newest(&self) -> Option<(&str, &Value)> {
        let newest = self
            .0
            .iter()
            .max_by(|(one, _), (other, _)| compare(one, other));
        newest.map(|(version, schema)| (version.as_str(), schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_found() {
        let set = SchemaSet::parse(r#"{"9": {}, "10": {"title": "x"}, "2": {}}"#).unwrap();
        assert_eq!(set.newest().map(|(version, _)| version), Some("10"));
        assert_eq!(SchemaSet::parse("{}").unwrap().newest(), None);
    }

    #[test]
    fn the_next_version_is_newer_than_all() {
        let check = |text: &str, expect: &str| {
            let mut set = SchemaSet::parse(text).unwrap();
            let name = set.next_version();
            assert_eq!(name, expect, "{text}");
            assert!(!set.has(&name), "{text}");
            set.put(name, serde_json::json!({}));
            assert_eq!(set.newest().unwrap().0, expect, "{text}");
        };
        check("{}", "1");
        check(r#"{"1": {}, "9": {}}"#, "10");
        check(r#"{"v1": {}}"#, "1");
        check(r#"{"v1.2": {}, "1": {}}"#, "2");
        check(r#"{"2026-01-31": {}}"#, "2026-01-31.2");
        check(r#"{"2026-01-31.2": {}}"#, "2026-01-31.2.2");
        check(r#"{"4294967295": {}}"#, "4294967295.2");
        check(r#"{"99999999999999999999": {}}"#, "99999999999999999999.2");
    }

    #[test]
    fn only_objects_of_objects_are_sets() {
        for text in ["", "[]", "null", r#"{"1": true}"#, r#"{"1": []}"#] {
            assert_eq!(
                SchemaSet::parse(text),
                Err(SchemaSetFault::NoObject),
                "{text}"
            );
        }
        assert_eq!(SchemaSet::parse(r#"{"": {}}"#), Err(SchemaSetFault::Name));
        let many: Vec<_> = (0..101).map(|n| format!("\"{n}\": {{}}")).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(SchemaSet::parse(&many), Err(SchemaSetFault::TooMany));
    }

    #[test]
    fn a_fault_names_its_version() {
        let set = SchemaSet::parse(r#"{"1": {}, "2": {"type": 1}}"#).unwrap();
        match set.check() {
            Err(SchemaSetFault::Schema { version, fault }) => {
                assert_eq!((version.as_str(), fault.pointer.as_str()), ("2", "/type"));
            }
            other => panic!("{other:?}"),
        }
    }
}
