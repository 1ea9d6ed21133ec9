//! All schemas that apply to one value, with references followed and branches chosen.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::json::local_fragment;

/// Most schemas that are looked at for one value.
const PARTS_MAX: usize = 500;
/// What a schema without a type is about, by its keywords.
const KINDS: [(&str, &str); 22] = [
    ("properties", "object"),
    ("required", "object"),
    ("additionalProperties", "object"),
    ("patternProperties", "object"),
    ("minProperties", "object"),
    ("maxProperties", "object"),
    ("propertyNames", "object"),
    ("items", "array"),
    ("prefixItems", "array"),
    ("contains", "array"),
    ("minItems", "array"),
    ("maxItems", "array"),
    ("uniqueItems", "array"),
    ("pattern", "string"),
    ("format", "string"),
    ("minLength", "string"),
    ("maxLength", "string"),
    ("minimum", "number"),
    ("maximum", "number"),
    ("exclusiveMinimum", "number"),
    ("exclusiveMaximum", "number"),
    ("multipleOf", "number"),
];

/// Schemas that all apply to one value.
pub(super) struct Parts<'s>(Vec<&'s Map<String, Value>>);

impl<'s> Parts<'s> {
    /// With all that they apply to the same value; `None` if they allow nothing.
    pub(super) fn of(
        document: &'s Value,
        schemas: impl IntoIterator<Item = &'s Value>,
        way: usize,
    ) -> Option<Self> {
        let mut open: Vec<&Value> = schemas.into_iter().collect();
        let mut parts = Vec::new();
        while let Some(schema) = open.pop() {
            let map = match schema {
                Value::Bool(false) => return None,
                Value::Object(map) if parts.len() < PARTS_MAX => map,
                _ => continue,
            };
            parts.push(map);
            for keyword in ["$ref", "$dynamicRef"] {
                let reference = map.get(keyword).and_then(Value::as_str);
                open.extend(reference.and_then(|reference| resolve(document, reference)));
            }
            if let Some(Value::Array(all)) = map.get("allOf") {
                open.extend(all);
            }
            for keyword in ["oneOf", "anyOf"] {
                if let Some(Value::Array(branches)) = map.get(keyword) {
                    open.extend(branches.get(way % branches.len().max(1)));
                }
            }
            if way % 2 == 1 {
                let condition = ["if", "then"].map(|keyword| map.get(keyword));
                open.extend(condition.into_iter().flatten());
            } else {
                open.extend(map.get("else"));
            }
        }
        Some(Self(parts))
    }

    /// What they say for a keyword.
    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = &'s Value> {
        self.0.iter().filter_map(move |map| map.get(keyword))
    }

    /// What the first of them says for a keyword.
    pub(super) fn first(&self, keyword: &str) -> Option<&'s Value> {
        self.all(keyword).next()
    }

    /// The largest of the numbers given for a lower bound.
    pub(super) fn most(&self, keyword: &str) -> Option<u64> {
        self.all(keyword).filter_map(Value::as_u64).max()
    }

    /// The smallest of the numbers given for an upper bound.
    pub(super) fn least(&self, keyword: &str) -> Option<u64> {
        self.all(keyword).filter_map(Value::as_u64).min()
    }

    /// All texts of the lists given for a keyword, each once.
    pub(super) fn texts(&self, keyword: &str) -> BTreeSet<&'s str> {
        let lists = self.all(keyword).filter_map(Value::as_array);
        lists.flatten().filter_map(Value::as_str).collect()
    }

    /// The type that a value has.
    pub(super) fn kind(&self) -> &'s str {
        let mut allowed: Option<Vec<&str>> = None;
        for given in self.all("type") {
            let given: Vec<&str> = match given {
                Value::String(name) => vec![name],
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                _ => continue,
            };
            allowed = Some(match allowed {
                None => given,
                Some(before) => before
                    .into_iter()
                    .filter_map(|name| narrower(name, &given))
                    .collect(),
            });
        }
        if let Some(names) = allowed {
            let rather = names.iter().find(|name| **name != "null");
            return rather.or(names.first()).copied().unwrap_or("null");
        }
        let kind = |(keyword, kind): &(&str, &'static str)| self.first(keyword).map(|_| *kind);
        KINDS.iter().find_map(kind).unwrap_or("string")
    }

    /// The names of all properties that they list.
    pub(super) fn property_names(&self) -> Vec<&'s str> {
        let maps = self.all("properties").filter_map(Value::as_object);
        let names: BTreeSet<&str> = maps.flat_map(Map::keys).map(String::as_str).collect();
        names.into_iter().collect()
    }

    /// The schemas of a property.
    pub(super) fn property(&self, name: &str) -> Vec<&'s Value> {
        let mut schemas = Vec::new();
        for map in &self.0 {
            let named = map.get("properties").and_then(|all| all.get(name));
            let patterns = map.get("patternProperties").and_then(Value::as_object);
            let patterns = patterns.into_iter().flatten();
            let fitting = patterns.filter(|(pattern, _)| {
                let pattern = jsonschema_pattern(pattern);
                pattern.is_some_and(|pattern| pattern.is_match(name))
            });
            let before = schemas.len();
            schemas.extend(named);
            schemas.extend(fitting.map(|(_, schema)| schema));
            if schemas.len() == before {
                schemas.extend(map.get("additionalProperties"));
            }
        }
        schemas
    }

    /// How many items have schemas of their own.
    pub(super) fn prefix_len(&self) -> usize {
        let lists = self.all("prefixItems").chain(self.all("items"));
        let lists = lists.filter_map(Value::as_array);
        lists.map(Vec::len).max().unwrap_or_default()
    }

    /// The schemas of an item.
    pub(super) fn item(&self, at: usize) -> Vec<&'s Value> {
        let mut schemas = Vec::new();
        for map in &self.0 {
            let items = map.get("items");
            let prefix = map.get("prefixItems").or(items).and_then(Value::as_array);
            match prefix.and_then(|prefix| prefix.get(at)) {
                Some(own) => schemas.push(own),
                None if prefix.is_some() && items.is_some_and(Value::is_array) => {
                    schemas.extend(map.get("additionalItems"));
                }
                None => schemas.extend(items),
            }
        }
        schemas
    }
}

/// The narrower of a type and one of these; a whole number is a number.
fn narrower<'n>(name: &'n str, others: &[&'n str]) -> Option<&'n str> {
    if others.contains(&name) {
        return Some(name);
    }
    match name {
        "number" if others.contains(&"integer") => Some("integer"),
        "integer" if others.contains(&"number") => Some("integer"),
        _ => None,
    }
}

fn resolve<'s>(document: &'s Value, reference: &str) -> Option<&'s Value> {
    document.pointer(&local_fragment(reference)?)
}

/// A regular expression as the validator takes it, as far as both mean the same.
fn jsonschema_pattern(pattern: &str) -> Option<regex::Regex> {
    let limit = crate::limits::PATTERN_BYTES_MAX;
    regex::RegexBuilder::new(pattern)
        .size_limit(limit)
        .build()
        .ok()
}
