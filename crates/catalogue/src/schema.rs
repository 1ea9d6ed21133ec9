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
use crate::limits::{
    EVALUATIONS_MAX, EXPLAINED_MAX, PATTERN_BYTES_MAX, PATTERN_BYTES_USUAL, PATTERNS_BYTES_MAX,
    QUICK_MAX, SCHEMA_LEVELS_MAX,
};

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
    /// About what each of its regular expressions takes.
    pattern_bytes: usize,
    graph: Graph,
}

/// A payload that is to be held against a schema.
#[must_use = "nothing is compared yet"]
pub struct Comparison<'s> {
    schema: &'s Schema,
    value: Value,
    evaluations: u64,
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
        let build = |bytes| {
            let patterns = PatternOptions::regex()
                .size_limit(bytes)
                .dfa_size_limit(bytes);
            jsonschema::options()
                .with_draft(draft)
                .with_pattern_options(patterns)
                .should_validate_formats(false)
                .offline()
                .build(schema)
        };
        // Little is reckoned for each where all of them are of the usual size.
        let (validator, pattern_bytes) = match build(PATTERN_BYTES_USUAL) {
            Ok(validator) => (validator, PATTERN_BYTES_USUAL / 4),
            Err(error) if is_too_large(&error) => {
                let most = pattern_bytes_max(graph.patterns);
                let validator = build(most).map_err(|error| {
                    if is_too_large(&error) {
                        too_large(&error, most)
                    } else {
                        unfit(error)
                    }
                })?;
                (validator, most)
            }
            Err(error) => return Err(unfit(error)),
        };
        Ok(Self {
            version: version.to_owned(),
            validator,
            pattern_bytes,
            graph,
        })
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let patterns = self.graph.patterns.saturating_mul(self.pattern_bytes);
        let nodes = self.graph.nodes.len().saturating_mul(1024);
        patterns.saturating_add(nodes)
    }

    /// Reads a payload, which is JSON, and how much work it is to compare it.
    pub fn read(&self, payload: &[u8]) -> Result<Comparison<'_>, Mismatch> {
        let value: Value = serde_json::from_slice(payload).map_err(|_| {
            self.limit("holds a number or a text that can't be compared with the schema")
        })?;
        self.comparison(value, payload.len())
    }

    /// Whether a payload, which is JSON, matches.
    pub fn check(&self, payload: &[u8]) -> Result<(), Mismatch> {
        self.read(payload)?.compare()
    }

    /// Whether a value is known to match without much work.
    pub(crate) fn matches_quickly(&self, value: Value) -> bool {
        let bytes = value.to_string().len();
        let comparison = self.comparison(value, bytes);
        comparison.is_ok_and(|comparison| comparison.is_quick() && comparison.compare().is_ok())
    }

    fn comparison(&self, value: Value, bytes: usize) -> Result<Comparison<'_>, Mismatch> {
        let evaluations = cost::evaluations(&self.graph, &value, bytes, QUICK_MAX, EVALUATIONS_MAX);
        let evaluations = evaluations
            .ok_or_else(|| self.limit("would take too long to be compared with the schema"))?;
        Ok(Comparison {
            schema: self,
            value,
            evaluations,
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

// === impl Comparison ===

impl Comparison<'_> {
    /// Whether it takes a millisecond or so.
    pub fn is_quick(&self) -> bool {
        self.evaluations <= QUICK_MAX
    }

    /// Whether the payload matches.
    pub fn compare(&self) -> Result<(), Mismatch> {
        let schema = self.schema;
        if self.evaluations > EXPLAINED_MAX {
            let matches = schema.validator.is_valid(&self.value);
            let message = "does not match the schema; to say where would take too long";
            return matches.then_some(()).ok_or_else(|| schema.limit(message));
        }
        schema
            .validator
            .validate(&self.value)
            .map_err(|error| Mismatch {
                version: schema.version.clone(),
                pointer: error.instance_path().to_string(),
                keyword: error.kind().keyword().to_owned(),
                schema_pointer: error.schema_path().to_string(),
                message: error.masked().to_string(),
            })
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

/// What each of so many regular expressions may take.
fn pattern_bytes_max(patterns: usize) -> usize {
    (PATTERNS_BYTES_MAX / patterns.max(1)).min(PATTERN_BYTES_MAX)
}

/// Whether what can't be compiled is a regular expression, so that it is its size that is wrong.
fn is_too_large(error: &jsonschema::ValidationError<'_>) -> bool {
    let pattern = error.instance().as_str();
    error.kind().keyword() == "format"
        && pattern.is_some_and(|pattern| regex_syntax::parse(pattern).is_ok())
}

fn too_large(error: &jsonschema::ValidationError<'_>, bytes: usize) -> SchemaFault {
    let kilobytes = bytes / 1024;
    let rule = format!(
        "is a regular expression that takes more than {kilobytes} KiB once it is compiled: repeat \
         less, or smaller classes"
    );
    SchemaFault::at(&error.instance_path().to_string(), rule)
}

#[cfg(test)]
mod tests;
