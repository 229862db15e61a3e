//! The order in which the nodes of a graph run.

use std::collections::HashMap;

use crate::engine::graph::{Graph, Kind, Node, NodeId};

/// The live nodes of `graph` in the order in which they run: nodes that [hoisted](crate::engine::graph::Tensor::hoist)
/// values need come first, the rest after them, both in recorded order. Reads and updates of a state keep their
/// recorded order.
pub(super) fn order(graph: &Graph, nodes: &[Node], live: &[bool]) -> Vec<usize> {
    let waits = updates_before(nodes, live);
    let mut early = vec![false; nodes.len()];
    for NodeId(index) in graph.hoisted() {
        early[index] = live[index];
    }
    for index in (0..nodes.len()).rev().filter(|&index| live[index]) {
        if early[index] {
            nodes[index].inputs.iter().for_each(|input| early[input.0] = true);
            waits.get(&index).into_iter().flatten().for_each(|&other| early[other] = true);
        }
    }
    let (first, rest) = (0..nodes.len()).filter(|&index| live[index]).partition::<Vec<_>, _>(|&index| early[index]);
    [first, rest].concat()
}

/// For every node that reads or updates a state, the nodes that must have run before because they update or read it.
fn updates_before(nodes: &[Node], live: &[bool]) -> HashMap<usize, Vec<usize>> {
    let mut waits: HashMap<usize, Vec<usize>> = HashMap::new();
    // The last update of every state, and its readers since.
    let mut updates: HashMap<NodeId, usize> = HashMap::new();
    let mut readers: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
        let mutated = node.op().map_or(&[][..], |op| op.mutates());
        for (slot, &input) in node.inputs.iter().enumerate() {
            if !matches!(nodes[input.0].kind, Kind::State(_)) {
                continue;
            }
            waits.entry(index).or_default().extend(updates.get(&input));
            if mutated.contains(&slot) {
                waits.entry(index).or_default().extend(readers.remove(&input).into_iter().flatten());
                updates.insert(input, index);
            } else {
                readers.entry(input).or_default().push(index);
            }
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: a hoisted value moves before nodes that it does not need; updates of a state and its readers keep
    /// their order.
    #[test]
    fn hoisting_keeps_the_order_of_updates() {
        let graph = Graph::new();
        let (first, second) = (graph.state("first", [4]), graph.state("second", [4]));
        let unrelated = first.exp().unwrap().sum_all().unwrap();
        first.assign(&second).unwrap();
        let after = first.neg().unwrap();
        second.assign(&after).unwrap();
        let label = second.abs().unwrap();
        label.hoist();
        let nodes = graph.nodes();
        let order = order(&graph, &nodes, &graph.live(&[unrelated.id(), label.id()]));
        let place = |name: &str, of: usize| {
            let named = |&&index: &&usize| nodes[index].op().is_some_and(|op| format!("{op:?}").contains(name));
            let found = order.iter().filter(named).nth(of).unwrap();
            order.iter().position(|index| index == found).unwrap()
        };
        let [exp, first, negate, second, label] =
            [("Exp", 0), ("Assign", 0), ("Negate", 0), ("Assign", 1), ("Abs", 0)].map(|(name, of)| place(name, of));
        // The label reads the results of two updates, which must follow the readers of the old values.
        assert!(exp < first && first < negate && negate < second && second < label, "{order:?} of {graph:?}");
        // The rest of the unrelated value comes last.
        assert!(label < place("Sum", 0), "{order:?} of {graph:?}");
    }
}
