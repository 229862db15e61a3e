//! Trading time for memory: values that the gradient recomputes, chosen by cost, until a plan is within a
//! limit.

use super::bytes::mebibytes;
use super::fault::SMALLER;
use super::plan::Plan;
use super::precision;
use super::schedule::Schedule;
use crate::engine::graph::{Graph, Kind, NodeId};
use crate::engine::kernel::{LaunchContext, Target};
use crate::error::{Error, Result};

/// Rounds of choosing.
const ROUNDS: usize = 64;

/// Operations that a device performs in the time of moving a byte: some tens on graphics cards.
const OPERATIONS_A_BYTE: f64 = 16.0;

impl Plan {
    /// As [`Plan::new`], within `limit` bytes: if the plan takes more, the gradient recomputes the values
    /// that are cheapest for their size. The choice depends only on the graph, and a value recomputed
    /// by the same kernel has the same bits.
    ///
    /// # Errors
    /// [`Error::Memory`] with the smallest plan that was found, if none is within the limit.
    pub fn within(graph: &Graph, outputs: &[NodeId], target: Target, limit: u64) -> Result<Plan> {
        let schedule = precision::schedule(graph, outputs, target);
        let wait = Waiting::new(&schedule, target);
        let mut best = Plan::of(&schedule, target);
        let mut again = vec![false; schedule.nodes.len()];
        let mut costly = vec![false; schedule.nodes.len()];
        for _ in 0..ROUNDS {
            if best.bytes() <= limit {
                return Ok(best);
            }
            // In parts of the excess: a choice may turn out to be unnecessary.
            let chosen = wait.choose(&again, &costly, (best.bytes() - limit).div_ceil(4));
            if chosen.is_empty() {
                break;
            }
            let mut more = again.clone();
            chosen.iter().flatten().for_each(|&node| more[node] = true);
            let plan = Plan::of(&schedule.recomputing(&more), target);
            if plan.bytes() < best.bytes() {
                (best, again) = (plan, more);
            } else {
                chosen.iter().for_each(|group| costly[group[0]] = true);
            }
        }
        let (needed, allowed) = (mebibytes(best.bytes()), mebibytes(limit));
        let reason = format!("the plan needs {needed:.1} MiB, but the limit is {allowed:.1} MiB");
        Err(Error::Memory { reason, remedy: format!("raise train.memory, or {SMALLER}") })
    }
}

/// The cost of computing a node, in operations.
fn cost(schedule: &Schedule, index: usize, target: Target) -> f64 {
    let node = &schedule.nodes[index];
    let Some(op) = node.op().filter(|op| !op.is_alias()) else { return 0.0 };
    let types: Vec<_> = node.inputs.iter().map(|input| &schedule.nodes[input.0].ty).collect();
    let context = LaunchContext { inputs: &types, output: &node.ty, target };
    let operations: u64 = op.dispatches(&context).list.iter().map(|launch| launch.operations).sum();
    let read = node.inputs.iter().map(|input| schedule.bytes(input.0));
    let bytes = read.sum::<u64>() + schedule.bytes(index);
    operations as f64 + OPERATIONS_A_BYTE * bytes as f64
}

/// Dependencies between the forward pass and the gradient.
struct Waiting<'a> {
    schedule: &'a Schedule,
    /// The last node of the gradient that reads a value of the forward pass, by itself or under another shape.
    last: Vec<Option<usize>>,
    /// The first update of every state.
    updated: Vec<usize>,
    /// Every node's other shapes, which share its storage.
    aliases: Vec<Vec<usize>>,
    /// The cost of computing every node, in operations.
    cost: Vec<f64>,
}

/// Most values that are recomputed for one value.
const GROUP: usize = 48;

impl<'a> Waiting<'a> {
    fn new(schedule: &'a Schedule, target: Target) -> Self {
        let nodes = &schedule.nodes;
        let (mut last, mut updated) = (vec![None; nodes.len()], vec![usize::MAX; nodes.len()]);
        let mut aliases = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            for input in node.inputs.iter().filter(|_| node.gradient) {
                last[input.0] = Some(index);
            }
            for &slot in node.op().map_or(&[][..], |op| op.mutates()) {
                let state = node.inputs[slot].0;
                updated[state] = updated[state].min(index);
            }
        }
        for (index, node) in nodes.iter().enumerate().rev() {
            if node.op().is_some_and(|op| op.is_alias()) {
                let source = node.inputs[0].0;
                last[source] = last[source].max(last[index]);
                aliases[source].push(index);
            }
        }
        let cost = (0..nodes.len()).map(|index| cost(schedule, index, target)).collect();
        Waiting { schedule, last, updated, aliases, cost }
    }

    /// Values that are not yet computed `again`, with those that must be computed for them: those that cost least for
    /// their size, until together they hold `bytes`. Values once found too `costly` are skipped.
    fn choose(&self, again: &[bool], costly: &[bool], bytes: u64) -> Vec<Vec<usize>> {
        let mut candidates: Vec<(f64, u64, Vec<usize>)> = Vec::new();
        for index in (0..again.len()).filter(|&index| self.is_kept(index) && !again[index] && !costly[index]) {
            let Some(group) = self.needed(index, again) else { continue };
            let size = self.schedule.bytes(index);
            let cost: f64 = group.iter().map(|&node| self.cost[node]).sum();
            candidates.push((cost / size as f64, size, group));
        }
        candidates.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.2[0].cmp(&other.2[0])));
        let mut held = 0;
        let enough = candidates.into_iter().take_while(|(_, size, _)| {
            let short = held < bytes;
            held += size;
            short
        });
        enough.map(|(.., group)| group).collect()
    }

    /// Whether the forward pass computes this value into its own buffer and the gradient reads it.
    fn is_kept(&self, index: usize) -> bool {
        let node = &self.schedule.nodes[index];
        let computed = node.op().is_some_and(|op| op.mutates().is_empty() && !op.is_alias() && op.exchange().is_none());
        computed && !node.gradient && self.last[index].is_some()
    }

    /// The value itself, and those that must be recomputed for it because they are not stored; `None` if that
    /// is too much, they come from other ranks, or a state that it needs has changed by then.
    fn needed(&self, index: usize, again: &[bool]) -> Option<Vec<usize>> {
        let until = self.last[index]?;
        let mut group = vec![index];
        let mut next = 0;
        while let Some(&node) = group.get(next) {
            for input in self.schedule.nodes[node].inputs.iter().map(|input| input.0) {
                let source = &self.schedule.nodes[input];
                match &source.kind {
                    Kind::State(_) if self.updated[input] < until => return None,
                    Kind::Op(op) if !op.mutates().is_empty() => return None,
                    Kind::Op(op) => {
                        let stored = self.last[input].is_some() && !op.is_alias();
                        if !stored && op.exchange().is_some() {
                            return None;
                        }
                        // A view shows its state as it is when it is read, also if it is computed again already.
                        let settled = stored || (again[input] && !op.is_alias());
                        if !settled && !group.contains(&input) {
                            group.push(input);
                        }
                    }
                    _ => {}
                }
            }
            if group.len() > GROUP {
                return None;
            }
            next += 1;
        }
        // Other shapes of recomputed values are recomputed, too.
        next = 0;
        while next < group.len() {
            for other in &self.aliases[group[next]] {
                if !group.contains(other) {
                    group.push(*other);
                }
            }
            next += 1;
        }
        Some(group)
    }
}
