//! Which subschema leads to which: what a reference means, and how much work a schema can make.
//!
//! **Invariant:** references lead only to within the schema, and no schema applies to a value because
//! it applies to that value.

mod build;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::limits::{IN_PLACE_CHAIN_MAX, IN_PLACE_MAX};
use crate::schema::SchemaFault;

pub(crate) use crate::graph::build::anchors;

/// The subschemas of a schema. They are named by their rank: what applies a schema to its own value
/// has a lower one than that schema.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: usize,
    /// Evaluations for one value at most; `None` if there is no end, since it is recursive.
    pub(crate) evaluations_per_value: Option<u64>,
    pub(crate) patterns: usize,
}

/// What a subschema leads to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) pointer: String,
    /// What evaluating it takes without all the others.
    pub(crate) own: u64,
    /// Schemas that it applies to its own value.
    pub(crate) in_place: Vec<usize>,
    /// To the property of this name.
    pub(crate) properties: BTreeMap<String, usize>,
    /// To properties that are not among those.
    pub(crate) other_properties: Vec<usize>,
    /// To any property.
    pub(crate) every_property: Vec<usize>,
    /// To the item at this place.
    pub(crate) prefix: Vec<usize>,
    /// To any item.
    pub(crate) every_item: Vec<usize>,
}

// === impl Graph ===

impl Graph {
    /// Reads a schema, known to be one by its meta-schema.
    pub(crate) fn of(schema: &Value) -> Result<Self, SchemaFault> {
        let (nodes, patterns) = build::nodes(schema)?;
        let order = in_place_order(&nodes)?;
        let mut rank = vec![0; nodes.len()];
        for (place, node) in order.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*node) {
                *rank = place;
            }
        }
        let renamed = |at: &usize| rank.get(*at).copied().unwrap_or_default();
        let mut ranked = vec![Node::default(); nodes.len()];
        for (at, node) in nodes.into_iter().enumerate() {
            if let Some(place) = ranked.get_mut(renamed(&at)) {
                *place = node.renamed(renamed);
            }
        }
        let mut graph = Self {
            nodes: ranked,
            root: renamed(&0),
            evaluations_per_value: None,
            patterns,
        };
        graph.check_in_place()?;
        graph.evaluations_per_value = graph.evaluations();
        Ok(graph)
    }

    /// Refuses what would take too long, or go too deep, for a single value already.
    fn check_in_place(&self) -> Result<(), SchemaFault> {
        let mut known = vec![(0_u64, 0_usize); self.nodes.len()];
        for (rank, node) in self.nodes.iter().enumerate().rev() {
            let (mut weight, mut depth) = (1_u64, 0);
            for inner in &node.in_place {
                let (more, below) = known.get(*inner).copied().unwrap_or_default();
                weight = weight.saturating_add(more);
                depth = depth.max(below + 1);
            }
            if weight > IN_PLACE_MAX {
                let rule = format!("applies more than {IN_PLACE_MAX} schemas to the same value");
                return Err(SchemaFault::at(&node.pointer, rule));
            }
            if depth > IN_PLACE_CHAIN_MAX {
                let rule = format!(
                    "leads through more than {IN_PLACE_CHAIN_MAX} schemas that apply to the same \
                     value"
                );
                return Err(SchemaFault::at(&node.pointer, rule));
            }
            if let Some(place) = known.get_mut(rank) {
                *place = (weight, depth);
            }
        }
        Ok(())
    }

    /// Evaluations for one value at most, if there is an end to them.
    fn evaluations(&self) -> Option<u64> {
        let order = order(&self.nodes, Node::all).ok()?;
        let mut known = vec![0_u64; self.nodes.len()];
        for at in order.into_iter().rev() {
            let node = self.nodes.get(at)?;
            let inner = node.all().filter_map(|inner| known.get(inner));
            let sum = inner.fold(node.own, |sum, inner| sum.saturating_add(*inner));
            *known.get_mut(at)? = sum;
        }
        known.get(self.root).copied()
    }
}

// === impl Node ===

impl Node {
    /// Everything that it leads to.
    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        let lists = [
            &self.in_place,
            &self.other_properties,
            &self.every_property,
            &self.prefix,
            &self.every_item,
        ];
        let listed = lists.into_iter().flatten();
        listed.chain(self.properties.values()).copied()
    }

    fn renamed(mut self, name: impl Fn(&usize) -> usize) -> Self {
        let lists = [
            &mut self.in_place,
            &mut self.other_properties,
            &mut self.every_property,
            &mut self.prefix,
            &mut self.every_item,
        ];
        for at in lists.into_iter().flatten() {
            *at = name(at);
        }
        for at in self.properties.values_mut() {
            *at = name(at);
        }
        self
    }
}

fn in_place_order(nodes: &[Node]) -> Result<Vec<usize>, SchemaFault> {
    order(nodes, |node| node.in_place.iter().copied()).map_err(|stuck| {
        let pointer = nodes.get(stuck).map(|node| node.pointer.as_str());
        let rule = "applies to a value because it applies to that value, without an end";
        SchemaFault::at(pointer.unwrap_or_default(), rule)
    })
}

/// Brings the nodes into an order in which each stands before those that it leads to; else names one
/// that leads to itself.
fn order<'n, Led>(
    nodes: &'n [Node],
    leads_to: impl Fn(&'n Node) -> Led,
) -> Result<Vec<usize>, usize>
where
    Led: Iterator<Item = usize>,
{
    let mut incoming = vec![0_usize; nodes.len()];
    for to in nodes.iter().flat_map(&leads_to) {
        if let Some(count) = incoming.get_mut(to) {
            *count += 1;
        }
    }
    let free = |(at, count): (usize, &usize)| (*count == 0).then_some(at);
    let mut order: Vec<usize> = incoming.iter().enumerate().filter_map(free).collect();
    let mut next = 0;
    while let Some(node) = order.get(next).and_then(|at| nodes.get(*at)) {
        next += 1;
        for to in leads_to(node) {
            if let Some(count) = incoming.get_mut(to) {
                *count -= 1;
                if *count == 0 {
                    order.push(to);
                }
            }
        }
    }
    match incoming.iter().position(|count| *count > 0) {
        Some(stuck) => Err(stuck),
        None => Ok(order),
    }
}
