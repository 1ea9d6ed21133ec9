//! References between the parts of a document, where they are no schemas.
//!
//! **Invariant:** nothing is looked for outside of the document, and circles have an end.

use serde_json::Value;

use crate::import::Fault;
use crate::json::{joined, local_fragment};
use crate::limits::{FOLLOWED_MAX, POINTER_BYTES_MAX};

/// Follows references to where something is described.
pub(crate) fn followed(document: &Value, pointer: String) -> Result<(String, &Value), Fault> {
    follow(document, pointer, |_| true)
}

/// Follows references to a schema that says more than where another one is.
pub(crate) fn followed_schema(
    document: &Value,
    pointer: String,
) -> Result<(String, &Value), Fault> {
    let says_no_more = |value: &Value| value.as_object().is_some_and(|map| map.len() == 1);
    follow(document, pointer, says_no_more)
}

fn follow(
    document: &Value,
    pointer: String,
    goes_on: fn(&Value) -> bool,
) -> Result<(String, &Value), Fault> {
    let mut at = pointer;
    let mut from = at.clone();
    for _ in 0..=FOLLOWED_MAX {
        if at.len() > POINTER_BYTES_MAX {
            let rule =
                format!("has a place whose pointer is longer than {POINTER_BYTES_MAX} bytes");
            return Err(Fault::at("", rule));
        }
        let Some(value) = document.pointer(&at) else {
            let rule = format!("refers to `{at}`, which does not exist");
            return Err(Fault::at(&from, rule));
        };
        let to = value.get("$ref").and_then(Value::as_str);
        let Some(to) = to.filter(|_| goes_on(value)) else {
            return Ok((at, value));
        };
        from = joined(&at, "$ref");
        let inside = local_fragment(to).filter(|to| to.starts_with('/'));
        at = inside.ok_or_else(|| Fault::outside(&from, to))?;
    }
    let rule = format!("is a reference to a reference, more than {FOLLOWED_MAX} times");
    Err(Fault::at(&from, rule))
}

/// The entries of an object at a pointer of the document, with their own pointers.
pub(crate) fn entries<'d>(
    document: &'d Value,
    pointer: &str,
) -> impl Iterator<Item = (&'d str, String)> + use<'d> {
    let map = document.pointer(pointer).and_then(Value::as_object);
    let base = pointer.to_owned();
    map.into_iter()
        .flatten()
        .map(move |(name, _)| (name.as_str(), joined(&base, name)))
}
