//! Whether what is to be saved as an event type's schemas are schemas.

use hookseal_catalogue::json::steps;
use hookseal_catalogue::schema_set::{SchemaSet, SchemaSetFault};
use hookseal_domain::event_type::EventTypeSpec;
use hookseal_domain::violation::Violation;

use crate::api::error::ApiError;
use crate::api::error::violations::Violations;

/// Refuses what is none.
pub(super) async fn check(spec: &EventTypeSpec) -> Result<(), ApiError> {
    faults(spec)
        .await?
        .map_or(Ok(()), |faults| Err(faults.into()))
}

/// Compiles every version, beside the requests of others: large ones take their time.
pub(crate) async fn faults(spec: &EventTypeSpec) -> Result<Option<Violations>, ApiError> {
    let Some(text) = spec.schemas.clone() else {
        return Ok(None);
    };
    let checked = tokio::task::spawn_blocking(move || SchemaSet::parse(&text)?.check());
    let checked = checked.await.map_err(|error| ApiError::internal(&error))?;
    Ok(checked.err().map(|fault| refused(&fault)))
}

/// A fault names the place inside of the schema.
fn refused(fault: &SchemaSetFault) -> Violations {
    let (place, rule) = match fault {
        SchemaSetFault::NoObject => (Vec::new(), "type_error"),
        SchemaSetFault::TooMany => (Vec::new(), "value_error.map.max_items"),
        SchemaSetFault::Name => (Vec::new(), "value_error.length"),
        SchemaSetFault::Schema { version, fault } => {
            let inside = std::iter::once(version.clone()).chain(steps(&fault.pointer));
            (inside.collect(), "value_error.schema")
        }
    };
    let mut loc = vec!["body", "schemas"];
    loc.extend(place.iter().map(String::as_str));
    Violations::one(&loc, &Violation::new(rule, fault.to_string()))
}
