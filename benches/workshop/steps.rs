//! The kernels of the workshop as ops, which the engine runs like its own (see `examples/add_an_op.rs`).

use std::sync::Arc;

use tagseg::engine::graph::{DType, Graph, Op, Shape, Tensor, TensorType};
use tagseg::engine::kernel::{Launch, LaunchContext, Launches, Shader, Slot, WORKGROUP};
use tagseg::engine::reference::random::noise;
use tagseg::engine::reference::{Array, square_error};
use tagseg::{Error, Program, Result, Session};

/// A computation at a size n, with the steps of its kernel.
pub struct Problem {
    pub name: &'static str,
    operands: &'static [&'static str],
    /// Extents of every operand and of the result.
    pub shape: fn(usize) -> [usize; 2],
    /// Records the library's op.
    record: fn(&[Tensor]) -> Result<Tensor>,
    steps: &'static [Step],
    /// What the library's kernel adds to the last step.
    shipped: &'static str,
}

/// A step of the development.
#[derive(Debug)]
struct Step {
    file: &'static str,
    source: &'static str,
    /// The number of workgroups for a result of this shape.
    workgroups: fn(&Shape) -> usize,
    /// The invocations per subgroup that it needs, if it uses subgroups.
    subgroup: Option<usize>,
}

macro_rules! step {
    ($file:literal, $workgroups:expr) => {
        step!($file, $workgroups, None)
    };
    ($file:literal, $workgroups:expr, $subgroup:expr) => {
        Step { file: $file, source: include_str!($file), workgroups: $workgroups, subgroup: $subgroup }
    };
}

/// All problems.
pub const PROBLEMS: &[Problem] = &[
    Problem {
        name: "matmul",
        operands: &["a", "b"],
        shape: |n| [n, n],
        record: |operands| operands[0].matmul(&operands[1]),
        steps: &[
            step!("matmul/1_naive.wgsl", |out| out.len().div_ceil(WORKGROUP)),
            step!("matmul/2_workgroup_tile.wgsl", |out| out.len() / 256),
            step!("matmul/3_fours.wgsl", |out| (out.len() / 4).div_ceil(WORKGROUP)),
            step!("matmul/4_tile_4x4.wgsl", |out| (out.len() / 16).div_ceil(WORKGROUP)),
            step!("matmul/5_tile_8x8.wgsl", |out| (out.len() / 64).div_ceil(WORKGROUP)),
            step!("matmul/6_tile_16x16.wgsl", |out| (out.len() / 256).div_ceil(WORKGROUP)),
            step!("matmul/7_strips.wgsl", |out| (out.len() / 256).div_ceil(WORKGROUP)),
            step!("matmul/8_subgroup.wgsl", |out| (out.len() / 256).div_ceil(WORKGROUP), Some(8)),
        ],
        shipped: "9. the library's: any extents and layouts, batches, a bias",
    },
    Problem {
        name: "softmax",
        operands: &["x"],
        shape: |n| [4 * n, n / 4],
        record: |operands| operands[0].softmax(-1),
        steps: &[
            step!("softmax/1_tree.wgsl", |out| out[0]),
            step!("softmax/2_alone.wgsl", |out| out[0].div_ceil(WORKGROUP)),
            step!("softmax/3_fours.wgsl", |out| out[0].div_ceil(WORKGROUP)),
        ],
        shipped: "4. the library's: maximum and sum in one pass",
    },
];

/// The library's op, computed by a kernel of the workshop.
#[derive(Debug)]
struct Variant {
    shipped: Arc<dyn Op>,
    step: &'static Step,
}

impl Op for Variant {
    fn name(&self) -> &'static str {
        self.step.file
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.shipped.output(inputs)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let shader = Shader { name: self.step.file, source: self.step.source.into() };
        let shape = &context.output.shape;
        let operations = self.shipped.launches(context).list.iter().map(|launch| launch.operations as usize).sum();
        let slots: Vec<_> = (0..context.inputs.len()).map(Slot::Input).chain([Slot::Output]).collect();
        let launch = Launch::new(shader, WORKGROUP * (self.step.workgroups)(shape), 1);
        launch.uints(shape).operations(&[operations]).bind(&slots).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        self.shipped.reference(inputs)
    }
}

/// Largest squared error relative to the sum of squares, as in the tests of single ops.
const LIMIT: f64 = 1e-10;

impl Problem {
    /// Every step whose subgroups the device has, by its idea, ready to run at a size that is a multiple of 64, after a
    /// run whose values agreed with the interpreter's.
    ///
    /// # Errors
    /// [`Error::Device`] if a step computes other values.
    pub fn compile(&self, session: &Session, n: usize) -> Result<Vec<(&'static str, Program)>> {
        let graph = Graph::new();
        let [rows, columns] = (self.shape)(n);
        let input = |name: &&str| graph.input(name, [rows, columns], DType::F32);
        let operands: Vec<_> = self.operands.iter().map(input).collect();
        let last = (self.record)(&operands)?;
        let op = graph.nodes().pop().and_then(|node| node.op().cloned());
        let op = op.ok_or_else(|| Error::Graph(format!("{} records no op", self.name)))?;
        let mut steps = Vec::new();
        let subgroup = session.target().filter(|target| target.subgroup_products).map(|target| target.subgroup);
        for step in self.steps.iter().filter(|step| step.subgroup.is_none() || step.subgroup == subgroup) {
            let idea = step.source.lines().next().map_or(step.file, |line| line.trim_start_matches("// "));
            let variant = Variant { shipped: op.clone(), step };
            steps.push((idea, Tensor::record(variant, &operands.iter().collect::<Vec<_>>())?));
        }
        steps.push((self.shipped, last));

        let ran = |session: &Session, output: &Tensor| -> Result<_> {
            let mut program = session.compile(&graph, &[output])?;
            for (seed, operand) in (0..).zip(&operands) {
                program.write(operand, &noise(seed, rows * columns))?;
            }
            program.run()?;
            let values = program.read(output)?;
            Ok((program, values))
        };
        let (_, want) = ran(&Session::open("reference")?, &steps[0].1)?;
        let check = |(idea, output): (&'static str, Tensor)| {
            let (program, got) = ran(session, &output)?;
            let error = square_error(&got, &want);
            if error <= LIMIT {
                return Ok((idea, program));
            }
            let reason = format!("{} \"{idea}\": squared error {error:.0e}", self.name);
            Err(Error::device(reason, "fix the kernel, or update the driver"))
        };
        steps.into_iter().map(check).collect()
    }
}
