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
/// Most levels of a document that event types are read from: what its schemas may have, and what
/// stands around them.
pub const DOCUMENT_LEVELS_MAX: usize = 120;
/// Most bytes that a document has when YAML's aliases are written out, and that its schemas have when
/// each has a copy of what it refers to. Several times what a request may have; in memory several times
/// as much.
pub const IMPORT_BYTES_MAX: usize = 16 << 20;
/// What each value counts of that besides its text.
pub const IMPORT_BYTES_PER_VALUE: usize = 16;
/// What each regular expression counts of that: some thousands can be compiled within seconds.
pub const IMPORT_BYTES_PER_PATTERN: usize = 4096;
/// Most aliases of a document in YAML, and most anchors: who writes by hand uses a few.
pub const ALIASES_MAX: usize = 1_000;
/// Most event types of one document: they are compared one by one, and written in one transaction.
pub const IMPORT_EVENT_TYPES_MAX: usize = 1_000;
/// Most faults that are told of one document: more help nobody.
pub const FAULTS_MAX: usize = 50;
/// Most references that are followed from one place to what they mean: real documents need one, seldom
/// two.
pub const FOLLOWED_MAX: usize = 8;
/// Longest pointer to an event type in a document, in bytes: it is kept for each, and nobody names things
/// at such length.
pub const POINTER_BYTES_MAX: usize = 1024;
