//! The catalogue of event types: their JSON Schemas, and payloads held against them. The one crate
//! that knows the schema validator.
//!
//! **Invariant:** no IO, no clock, nothing is fetched: a schema names nothing but what stands in
//! itself. Whatever a document holds, the work that is done on it is bounded.

mod cost;
pub mod document;
mod embedded;
pub mod export;
mod graph;
pub mod import;
pub mod json;
mod keywords;
pub mod limits;
mod room;
pub mod sample;
pub mod schema;
pub mod schema_set;
mod standalone;
mod version;
