//! The single ops of training steps, on which kernel variants are measured.

use std::fmt;
use std::sync::Arc;

use crate::config::Config;
use crate::engine::graph::{DType, Graph, NodeId, Op, Storage, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches, Pace, Target};
use crate::engine::reference::random::noise;
use crate::engine::reference::square_error;
use crate::engine::session::{Program, Session};
use crate::error::Result;
use crate::method::{Methods, Schedule, Sizes, Step};
use crate::parts::network::NetworkConfig;

/// Foreground classes and tag slots of the steps, those of PASCAL VOC.
const CLASSES: usize = 20;
const SLOTS: usize = 8;

/// The kernel that multiplies halves without a conversion.
const PRODUCT_OF_HALVES: &str = "matmul_coop_half";

/// An op on operands of certain shapes, and how often a step runs it.
pub(super) struct Case {
    op: Arc<dyn Op>,
    inputs: Vec<TensorType>,
    output: TensorType,
    /// Whether the first two operands are stored in half precision, as in label passes of mixed precision.
    pub(super) halves: bool,
    count: usize,
}

/// A variant's times, and its squared error relative to the sum of squares.
pub(super) struct Timed {
    /// Seconds of one run in each round, times the number of runs per step.
    pub(super) seconds: Vec<f64>,
    pub(super) error: f64,
}

/// Adds the ops of a training step with all losses that have no side effects and real inputs, and those of them whose
/// operands are halves if the step is one in mixed precision.
pub(super) fn collect(config: &Config, cases: &mut Vec<Case>) -> Result<()> {
    let mut mixed = config.clone();
    mixed.set("train.precision=mixed")?;
    collect_of(config, false, cases)?;
    collect_of(&mixed, true, cases)
}

/// Adds the ops of one step, or only those on halves.
fn collect_of(config: &Config, halves: bool, cases: &mut Vec<Case>) -> Result<()> {
    let (method, network) = (Methods::default().of(config)?, NetworkConfig::new(config, CLASSES)?);
    let phase = Schedule::new(&method, config, &network.encoder).phase(config.train_iters - 1);
    let sizes = Sizes { batch: config.batch_global, crop: [config.train_crop; 2], slots: SLOTS };
    let step = Step::record(&method, config, &network, &phase, sizes, true)?;
    step.update()?;
    let nodes = step.graph.nodes();
    let live = step.graph.live(&[]);
    for node in nodes.iter().zip(live).filter_map(|(node, live)| live.then_some(node)) {
        let Some(op) = node.op().filter(|op| op.mutates().is_empty() && !op.is_alias()) else { continue };
        let inputs: Vec<_> = node.inputs.iter().map(|input| nodes[input.0].ty.clone()).collect();
        let is_half = |input: &NodeId| nodes[input.0].storage != Storage::Whole;
        if halves && !node.inputs.get(..2).is_some_and(|operands| operands.iter().all(is_half)) {
            continue;
        }
        let same = |case: &Case| case.halves == halves && case.inputs == inputs;
        let known = |case: &&mut Case| same(case) && format!("{:?}", case.op) == format!("{op:?}");
        if let Some(case) = cases.iter_mut().find(known) {
            case.count += 1;
        } else if inputs.iter().all(|input| input.dtype == DType::F32) {
            cases.push(Case { op: op.clone(), inputs, output: node.ty.clone(), halves, count: 1 });
        }
    }
    Ok(())
}

impl Case {
    fn launches(&self, target: Target) -> Launches {
        let inputs: Vec<_> = self.inputs.iter().collect();
        let target = if self.halves { target.of_halves(&[true; 2]) } else { target };
        self.op.launches(&LaunchContext { inputs: &inputs, output: &self.output, target })
    }

    /// Whether the choice of the variant changes its launches.
    pub(super) fn depends(&self, targets: &[(String, Target)]) -> bool {
        // How halves are converted is a matter of the plan.
        let launched = |target: &Target| {
            let launches = self.launches(*target);
            let converts =
                launches.list.iter().any(|launch| !launch.fours.is_empty() && launch.shader.name != PRODUCT_OF_HALVES);
            let conversion = (self.halves && converts).then(|| target.conversion());
            (launches, conversion)
        };
        let mut all = targets.iter().map(|(_, target)| launched(target));
        all.next().is_some_and(|first| all.any(|other| other != first))
    }

