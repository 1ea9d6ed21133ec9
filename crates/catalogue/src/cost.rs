//! How much work it is to hold a payload against a schema, found without doing it.
//!
//! A schema of a few lines can ask for more evaluations than there are atoms, by recursion that
//! branches. Here each schema that applies to a value is counted once, with how often it applies.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::graph::{Graph, Node};

/// Schemas by their rank, with how often they apply to a value.
type Applied = BTreeMap<usize, u64>;

/// How many evaluations it takes at most to hold a payload against the schema; `None` if that is more
/// than `max`. `bytes` is its size; below `few` nobody wants to know exactly.
pub(crate) fn evaluations(
    graph: &Graph,
    payload: &Value,
    bytes: usize,
    few: u64,
    max: u64,
) -> Option<u64> {
    let values = u64::try_from(bytes).unwrap_or(u64::MAX);
    let estimate = graph
        .evaluations_per_value
        .map(|per| per.saturating_mul(values));
    if let Some(estimate) = estimate.filter(|estimate| *estimate <= few) {
        return Some(estimate);
    }
    let mut left = max;
    spend(graph, Applied::from([(graph.root, 1)]), payload, &mut left)?;
    Some(max.saturating_sub(left))
}

/// Takes what a value needs from what is left. Goes down by recursion, as deep as payloads are.
fn spend(graph: &Graph, applied: Applied, value: &Value, left: &mut u64) -> Option<()> {
    let applied = with_in_place(graph, applied);
    let nodes = || {
        applied
            .iter()
            .filter_map(|(node, times)| Some((graph.nodes.get(*node)?, *times)))
    };
    let size = match value {
        Value::String(text) => text.len() / 64,
        Value::Array(list) => list.len() / 4,
        Value::Object(map) => map.len() / 4,
        _ => 0,
    };
    let size = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
    let evaluations = nodes().fold(0_u64, |sum, (node, times)| {
        sum.saturating_add(times.saturating_mul(node.own))
    });
    *left = left.checked_sub(evaluations.saturating_mul(size))?;
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let mut below = Applied::new();
                nodes().for_each(|(node, times)| to_property(&mut below, node, name, times));
                spend(graph, below, inner, left)?;
            }
        }
        Value::Array(list) => {
            for (place, inner) in list.iter().enumerate() {
                let mut below = Applied::new();
                nodes().for_each(|(node, times)| to_item(&mut below, node, place, times));
                spend(graph, below, inner, left)?;
            }
        }
        _ => {}
    }
    Some(())
}

/// With the schemas that these apply to the same value.
fn with_in_place(graph: &Graph, mut open: Applied) -> Applied {
    let mut all = Applied::new();
    // What is led to has a higher rank, so that it comes later with all that leads to it.
    while let Some((node, times)) = open.pop_first() {
        let inner = graph.nodes.get(node).map(|node| node.in_place.as_slice());
        add(&mut open, inner.unwrap_or_default(), times);
        all.insert(node, times);
    }
    all
}

fn to_property(below: &mut Applied, node: &Node, name: &str, times: u64) {
    match node.properties.get(name) {
        Some(named) => add(below, std::slice::from_ref(named), times),
        None => add(below, &node.other_properties, times),
    }
    add(below, &node.every_property, times);
}

fn to_item(below: &mut Applied, node: &Node, place: usize, times: u64) {
    if let Some(inner) = node.prefix.get(place) {
        add(below, std::slice::from_ref(inner), times);
    }
    add(below, &node.every_item, times);
}

fn add(to: &mut Applied, nodes: &[usize], times: u64) {
    for node in nodes {
        let sum = to.entry(*node).or_default();
        *sum = sum.saturating_add(times);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!({"v": 1}), |inner, _| json!({"x": inner}))
    }

    fn check(schema: &Value, payload: &Value, expect: bool) {
        let graph = Graph::of(schema).unwrap();
        let bytes = payload.to_string().len();
        let within = evaluations(&graph, payload, bytes, 1000, 100_000);
        assert_eq!(within.is_some(), expect, "{schema} {bytes}");
    }

    #[test]
    fn recursion_is_fine_until_it_branches() {
        let tree = json!({"properties": {"x": {"$ref": "#"}, "y": {"$ref": "#"}}});
        check(&tree, &nested(90), true);
        let branch = json!({"properties": {"x": {"$ref": "#"}}});
        let branching = json!({"properties": {"x": {"$ref": "#"}}, "anyOf": [branch]});
        check(&branching, &nested(10), true);
        check(&branching, &nested(90), false);
    }

    #[test]
    fn many_values_need_much() {
        let schema = json!({"items": {"enum": (0..1000).collect::<Vec<_>>()}});
        check(&schema, &json!(vec![1; 50]), true);
        check(&schema, &json!(vec![1; 1000]), false);
    }
}
