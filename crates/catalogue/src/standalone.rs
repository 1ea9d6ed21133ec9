//! A schema out of a larger document, with all that it refers to brought along: nothing is written out,
//! so that what is recursive stays so.
//!
//! **Invariant:** nothing is looked for outside of the document, and what is copied is bounded.

mod openapi30;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use crate::embedded::encoded;
use crate::import::Fault;
use crate::json::{joined, local_fragment, steps};
use crate::keywords::{DATA, MAPS, REFERENCES};
use crate::limits::{POINTER_BYTES_MAX, SUBSCHEMAS_MAX};
use crate::room::Room;

/// Longest pointer to a part of a schema, in bytes: names of properties are short.
const AT_BYTES_MAX: usize = 8 * POINTER_BYTES_MAX;

/// The language that a document's schemas are written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// JSON Schema 2020-12, which OpenAPI 3.1 builds on.
    Draft202012,
    /// JSON Schema draft 7, which AsyncAPI builds on.
    Draft7,
    /// OpenAPI 3.0's own.
    OpenApi30,
}

/// A schema on its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standalone {
    /// The schema.
    pub(crate) schema: Value,
    /// Where its parts stood in the document, by where they stand now.
    origins: Vec<(String, String)>,
}

/// What an object is taken for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Meant {
    /// A schema: its references have to lead somewhere.
    Schema,
    /// Something of somebody's own, which may hold anything.
    Extension,
}

/// The schema at a pointer of the document, on its own.
pub(crate) fn standalone(
    document: &Value,
    pointer: &str,
    dialect: Dialect,
    room: &mut Room,
) -> Result<Standalone, Fault> {
    let schema = document.pointer(pointer);
    let schema = schema.ok_or_else(|| Fault::at(pointer, "does not exist"))?;
    let mut copier = Copier {
        document,
        root: pointer,
        dialect,
        names: BTreeMap::new(),
        taken: BTreeSet::new(),
        wanted: BTreeMap::new(),
        open: VecDeque::new(),
        room,
    };
    let mut origins = vec![(String::new(), pointer.to_owned())];
    // A schema with a name of its own is a document of its own: its references are to itself.
    let id = schema.get("$id").and_then(Value::as_str);
    let copy = if id.is_some_and(|id| !id.starts_with('#')) {
        let fits = copier.room.take_all(schema);
        fits.map_err(|_| too_large(pointer))?;
        schema.clone()
    } else {
        let own = schema.get(copier.definitions()).and_then(Value::as_object);
        copier.taken = own
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        copier.copy_whole(schema, &mut origins)?
    };
    Ok(Standalone {
        schema: copy,
        origins,
    })
}

// === impl Standalone ===

impl Standalone {
    /// One that everything matches, for something that stands there without one.
    pub(crate) fn anything(pointer: &str) -> Self {
        Self {
            schema: json!({}),
            origins: vec![(String::new(), pointer.to_owned())],
        }
    }

    /// Where something stands in the document that stands in the schema there.
    pub(crate) fn origin(&self, pointer: &str) -> String {
        let inside = |(here, there): &(String, String)| {
            let rest = pointer.strip_prefix(here.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{there}{rest}"))
        };
        // The whole is the first of them, and all else is inside of it.
        let found = self.origins.iter().rev().find_map(inside);
        found.unwrap_or_else(|| pointer.to_owned())
    }
}

struct Copier<'d, 'r> {
    document: &'d Value,
    /// Where the schema stands.
    root: &'d str,
    dialect: Dialect,
    /// What is brought along, by where it stands.
    names: BTreeMap<String, String>,
    /// Names that are used already.
    taken: BTreeSet<String>,
    /// How often a name was wanted.
    wanted: BTreeMap<String, usize>,
    /// What is still to be copied, with its name.
    open: VecDeque<(String, String)>,
    room: &'r mut Room,
}

impl Copier<'_, '_> {
    fn definitions(&self) -> &'static str {
        match self.dialect {
            Dialect::Draft7 => "definitions",
            Dialect::Draft202012 | Dialect::OpenApi30 => "$defs",
        }
    }

    fn copy_whole(
        &mut self,
        schema: &Value,
        origins: &mut Vec<(String, String)>,
    ) -> Result<Value, Fault> {
        let mut copy = self.copy(schema, self.root, Meant::Schema)?;
        if copy == Value::Bool(true) {
            copy = json!({});
        }
        let Value::Object(map) = &mut copy else {
            return Err(Fault::at(self.root, "is no JSON schema that is an object"));
        };
        let mut definitions = Map::new();
        while let Some((from, name)) = self.open.pop_front() {
            let found = self.document.pointer(&from).unwrap_or(&Value::Null);
            let copied = self.copy(found, &from, Meant::Schema)?;
            let here = joined(&format!("/{}", self.definitions()), &name);
            origins.push((here, from));
            definitions.insert(name, copied);
        }
        if !definitions.is_empty() {
            let own = map.entry(self.definitions()).or_insert_with(|| json!({}));
            if let Value::Object(own) = own {
                own.extend(definitions);
            }
        }
        if self.dialect == Dialect::Draft7 && !map.contains_key("$schema") {
            let name = "http://json-schema.org/draft-07/schema#";
            map.insert("$schema".to_owned(), json!(name));
        }
        Ok(copy)
    }

