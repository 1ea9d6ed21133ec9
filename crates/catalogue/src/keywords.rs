//! Keywords of JSON Schema that hold something else than a schema.

/// Keywords with schemas by name.
pub(crate) const MAPS: [&str; 6] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "properties",
];
/// Keywords that hold data, which may look like schemas.
pub(crate) const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];
/// Keywords that lead somewhere else.
pub(crate) const REFERENCES: [&str; 2] = ["$ref", "$dynamicRef"];
