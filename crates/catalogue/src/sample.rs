//! An example of a payload, made from its schema.
//!
//! The same schema gives the same example. What the schema itself gives as one comes first:
//! `examples`, `const`, `enum`, `default`; then types, formats and bounds. What is recursive ends after
//! a few rounds. Not every schema can be fulfilled like this, or at all: then the example is the first
//! that was tried.

mod parts;
mod text;

use serde_json::{Map, Number, Value, json};

use crate::sample::parts::Parts;
use crate::schema::Schema;

/// Most levels of an example: people read it.
const LEVELS_MAX: usize = 12;
/// Most values of an example.
const VALUES_MAX: usize = 2_000;
/// Most items of one of its lists, though the schema may ask for more.
const ITEMS_MAX: u64 = 50;
/// Ways that are tried, which take other branches of the schema.
const WAYS: usize = 6;

/// An example for a schema, an object in any case.
pub fn sample(schema: &Value) -> Map<String, Value> {
    let compiled = Schema::compile("", schema).ok();
    let fits = |value: &Value| {
        compiled
            .as_ref()
            .is_none_or(|schema| schema.matches_quickly(value.clone()))
    };
    let mut first = None;
    for way in 0..WAYS {
        let mut maker = Maker {
            document: schema,
            way,
            values: VALUES_MAX,
        };
        let Some(Value::Object(made)) = maker.root() else {
            continue;
        };
        let made = Value::Object(made);
        let fits = fits(&made);
        let Value::Object(made) = made else { continue };
        if fits {
            return made;
        }
        first.get_or_insert(made);
    }
    first.unwrap_or_default()
}

/// What stands in for the example of an event type without a schema.
pub fn stand_in(event_type: &str) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".to_owned(), json!(event_type));
    map.insert("data".to_owned(), json!({"example": true}));
    map
}

struct Maker<'s> {
    document: &'s Value,
    way: usize,
    /// How many more values there may be.
    values: usize,
}

impl<'s> Maker<'s> {
    fn root(&mut self) -> Option<Value> {
        let parts = Parts::of(self.document, [self.document], self.way)?;
        self.given(&parts)
            .filter(Value::is_object)
            .or_else(|| self.object(&parts, 0))
    }

    /// A value that all of these schemas allow, the `nth` of several.
    fn value(
        &mut self,
        schemas: impl IntoIterator<Item = &'s Value>,
        level: usize,
        nth: u64,
    ) -> Option<Value> {
        self.values = self.values.checked_sub(1)?;
        if level > LEVELS_MAX {
            return None;
        }
        let parts = Parts::of(self.document, schemas, self.way)?;
        if let Some(only) = parts.first("const") {
            return Some(only.clone());
        }
        if let Some(given) = self.given(&parts).filter(|_| nth == 0) {
            return Some(given);
        }
        if let Some(Value::Array(list)) = parts.first("enum") {
            let at = usize::try_from(nth).ok()?;
            return list.get(at).or(list.first()).cloned();
        }
        match parts.kind() {
            "object" => self.object(&parts, level),
            "array" => self.array(&parts, level),
            "integer" | "number" => number(&parts, nth),
            "boolean" => Some(Value::Bool(nth == 0)),
            "null" => Some(Value::Null),
            _ => Some(Value::String(text::text(&parts, nth))),
        }
    }

    /// What the schema gives as an example itself.
    fn given(&self, parts: &Parts<'s>) -> Option<Value> {
        let first = |keyword| parts.first(keyword).and_then(|list| list.get(0));
        let given = first("examples").or_else(|| parts.first("example"));
        let given = given.or_else(|| parts.first("const"));
        let given = given
            .or_else(|| first("enum"))
            .or_else(|| parts.first("default"));
        given.cloned()
    }

    fn object(&mut self, parts: &Parts<'s>, level: usize) -> Option<Value> {
        let required = parts.texts("required");
        let max = parts.least("maxProperties").unwrap_or(u64::MAX);
        let min = parts
            .most("minProperties")
            .unwrap_or_default()
            .min(ITEMS_MAX);
        let mut map = Map::new();
        let optional = parts.property_names();
        let optional = optional.into_iter().filter(|name| !required.contains(name));
        let wanted = required.iter().copied().chain(optional);
        for name in wanted {
            let is_required = required.contains(&name);
            if !is_required && count(map.len()) >= max {
                break;
            }
            let schemas = parts.property(name);
            match self.value(schemas, level + 1, 0) {
                Some(value) => _ = map.insert(name.to_owned(), value),
                // Where it has to be there and can't be, neither can the whole.
                None if is_required => return None,
                None => {}
            }
        }
        for number in 1..=min {
            if count(map.len()) >= min {
                break;
            }
            let name = format!("property{number}");
            let value = self.value(parts.property(&name), level + 1, 0)?;
            map.insert(name, value);
        }
        Some(Value::Object(map))
    }

    fn array(&mut self, parts: &Parts<'s>, level: usize) -> Option<Value> {
        let max = parts.least("maxItems").unwrap_or(u64::MAX);
        let min = parts.most("minItems").unwrap_or_default();
        let prefix = count(parts.prefix_len());
        let contains = parts.all("contains").collect::<Vec<_>>();
        let more = if contains.is_empty() {
            0
        } else {
            parts.most("minContains").unwrap_or(1)
        };
        let wanted = min.max(prefix).max(more).max(1).min(max).min(ITEMS_MAX);
        let mut list = Vec::new();
        for at in 0..wanted {
            let mut schemas = parts.item(usize::try_from(at).ok()?);
            if at >= prefix && at < prefix.saturating_add(more) {
                schemas.extend(contains.iter().copied());
            }
            match self.value(schemas, level + 1, at) {
                Some(item) => list.push(item),
                None if at < min.max(more) => return None,
                None => break,
            }
        }
        Some(Value::Array(list))
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn number(parts: &Parts<'_>, nth: u64) -> Option<Value> {
    let whole = parts.kind() == "integer";
    let bound = |keyword| parts.all(keyword).filter_map(Value::as_f64);
    let step = bound("multipleOf").reduce(f64::max);
    let step = step.filter(|step| *step > 0.0);
    let tick = step.unwrap_or(if whole { 1.0 } else { 0.5 });
    let low = bound("minimum").map(|low| (low, 0.0));
    let low = low.chain(bound("exclusiveMinimum").map(|low| (low, tick)));
    let low = low.map(|(low, more)| {
        let up = (low / tick).ceil() * tick;
        if step.is_none() && !whole {
            low + more
        } else if up <= low {
            up + more
        } else {
            up
        }
    });
    let low = low.reduce(f64::max);
    let high = bound("maximum").map(|high| (high, 0.0));
    let high = high.chain(bound("exclusiveMaximum").map(|high| (high, tick)));
    let high = high.map(|(high, less)| {
        let down = (high / tick).floor() * tick;
        if step.is_none() && !whole {
            high - less
        } else if down >= high {
            down - less
        } else {
            down
        }
    });
    let high = high.reduce(f64::min);
    let start = match (low, high) {
        (Some(low), Some(high)) if low > high => f64::midpoint(low, high),
        (Some(low), _) => low,
        (None, Some(high)) => high.min(tick),
        (None, None) => tick,
    };
    let far = u32::try_from(nth).map_or(0.0, f64::from) * tick;
    let value = high.map_or(start + far, |high| (start + far).min(high.max(start)));
    // Whole numbers are written as such, as far as they are exact.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return format!("{value:.0}").parse::<i64>().ok().map(Value::from);
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests;