    /// By recursion, as deep as documents are.
    fn copy(&mut self, value: &Value, at: &str, meant: Meant) -> Result<Value, Fault> {
        // What leads to it is copied with each value.
        if at.len() > AT_BYTES_MAX {
            return Err(too_large(""));
        }
        self.room.take(value).map_err(|_| too_large(at))?;
        match value {
            Value::Object(map) => self.copy_object(map, at, meant).map(Value::Object),
            Value::Array(list) => {
                let items = list.iter().enumerate();
                let items = items
                    .map(|(place, item)| self.copy(item, &joined(at, &place.to_string()), meant));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            plain => Ok(plain.clone()),
        }
    }

    fn copy_object(
        &mut self,
        map: &Map<String, Value>,
        at: &str,
        meant: Meant,
    ) -> Result<Map<String, Value>, Fault> {
        let mut copy = Map::new();
        let refers = map.get("$ref").is_some_and(Value::is_string);
        // There, what stands beside a reference does not count.
        let only_refers = refers && self.dialect == Dialect::OpenApi30;
        for (keyword, value) in map {
            if only_refers && keyword != "$ref" {
                continue;
            }
            let inner = joined(at, keyword);
            let copied = match value {
                Value::String(to) if REFERENCES.contains(&keyword.as_str()) => {
                    self.room.take(value).map_err(|_| too_large(&inner))?;
                    Value::String(self.moved(to, &inner, meant)?)
                }
                Value::Object(named) if MAPS.contains(&keyword.as_str()) => {
                    self.room.take(value).map_err(|_| too_large(&inner))?;
                    Value::Object(self.copy_named(named, &inner, meant)?)
                }
                data if DATA.contains(&keyword.as_str()) => {
                    self.room.take_all(data).map_err(|_| too_large(&inner))?;
                    data.clone()
                }
                own if keyword.starts_with("x-") => self.copy(own, &inner, Meant::Extension)?,
                other => self.copy(other, &inner, meant)?,
            };
            copy.insert(keyword.clone(), copied);
        }
        if self.dialect == Dialect::OpenApi30 {
            openapi30::translate(&mut copy);
        }
        Ok(copy)
    }

    fn copy_named(
        &mut self,
        named: &Map<String, Value>,
        at: &str,
        meant: Meant,
    ) -> Result<Map<String, Value>, Fault> {
        let copied = named.iter().map(|(name, inner)| {
            let copied = self.copy(inner, &joined(at, name), meant)?;
            Ok((name.clone(), copied))
        });
        copied.collect()
    }

    /// Where a reference, which stands at `at`, leads to from now on.
    fn moved(&mut self, to: &str, at: &str, meant: Meant) -> Result<String, Fault> {
        let Some(from) = local_fragment(to) else {
            return if meant == Meant::Extension {
                Ok(to.to_owned())
            } else {
                Err(Fault::outside(at, to))
            };
        };
        if !from.is_empty() && !from.starts_with('/') {
            // A name, which comes along with what it names only if that is in the schema.
            return Ok(to.to_owned());
        }
        match from.strip_prefix(self.root) {
            Some(inside) if inside.is_empty() || inside.starts_with('/') => {
                return Ok(format!("#{}", encoded(inside)));
            }
            _ => {}
        }
        let exists = !from.is_empty() && self.document.pointer(&from).is_some();
        if !exists && meant == Meant::Extension {
            return Ok(to.to_owned());
        }
        if from.is_empty() {
            let rule = "refers to the whole document, which is no schema";
            return Err(Fault::at(at, rule));
        }
        if !exists {
            let rule = format!("refers to `{from}`, which does not exist");
            return Err(Fault::at(at, rule));
        }
        let name = match self.names.get(&from) {
            Some(name) => name.clone(),
            None if self.names.len() >= SUBSCHEMAS_MAX => {
                let rule = format!("is one reference too many: there may be {SUBSCHEMAS_MAX}");
                return Err(Fault::at(at, rule));
            }
            None => self.named(&from),
        };
        Ok(format!("#/{}/{name}", self.definitions()))
    }

    /// Names something that is to be brought along.
    fn named(&mut self, from: &str) -> String {
        let last = steps(from).last().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let plain = |c: char| if is_plain(c) { c } else { '_' };
        let base: String = last.chars().map(plain).collect();
        let times = self.wanted.entry(base.clone()).or_default();
        let name = loop {
            *times += 1;
            let name = match *times {
                1 => base.clone(),
                times => format!("{base}_{times}"),
            };
            if !self.taken.contains(&name) {
                break name;
            }
        };
        self.taken.insert(name.clone());
        self.names.insert(from.to_owned(), name.clone());
        self.open.push_back((from.to_owned(), name.clone()));
        name
    }
}

fn too_large(at: &str) -> Fault {
    Fault::at(
        at,
        "is too much: the schemas, each with all that it refers to, are too large",
    )
}
