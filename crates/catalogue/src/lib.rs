//! The catalogue of event types: their JSON Schemas, and payloads held against them. The one crate
//! that knows the schema validator.
//!
//! **Invariant:** no IO, no clock, nothing is fetched: a schema names nothing but what stands in
//! itself. Whatever a document holds, the work that is done on it is bounded.

mod cost;
mod graph;
pub mod json;
pub mod limits;
pub mod sample;
pub mod schema;
pub mod schema_set;
mod version;
