//! The order in which the nodes of a graph run.

use std::collections::HashMap;

use crate::engine::graph::{Graph, Kind, Node, NodeId, root};

/// The live nodes of `graph` in the order in which they run: nodes that [hoisted](crate::engine::graph::Tensor::hoist)
/// values need come first, the rest after them, both in recorded order. Reads and updates of a state keep their
/// recorded order. Exchanges with other ranks come as soon as there is something to send.
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
    with_early_exchanges(nodes, &[first, rest].concat())
}

/// The same order, but exchanges with other ranks, and what is computed only to be sent, run as soon as their operands are
/// there. Nothing runs later than it did.
fn with_early_exchanges(nodes: &[Node], order: &[usize]) -> Vec<usize> {
    // Among updates of the state, another place would give it another value.
    let is_state = |input: &NodeId| matches!(nodes[root(nodes, *input).0].kind, Kind::State(_));
    let reads_state = |index: usize| nodes[index].inputs.iter().any(is_state);
    // Whether a value has readers, and all of them are early.
    let mut sent = vec![None; nodes.len()];
    let mut early = vec![false; nodes.len()];
    for &index in order.iter().rev() {
        let Some(op) = nodes[index].op() else { continue };
        let wanted = op.exchange().is_some() || (sent[index] == Some(true) && op.mutates().is_empty());
        early[index] = wanted && !reads_state(index);
        for input in &nodes[index].inputs {
            sent[input.0] = Some(early[index] && sent[input.0] != Some(false));
        }
    }
    // How many operands of an early node are missing, and the early nodes that read a value.
    let mut missing = vec![0; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for &index in order.iter().filter(|&&index| early[index]) {
        missing[index] = nodes[index].inputs.len();
        nodes[index].inputs.iter().for_each(|input| readers[input.0].push(index));
    }
    let mut ordered: Vec<usize> = Vec::with_capacity(order.len());
    for &index in order.iter().filter(|&&index| !early[index]) {
        let mut next = ordered.len();
        ordered.push(index);
        while let Some(&done) = ordered.get(next) {
            next += 1;
            for &reader in &readers[done] {
                missing[reader] -= 1;
                if missing[reader] == 0 {
                    ordered.push(reader);
                }
            }
        }
    }
    ordered
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
    use crate::engine::graph::DType;
    use crate::engine::ops::pack::Packed;

    /// Protects: exchanges begin when the last value that they send is there, one after another where one sends what another
    /// received; but what they send of a state is its value at their place among updates.
    #[test]
    fn exchanges_come_early() {
        let graph = Graph::new();
        let (x, state) = (graph.input("x", [4], DType::F32), graph.state("state", [4]));
        let sent = [x.exp().unwrap(), x.neg().unwrap()];
        let later = x.sigmoid().unwrap();
        state.assign(&later).unwrap();
        let packed = Packed::new(&sent).unwrap();
        let received = packed.values()[0].sum_ranks(2).unwrap();
        let again = received.gather_ranks(2).unwrap();
        let of_state = state.reshape([2, 2]).unwrap().sum_ranks(2).unwrap();
        let read = [again, of_state, later].map(|tensor| tensor.id());
        let nodes = graph.nodes();
        let order = order(&graph, &nodes, &graph.live(&read));
        let names = order.iter().filter_map(|&index| nodes[index].op());
        let names: Vec<_> = names.filter(|op| !op.is_alias()).map(|op| op.name()).collect();
        let names = names.join(" ");
        assert_eq!(names, "exp neg pack sum_ranks gather_ranks sigmoid assign sum_ranks");
    }

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
