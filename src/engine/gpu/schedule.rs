//! The input of a plan: the nodes that run, in their order, some of them more than once.

use std::collections::HashMap;

use super::order::order;
use crate::engine::graph::{Graph, Node, NodeId};

/// The node whose storage each of `nodes` has: aliases share that of what they rename.
pub(super) fn roots(nodes: &[Node]) -> Vec<usize> {
    let mut root: Vec<usize> = (0..nodes.len()).collect();
    for (index, node) in nodes.iter().enumerate() {
        if node.op().is_some_and(|op| op.is_alias()) {
            root[index] = root[node.inputs[0].0];
        }
    }
    root
}

/// The nodes that run, numbered in their order.
#[derive(Clone)]
pub(super) struct Schedule {
    /// The nodes; operands are numbers of this list.
    pub(super) nodes: Vec<Node>,
    /// The node of the graph that each stands for. A node that runs twice is listed twice.
    pub(super) origin: Vec<NodeId>,
    /// Values that can be read afterwards.
    pub(super) outputs: Vec<NodeId>,
    /// Whether a node's value is stored in half precision.
    pub(super) half: Vec<bool>,
    /// Nodes of the graph.
    pub(super) recorded: usize,
}

impl Schedule {
    /// The nodes that `outputs` and the updates of states need, with every value stored in full precision.
    pub(super) fn new(graph: &Graph, outputs: &[NodeId]) -> Self {
        let recorded = graph.nodes();
        let order = order(graph, &recorded, &graph.live(outputs));
        let mut number = HashMap::new();
        let mut nodes = Vec::with_capacity(order.len());
        for &index in &order {
            number.insert(NodeId(index), NodeId(nodes.len()));
            let inputs = recorded[index].inputs.iter().map(|input| number[input]).collect();
            nodes.push(Node { inputs, ..recorded[index].clone() });
        }
        let schedule = Schedule {
            half: vec![false; nodes.len()],
            nodes,
            outputs: outputs.iter().map(|output| number[output]).collect(),
            recorded: recorded.len(),
            origin: order.into_iter().map(NodeId).collect(),
        };
        schedule.with_old_views().with_kept_views()
    }

    /// The node whose storage each has: aliases share that of what they rename.
    pub(super) fn roots(&self) -> Vec<usize> {
        roots(&self.nodes)
    }

    /// Bytes of a node's value.
    pub(super) fn bytes(&self, index: usize) -> u64 {
        self.nodes[index].ty.bytes() / if self.half[index] { 2 } else { 1 }
    }

    /// The same computation, in which the gradient recomputes the values of `again` instead of storing them.
    /// Each runs again right before the gradient first needs it.
    pub(super) fn recomputing(&self, again: &[bool]) -> Self {
        let mut longer = Schedule {
            nodes: Vec::new(),
            origin: Vec::new(),
            outputs: Vec::new(),
            half: Vec::new(),
            recorded: self.recorded,
        };
        let (mut number, mut copies) = (vec![NodeId(0); self.nodes.len()], HashMap::new());
        for index in 0..self.nodes.len() {
            let inputs =
                self.nodes[index].inputs.iter().map(|input| match self.nodes[index].gradient && again[input.0] {
                    true => self.copy(*input, again, &mut longer, &number, &mut copies),
                    false => number[input.0],
                });
            let inputs = inputs.collect();
            number[index] = longer.push(self, index, inputs);
        }
        longer.outputs = self.outputs.iter().map(|output| number[output.0]).collect();
        longer
    }

    /// The second run of a node: an existing one, or a new one after the second runs of its inputs.
    fn copy(
        &self,
        node: NodeId,
        again: &[bool],
        longer: &mut Schedule,
        number: &[NodeId],
        copies: &mut HashMap<NodeId, NodeId>,
    ) -> NodeId {
        // A list of what is to be copied, not a recursion: a chain may be longer than the stack is deep.
        let mut open = vec![node];
        let mut last = number[node.0];
        while let Some(next) = open.pop() {
            if let Some(&copy) = copies.get(&next) {
                last = copy;
                continue;
            }
            let inputs = &self.nodes[next.0].inputs;
            if let Some(&first) = inputs.iter().find(|input| again[input.0] && !copies.contains_key(input)) {
                open.extend([next, first]);
                continue;
            }
            let inputs = inputs.iter().map(|input| copies.get(input).filter(|_| again[input.0]));
            let inputs = inputs.zip(&self.nodes[next.0].inputs).map(|(copy, input)| *copy.unwrap_or(&number[input.0]));
            let inputs = inputs.collect();
            last = longer.push(self, next.0, inputs);
            longer.nodes[last.0].gradient = true;
            copies.insert(next, last);
        }
        last
    }

    fn push(&mut self, from: &Schedule, index: usize, inputs: Vec<NodeId>) -> NodeId {
        self.append(Node { inputs, ..from.nodes[index].clone() }, from.origin[index], from.half[index])
    }

    /// Adds a node that stands for `origin`, and returns its number.
    pub(super) fn append(&mut self, node: Node, origin: NodeId, half: bool) -> NodeId {
        self.nodes.push(node);
        self.origin.push(origin);
        self.half.push(half);
        NodeId(self.nodes.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::DType;

    /// Protects: a chain that is longer than a stack is deep is recomputed, each value once and in order.
    #[test]
    fn long_chains_are_recomputed() {
        const LENGTH: usize = 30_000;
        let graph = Graph::new();
        let x = graph.input("x", [4], DType::F32);
        let mut y = x.clone();
        for _ in 0..LENGTH {
            y = y.sigmoid().unwrap();
        }
        let gradient = graph.gradients(&y.sum_all().unwrap(), &[x]).unwrap().remove(0);
        let schedule = Schedule::new(&graph, &[gradient.id()]);
        let again: Vec<_> = schedule.nodes.iter().map(|node| node.op().is_some() && !node.gradient).collect();
        let longer = schedule.recomputing(&again);
        assert!(longer.nodes.len() >= schedule.nodes.len() + LENGTH - 1);
        for (index, node) in longer.nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|input| input.0 < index));
        }
    }
}