    /// The bytes of its largest operand.
    pub(super) fn largest(&self) -> u64 {
        self.inputs.iter().chain([&self.output]).map(TensorType::bytes).max().unwrap_or(0)
    }

    /// The work of all its runs per step.
    pub(super) fn weight(&self, target: Target) -> u64 {
        let operations = self.launches(target).list.iter().map(|launch| launch.operations).sum();
        let traffic = self.inputs.iter().chain([&self.output]).map(TensorType::bytes).sum();
        self.count as u64 * Pace::default().time(operations, traffic)
    }

    /// Runs it under all targets in turn, after a warm-up run; the values are compared with those
    /// under the first.
    pub(super) fn measure(&self, session: &Session, targets: &[(String, Target)], rounds: usize) -> Result<Vec<Timed>> {
        let graph = Graph::new();
        let inputs: Vec<_> = self.inputs.iter().map(|ty| graph.input("x", ty.shape.clone(), ty.dtype)).collect();
        let mut operands = inputs.clone();
        if self.halves {
            // Inputs are in full precision: round them.
            for operand in &mut operands[..2] {
                *operand = graph.stored(Storage::Half, || operand.scale(1.0))?;
            }
        }
        let output = Tensor::record_again(self.op.clone(), &operands.iter().collect::<Vec<_>>())?;
        let mut programs: Vec<Program> = Vec::new();
        let (mut timed, mut plain) = (Vec::new(), None);
        for (_, target) in targets {
            let mut program = session.fresh().aimed_at(*target).compile(&graph, &[&output])?;
            for (seed, input) in (0..).zip(&inputs) {
                program.write(input, &noise(seed, input.shape().len()))?;
            }
            program.run()?;
            let values = program.read(&output)?;
            let error = square_error(&values, plain.get_or_insert_with(|| values.clone()));
            timed.push(Timed { seconds: Vec::new(), error });
            programs.push(program);
        }
        for round in 0..rounds {
            // Rotate the order, so that no target is first in every round.
            for index in (0..targets.len()).map(|place| (place + round) % targets.len()) {
                let profile = programs[index].profile()?;
                let own = profile.iter().filter(|dispatch| dispatch.op == self.op.name());
                let seconds: f64 = own.map(|dispatch| dispatch.seconds).sum();
                timed[index].seconds.push(self.count as f64 * seconds);
            }
        }
        Ok(timed)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operands: Vec<_> = self.inputs.iter().map(|ty| format!("{ty:?}")).collect();
        let stored = if self.halves { ", two in halves" } else { "" };
        write!(f, "{} of {}{stored}", self.op.name(), operands.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::kernel::Kernels;

    /// The cases of a step of `nano`.
    fn cases() -> Vec<Case> {
        let mut config = Config::preset("nano").unwrap();
        config.set("train.crop=64").unwrap();
        let mut cases = Vec::new();
        collect(&config, &mut cases).unwrap();
        cases
    }

    /// Protects: every step has ops for most choices, and the same op on the same shapes is one case.
    #[test]
    fn a_step_is_a_set_of_cases() {
        let cases = cases();
        let name = |case: &Case| format!("{:?} {:?} {}", case.op, case.inputs, case.halves);
        let names: Vec<_> = cases.iter().map(name).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), cases.len());
        let products = cases.iter().filter(|case| case.op.name() == "matmul");
        assert!(products.map(|case| case.count).max() > Some(4));
    }

    /// Protects: the choice of products of halves has cases, and they are label passes of mixed precision.
    #[test]
    fn products_of_halves_are_cases() {
        let mut cases = cases();
        let choosing = |variant: &str| {
            let kernels = Kernels::GRAPHICS.choosing("product_of_halves", variant).unwrap();
            (variant.to_owned(), Target::from(kernels))
        };
        let targets = [choosing("as f32"), choosing("coop")];
        cases.retain(|case| case.depends(&targets));
        assert!(cases.iter().any(|case| case.op.name() == "matmul"));
        assert!(cases.iter().all(|case| case.halves));
    }
}
