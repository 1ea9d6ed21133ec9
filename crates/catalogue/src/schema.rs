//! One version of an event type's schema, compiled: whether a payload matches it.
//!
//! **Invariant:** what is compiled can be used: a payload takes a bounded number of evaluations, by
//! regular expressions in linear time.

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::cost;
use crate::graph::Graph;
use crate::json::levels;
use crate::limits::{EVALUATIONS_MAX, PATTERN_BYTES_MAX, SCHEMA_LEVELS_MAX};

/// The dialects that are understood, by their meta-schemas.
const DIALECTS: [(&str, Draft); 2] = [
    (
        "https://json-schema.org/draft/2020-12/schema",
        Draft::Draft202012,
    ),
    ("http://json-schema.org/draft-07/schema", Draft::Draft7),
];

/// A schema that payloads are held against.
pub struct Schema {
    version: String,
    validator: Validator,
    graph: Graph,
}

/// What is wrong with a schema, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("at `{pointer}`: {rule}")]
pub struct SchemaFault {
    /// The JSON pointer within the schema; empty for the whole.
    pub pointer: String,
    /// What it breaks, completing "it …".
    pub rule: String,
}

/// Where a payload does not match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// The version of the schema.
    pub version: String,
    /// The JSON pointer within the payload.
    pub pointer: String,
    /// The keyword that is not fulfilled; `(limit)` where it can't be told.
    pub keyword: String,
    /// The JSON pointer of that keyword within the schema. Holds nothing of the payload.
    pub schema_pointer: String,
    /// For whoever sent the payload. Holds none of its values, but may hold names of properties.
    pub message: String,
}

// === impl Schema ===

impl Schema {
    /// Compiles a schema. Takes up to some hundred milliseconds.
    pub fn compile(version: &str, schema: &Value) -> Result<Self, SchemaFault> {
        if levels(schema) > SCHEMA_LEVELS_MAX {
            let rule = format!("is nested deeper than {SCHEMA_LEVELS_MAX} levels");
            return Err(SchemaFault::at("", rule));
        }
        let draft = draft(schema)?;
        let unfit = |error: jsonschema::ValidationError<'_>| {
            let pointer = error.instance_path().to_string();
            SchemaFault::at(&pointer, error.to_string())
        };
        // First of all, so that all else is of the type that it should be.
        let meta = match draft {
            Draft::Draft7 => jsonschema::draft7::meta::validate(schema),
            _ => jsonschema::draft202012::meta::validate(schema),
        };
        meta.map_err(unfit)?;
        let graph = Graph::of(schema)?;
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX);
        let validator = jsonschema::options()
            .with_draft(draft)
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .offline()
            .build(schema)
            .map_err(unfit)?;
        Ok(Self {
            version: version.to_owned(),
            validator,
            graph,
        })
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let patterns = self.graph.patterns.saturating_mul(PATTERN_BYTES_MAX / 4);
        let nodes = self.graph.nodes.len().saturating_mul(1024);
        patterns.saturating_add(nodes)
    }

    /// Whether a payload, which is JSON, matches.
    pub fn check(&self, payload: &[u8]) -> Result<(), Mismatch> {
        let value: Value = serde_json::from_slice(payload)
            .map_err(|_| self.limit("holds a number that can't be compared with the schema"))?;
        if !cost::is_within(&self.graph, &value, payload.len(), EVALUATIONS_MAX) {
            return Err(self.limit("would take too long to be compared with the schema"));
        }
        self.check_value(&value)
    }

    /// Whether a value matches, however long that takes.
    pub(crate) fn check_value(&self, value: &Value) -> Result<(), Mismatch> {
        self.validator.validate(value).map_err(|error| Mismatch {
            version: self.version.clone(),
            pointer: error.instance_path().to_string(),
            keyword: error.kind().keyword().to_owned(),
            schema_pointer: error.schema_path().to_string(),
            message: error.masked().to_string(),
        })
    }

    fn limit(&self, message: &str) -> Mismatch {
        Mismatch {
            version: self.version.clone(),
            pointer: String::new(),
            keyword: "(limit)".to_owned(),
            schema_pointer: String::new(),
            message: message.to_owned(),
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.version)
    }
}

// === impl SchemaFault ===

impl SchemaFault {
    /// A fault at a place in the schema.
    pub(crate) fn at(pointer: &str, rule: impl Into<String>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            rule: rule.into(),
        }
    }
}

/// The dialect that a schema is written in: 2020-12 where it says nothing.
fn draft(schema: &Value) -> Result<Draft, SchemaFault> {
    let Some(named) = schema.get("$schema") else {
        return Ok(Draft::Draft202012);
    };
    let named = named.as_str().unwrap_or_default();
    let named = named.strip_suffix('#').unwrap_or(named);
    let known = DIALECTS.iter().find(|(name, _)| *name == named);
    known.map(|(_, draft)| *draft).ok_or_else(|| {
        let [(one, _), (other, _)] = DIALECTS;
        SchemaFault::at("/$schema", format!("must be `{one}` or `{other}#`"))
    })
}

#[cfg(test)]
mod tests;
