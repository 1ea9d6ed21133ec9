//! Reads the subschemas out of a schema and follows its references.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::graph::Node;
use crate::json::{joined, local_fragment};
use crate::keywords::DATA;
use crate::limits::{PATTERNS_MAX, SUBSCHEMAS_MAX};
use crate::schema::SchemaFault;

/// Keywords with one schema for the same value.
const SAME: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords with a list of schemas for the same value.
const SAME_LIST: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords with schemas by name for the same value; `dependencies` may have lists there as well.
const SAME_MAP: [&str; 2] = ["dependentSchemas", "dependencies"];
/// Keywords with one schema for any item.
const ITEM: [&str; 3] = ["additionalItems", "contains", "unevaluatedItems"];
/// Keywords with one schema for any property.
const PROPERTY: [&str; 2] = ["propertyNames", "unevaluatedProperties"];
/// Keywords with schemas that only references apply.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// The nodes, the root first, and how many regular expressions there are.
pub(super) fn nodes(schema: &Value) -> Result<(Vec<Node>, usize), SchemaFault> {
    let mut reader = Reader {
        document: schema,
        anchors: anchors(schema),
        known: HashMap::new(),
        open: Vec::new(),
        patterns: 0,
    };
    reader.node(String::new())?;
    let mut nodes = Vec::new();
    while let Some((pointer, value)) = reader.open.get(nodes.len()).cloned() {
        nodes.push(reader.read(pointer, value)?);
    }
    Ok((nodes, reader.patterns))
}

struct Reader<'s> {
    document: &'s Value,
    /// Where the names are that references may use.
    anchors: BTreeMap<&'s str, String>,
    /// The numbers of nodes, by where they stand.
    known: HashMap<String, usize>,
    /// All nodes by their number, read or not.
    open: Vec<(String, &'s Value)>,
    patterns: usize,
}

impl<'s> Reader<'s> {
    /// The number of the node that stands there.
    fn node(&mut self, pointer: String) -> Result<usize, SchemaFault> {
        if let Some(known) = self.known.get(&pointer) {
            return Ok(*known);
        }
        let Some(value) = self.document.pointer(&pointer) else {
            return Err(SchemaFault::at(&pointer, "does not exist"));
        };
        let number = self.open.len();
        if number >= SUBSCHEMAS_MAX {
            let rule = format!("is one subschema too many: there may be {SUBSCHEMAS_MAX}");
            return Err(SchemaFault::at(&pointer, rule));
        }
        self.known.insert(pointer.clone(), number);
        self.open.push((pointer, value));
        Ok(number)
    }

    fn read(&mut self, pointer: String, value: &'s Value) -> Result<Node, SchemaFault> {
        let mut node = Node {
            own: 1,
            ..Node::default()
        };
        if let Value::Object(map) = value {
            self.read_references(&mut node, &pointer, map)?;
            for (keyword, inner) in map {
                let at = joined(&pointer, keyword);
                self.read_keyword(&mut node, keyword, &at, inner)?;
            }
        }
        node.pointer = pointer;
        Ok(node)
    }

    fn read_references(
        &mut self,
        node: &mut Node,
        pointer: &str,
        map: &Map<String, Value>,
    ) -> Result<(), SchemaFault> {
        let id = map.get("$id").and_then(Value::as_str);
        if !pointer.is_empty() && id.is_some_and(|id| !id.starts_with('#')) {
            let rule = "is only allowed at the top: what stands inside belongs to the same schema";
            return Err(SchemaFault::at(&joined(pointer, "$id"), rule));
        }
        for keyword in ["$ref", "$dynamicRef"] {
            let Some(reference) = map.get(keyword).and_then(Value::as_str) else {
                continue;
            };
            let at = joined(pointer, keyword);
            let inside = local_fragment(reference).and_then(|to| match to.as_str() {
                "" => Some(to),
                _ if to.starts_with('/') => Some(to),
                name => self.anchors.get(name).cloned(),
            });
            let exists = inside.filter(|to| self.document.pointer(to).is_some());
            let Some(to) = exists else {
                let rule = "must lead to something in the same schema, such as `#/$defs/name`; \
                    nothing is fetched";
                return Err(SchemaFault::at(&at, rule));
            };
            node.in_place.push(self.node(to)?);
        }
        Ok(())
    }

