//! The schemas that a document has for an event type, and what becomes of those that there are.
//!
//! **Invariant:** versions are only added. What says the same as the newest makes no new one.

use std::collections::BTreeMap;

use serde_json::Value;

use hookseal_domain::limits::SCHEMAS_BYTES_MAX;

use crate::embedded::are_same;
use crate::import::follow::entries;
use crate::import::own::EXTENSION;
use crate::import::{Fault, Own};
use crate::json::joined;
use crate::room::Room;
use crate::schema::Schema;
use crate::schema_set::SchemaSet;
use crate::standalone::{Dialect, Standalone, standalone};
use crate::version::compare;

/// The schemas that a document has for an event type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportedSchemas {
    /// The one that holds now; `None` if the document has none.
    newest: Option<Standalone>,
    /// What its version is called, if the document says so.
    version: Option<String>,
    /// Those before it, by version: the document was made by a server like this.
    older: BTreeMap<String, Standalone>,
}

// === impl ImportedSchemas ===

impl ImportedSchemas {
    /// Reads what stands beside the newest in what is described at `pointer`.
    pub(crate) fn read(
        document: &Value,
        pointer: &str,
        own: &Own,
        newest: Option<Standalone>,
        room: &mut Room,
    ) -> Result<Self, Fault> {
        let at = joined(&joined(pointer, EXTENSION), "versions");
        let mut older = BTreeMap::new();
        for (name, at) in entries(document, &at) {
            let is_newer = |version: &String| compare(name, version).is_ge();
            if newest.is_none() || own.version.as_ref().is_none_or(is_newer) {
                let rule = "is a version that is not older than `version`";
                return Err(Fault::at(&at, rule));
            }
            let schema = standalone(document, &at, Dialect::Draft202012, room)?;
            older.insert(name.to_owned(), schema);
        }
        Ok(Self {
            newest,
            version: own.version.clone(),
            older,
        })
    }

    /// The newest, if there is one.
    pub fn newest(&self) -> Option<&Value> {
        self.newest.as_ref().map(|newest| &newest.schema)
    }

    pub(crate) fn say_the_same(&self, other: &Self) -> bool {
        self.newest() == other.newest() && self.version == other.version && self.older.is_empty()
    }

    /// What becomes of an event type's schemas; `None` if nothing does. Takes up to some seconds for
    /// large ones.
    pub fn merged(&self, known: &SchemaSet) -> Result<Option<SchemaSet>, Fault> {
        let Some(newest) = &self.newest else {
            return Ok(None);
        };
        let mut versions = known.clone();
        let mut is_changed = false;
        for (name, older) in &self.older {
            if !versions.has(name) {
                check(name, older)?;
                versions.put(name.clone(), older.schema.clone());
                is_changed = true;
            }
        }
        let stands = versions
            .newest()
            .is_some_and(|(_, known)| are_same(known, &newest.schema));
        if !stands {
            let name = self.next_version(&versions);
            check(&name, newest)?;
            versions.put(name, newest.schema.clone());
            is_changed = true;
        }
        if !is_changed {
            return Ok(None);
        }
        let at = newest.origin("");
        let fits = versions.check_bounds();
        fits.map_err(|fault| Fault::at(&at, format!("can't be saved: {fault}")))?;
        if versions.to_text().len() > SCHEMAS_BYTES_MAX {
            let rule =
                format!("is too large: with earlier versions at most {SCHEMAS_BYTES_MAX} bytes");
            return Err(Fault::at(&at, rule));
        }
        Ok(Some(versions))
    }

    /// The version that becomes the newest: the document's name for it, unless there is one of that
    /// name or a newer one.
    fn next_version(&self, versions: &SchemaSet) -> String {
        let newest = versions.newest().map(|(name, _)| name);
        let is_next = |name: &String| newest.is_none_or(|newest| compare(name, newest).is_gt());
        let named = self.version.as_ref().filter(|name| is_next(name));
        named.cloned().unwrap_or_else(|| versions.next_version())
    }
}

