//! Views of states and inputs: other shapes of their storage, which show every change. A view that is read after an
//! update of its state must have the old value, as in the interpreter: then the plan reads a copy from before the
//! update. And a view that is an output keeps its value until the next run: the plan copies it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::schedule::Schedule;
use crate::engine::graph::{Chain, Function, Kind, Node, NodeId, Storage};
use crate::engine::ops::movement::copied;

/// Views and updates of the states in a schedule.
pub(super) struct Views {
    /// The state that a node is a view of, if it is one.
    state: Vec<Option<usize>>,
    /// The nodes that update each state, in order.
    updates: HashMap<usize, Vec<usize>>,
}

impl Views {
    /// Those among `nodes`.
    pub(super) fn of(nodes: &[Node]) -> Self {
        let mut views = Views { state: vec![None; nodes.len()], updates: HashMap::new() };
        for (index, node) in nodes.iter().enumerate() {
            let Some(op) = node.op() else { continue };
            if op.is_alias() {
                let source = node.inputs[0].0;
                let shows = matches!(nodes[source].kind, Kind::State(_)).then_some(source);
                views.state[index] = shows.or(views.state[source]);
            }
            for &slot in op.mutates() {
                views.updates.entry(node.inputs[slot].0).or_default().push(index);
            }
        }
        views
    }

    /// Whether a node is a view whose state is updated after `start` and before `end`.
    pub(super) fn is_updated(&self, view: usize, start: usize, end: usize) -> bool {
        let updates = self.state[view].and_then(|state| self.updates.get(&state));
        updates.is_some_and(|updates| updates.iter().any(|&update| start < update && update < end))
    }
}

impl Schedule {
    /// The same schedule, in which views that are read after an update of their state are copies of the old value.
    pub(super) fn with_old_views(self) -> Self {
        let views = Views::of(&self.nodes);
        if views.updates.is_empty() || views.state.iter().all(Option::is_none) {
            return self;
        }
        // After the last node that reads each view, directly or through another view.
        let mut end = vec![0; self.nodes.len()];
        self.outputs.iter().for_each(|output| end[output.0] = usize::MAX);
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let reads = if views.state[index].is_some() { end[index] } else { index + 1 };
            node.inputs.iter().for_each(|input| end[input.0] = end[input.0].max(reads));
        }
        let mut longer =
            Schedule { nodes: Vec::new(), origin: Vec::new(), outputs: Vec::new(), half: Vec::new(), ..self };
        let mut number: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        let mut copies = HashMap::new();
        for (index, node) in self.nodes.into_iter().enumerate() {
            let mut inputs: Vec<_> = node.inputs.iter().map(|input| number[input.0]).collect();
            let source = node.inputs.first().map(|input| input.0);
            let shown = source.filter(|source| views.state[index] == Some(*source));
            if let Some(state) = shown.filter(|_| views.is_updated(index, index, end[index])) {
                let before = views.updates[&state].partition_point(|&update| update < index);
                inputs[0] = *copies.entry((state, before)).or_insert_with(|| {
                    let ty = longer.nodes[inputs[0].0].ty.clone();
                    let kind = Kind::Op(Arc::new(Chain::single(Function::Copy)));
                    let copy = Node { kind, inputs: inputs.clone(), ty, storage: Storage::Whole, ..node.clone() };
                    longer.append(copy, self.origin[index], false)
                });
            }
            number.push(longer.append(Node { inputs, ..node }, self.origin[index], self.half[index]));
        }
        longer.outputs = self.outputs.iter().map(|output| number[output.0]).collect();
        longer
    }

    /// The same schedule, in which outputs that are views of inputs or states are copies.
    pub(super) fn with_kept_views(mut self) -> Self {
        let root = self.roots();
        let is_op = |index: usize| matches!(self.nodes[root[index]].kind, Kind::Op(_));
        let outputs = self.outputs.iter().map(|output| output.0);
        let views: BTreeSet<_> = outputs.filter(|&view| root[view] != view && !is_op(view)).collect();
        for view in views {
            let copy = Node {
                kind: Kind::Op(copied(self.nodes[view].ty.shape.rank())),
                inputs: vec![NodeId(view)],
                storage: Storage::Whole,
                ..self.nodes[view].clone()
            };
            // What is read afterwards is the copy.
            let of_root = self.origin[root[view]];
            let origin = std::mem::replace(&mut self.origin[view], of_root);
            let copy = self.append(copy, origin, false);
            self.outputs.iter_mut().filter(|output| output.0 == view).for_each(|output| *output = copy);
        }
        self
    }
}