    fn read_keyword(
        &mut self,
        node: &mut Node,
        keyword: &str,
        at: &str,
        value: &Value,
    ) -> Result<(), SchemaFault> {
        match (keyword, value) {
            ("pattern", _) => self.count_patterns(1, at)?,
            ("properties", Value::Object(_)) => node.properties = self.by_name(at, value)?,
            ("patternProperties", Value::Object(map)) => {
                self.count_patterns(map.len(), at)?;
                node.own = node.own.saturating_add(weight(map.len()));
                let inner = self.by_name(at, value)?;
                node.every_property.extend(inner.into_values());
            }
            ("additionalProperties", _) => node.other_properties.push(self.node(at.to_owned())?),
            ("items" | "prefixItems", Value::Array(list)) => node.prefix = self.list(at, list)?,
            ("items", _) => node.every_item.push(self.node(at.to_owned())?),
            _ if ITEM.contains(&keyword) => node.every_item.push(self.node(at.to_owned())?),
            _ if PROPERTY.contains(&keyword) => {
                node.every_property.push(self.node(at.to_owned())?);
            }
            _ if SAME.contains(&keyword) => node.in_place.push(self.node(at.to_owned())?),
            (_, Value::Array(list)) if SAME_LIST.contains(&keyword) => {
                node.in_place.extend(self.list(at, list)?);
            }
            (_, Value::Object(_)) if SAME_MAP.contains(&keyword) => {
                node.in_place.extend(self.by_name(at, value)?.into_values());
            }
            // Not applied by itself, but looked at, so that what is wrong in it is found.
            (_, Value::Object(_)) if DEFINITIONS.contains(&keyword) => {
                self.by_name(at, value)?;
            }
            ("enum" | "const" | "required", data) => {
                node.own = node.own.saturating_add(weight(size(data)));
            }
            _ => node.own = node.own.saturating_add(1),
        }
        Ok(())
    }

    fn by_name(&mut self, at: &str, value: &Value) -> Result<BTreeMap<String, usize>, SchemaFault> {
        let named = value.as_object().into_iter().flatten();
        let schemas = named.filter(|(_, inner)| inner.is_object() || inner.is_boolean());
        schemas
            .map(|(name, _)| Ok((name.clone(), self.node(joined(at, name))?)))
            .collect()
    }

    fn list(&mut self, at: &str, list: &[Value]) -> Result<Vec<usize>, SchemaFault> {
        let places = 0..list.len();
        places
            .map(|place| self.node(joined(at, &place.to_string())))
            .collect()
    }

    fn count_patterns(&mut self, more: usize, at: &str) -> Result<(), SchemaFault> {
        self.patterns += more;
        if self.patterns > PATTERNS_MAX {
            let rule = format!("is one regular expression too many: there may be {PATTERNS_MAX}");
            return Err(SchemaFault::at(at, rule));
        }
        Ok(())
    }
}

/// The names that references may use, with where they are given.
pub(crate) fn anchors(schema: &Value) -> BTreeMap<&str, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), schema)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(name) = map.get(keyword).and_then(Value::as_str) {
                        found.insert(name, pointer.clone());
                    }
                }
                // As draft 7 does it.
                let id = map.get("$id").and_then(Value::as_str);
                if let Some(name) = id.and_then(|id| id.strip_prefix('#')) {
                    found.insert(name, pointer.clone());
                }
                let inner = map
                    .iter()
                    .filter(|(name, _)| !DATA.contains(&name.as_str()));
                open.extend(inner.map(|(name, inner)| (joined(&pointer, name), inner)));
            }
            Value::Array(list) => {
                let places = list.iter().enumerate();
                open.extend(places.map(|(at, inner)| (joined(&pointer, &at.to_string()), inner)));
            }
            _ => {}
        }
    }
    found
}

/// How many values there are in a value.
fn size(value: &Value) -> usize {
    let mut open = vec![value];
    let mut count = 0;
    while let Some(value) = open.pop() {
        count += 1;
        match value {
            Value::Object(map) => open.extend(map.values()),
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    count
}

fn weight(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
