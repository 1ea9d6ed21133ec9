//! The bounds of schemas and of the documents that they come in, each with its reason.

/// Most versions of one event type: each is compiled when it is saved.
pub const VERSIONS_MAX: usize = 100;
/// Longest name of a version, in bytes: it is shown in errors.
pub const VERSION_BYTES_MAX: usize = 64;
/// Most levels of a schema: common parsers refuse deeper ones, as with payloads.
pub const SCHEMA_LEVELS_MAX: usize = 100;
/// Most subschemas of one version: each takes about a kilobyte when it is compiled.
pub const SUBSCHEMAS_MAX: usize = 10_000;
/// Most regular expressions of one version.
pub const PATTERNS_MAX: usize = 500;
/// Largest compiled regular expression, in bytes: enough for a hundred repetitions of a class of
/// Unicode, little enough for many.
pub const PATTERN_BYTES_MAX: usize = 128 * 1024;
/// Longest chain of schemas that apply to one and the same value: the validator goes down it by
/// recursion, at each of a payload's levels.
pub const IN_PLACE_CHAIN_MAX: usize = 32;
/// Most schemas that apply to one and the same value, counted as often as they are reached.
pub const IN_PLACE_MAX: u64 = 10_000;
/// Most evaluations of schemas for one payload: some tenths of a second.
pub const EVALUATIONS_MAX: u64 = 2_000_000;