/// Compiles a schema, to see whether it can be used.
fn check(version: &str, given: &Standalone) -> Result<(), Fault> {
    Schema::compile(version, &given.schema)
        .map(drop)
        .map_err(|fault| Fault::at(&given.origin(&fault.pointer), fault.rule))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known(text: &str) -> SchemaSet {
        SchemaSet::parse(text).unwrap()
    }

    /// Reads a document with this schema, and this beside it.
    fn given(schema: Value, own: Value) -> Result<ImportedSchemas, Fault> {
        let document = json!({"schema": schema, EXTENSION: own});
        let mut room = Room::default();
        let newest = standalone(&document, "/schema", Dialect::Draft202012, &mut room)?;
        let own = Own::read(&document, "")?;
        ImportedSchemas::read(&document, "", &own, Some(newest), &mut room)
    }

    #[test]
    fn versions_are_only_added() {
        let check = |own: Value, before: &str, after: Option<&str>| {
            let read = given(json!({"title": "new"}), own.clone()).unwrap();
            let merged = read.merged(&known(before)).unwrap();
            assert_eq!(merged, after.map(known), "{own} {before}");
            let after = merged.unwrap_or_else(|| known(before));
            assert_eq!(after.newest().unwrap().1["title"], "new");
            assert_eq!(read.merged(&after), Ok(None), "{own} {before}");
        };
        let nothing = json!({});
        check(nothing.clone(), "{}", Some(r#"{"1": {"title": "new"}}"#));
        check(nothing.clone(), r#"{"7": {"title": "new"}}"#, None);
        check(
            nothing.clone(),
            r#"{"7": {"title": "new"}, "8": {}}"#,
            Some(r#"{"7": {"title": "new"}, "8": {}, "9": {"title": "new"}}"#),
        );
        let own = json!({"version": "3", "versions": {"2": {"title": "old"}}});
        check(
            own.clone(),
            "{}",
            Some(r#"{"2": {"title": "old"}, "3": {"title": "new"}}"#),
        );
        check(
            own.clone(),
            r#"{"2": {"title": "other"}}"#,
            Some(r#"{"2": {"title": "other"}, "3": {"title": "new"}}"#),
        );
        check(
            own.clone(),
            r#"{"5": {"title": "newer"}}"#,
            Some(r#"{"2": {"title": "old"}, "5": {"title": "newer"}, "6": {"title": "new"}}"#),
        );
        check(
            own,
            r#"{"1": {"title": "new"}}"#,
            Some(r#"{"1": {"title": "new"}, "2": {"title": "old"}, "3": {"title": "new"}}"#),
        );
    }

    #[test]
    fn faults_name_their_place_in_the_document() {
        let check = |schema: Value, own: Value, expect: &str| {
            let read = given(schema.clone(), own);
            let merged = read.and_then(|read| read.merged(&SchemaSet::default()));
            assert_eq!(merged.unwrap_err().pointer, expect, "{schema}");
        };
        check(
            json!({"properties": {"a": {"type": "text"}}}),
            json!({}),
            "/schema/properties/a/type",
        );
        check(
            json!({"title": "new"}),
            json!({"version": "2", "versions": {"1": {"type": 1}}}),
            "/x-hookseal-event-type/versions/1/type",
        );
        check(
            json!({"title": "new"}),
            json!({"version": "2", "versions": {"3": {}}}),
            "/x-hookseal-event-type/versions/3",
        );
        check(
            json!({"title": "new"}),
            json!({"versions": {"3": {}}}),
            "/x-hookseal-event-type/versions/3",
        );
        let own = json!({"version": "1", "versions": {"0": {"items": {"$ref": "#/schema/x"}}}});
        let schema = json!({"x": {"minimum": "1"}});
        check(schema, own, "/schema/x/minimum");
    }
}
