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
/// What a compiled regular expression usually stays below, in bytes.
pub const PATTERN_BYTES_USUAL: usize = 128 * 1024;
/// Largest compiled regular expression, in bytes: enough for some dozens of repetitions of a large
/// class of Unicode.
pub const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest compiled regular expressions of one version, in bytes, all together: where there are many,
/// each has its share of it.
pub const PATTERNS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longest chain of schemas that apply to one and the same value: the validator goes down it by
/// recursion, at each of a payload's levels.
pub const IN_PLACE_CHAIN_MAX: usize = 32;
/// Most schemas that apply to one and the same value, counted as often as they are reached.
pub const IN_PLACE_MAX: u64 = 10_000;
/// Most evaluations of schemas for one payload: some tenths of a second.
pub const EVALUATIONS_MAX: u64 = 2_000_000;
/// Most evaluations for which it is said where a payload does not match: that keeps what is wrong with
/// each branch of the schema in memory, hundreds of bytes for each evaluation.
pub const EXPLAINED_MAX: u64 = 50_000;
/// Most evaluations that are made at once, by whoever asks: about a millisecond.
pub const QUICK_MAX: u64 = 10_000;
