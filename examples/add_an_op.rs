//! How to add an operation: hard swish, y = x · clamp(x + 3, 0, 6) / 6, from its kernel to its checks.
//!
//! cargo run --example add_an_op
//!
//! Inside the crate, the four parts below are in four files that share a name, and nothing else changes:
//!
//! 1. `shaders/<op>.wgsl`: the kernel;
//! 2. `src/engine/reference/<op>.rs`: the same formula in f64 on the CPU, with the same variable names;
//! 3. `src/engine/ops/<op>.rs`: shape rule, gradient, launch, and the tensor method;
//! 4. a row in `tests/ops/table.rs`, which adds every check that `main` does here by hand.

use std::borrow::Cow;

use tagseg::engine::graph::{Backward, BackwardError, DType, Graph, Op, Tensor, TensorType};
use tagseg::engine::kernel::{Launch, LaunchContext, Launches, Shader, Slot};
use tagseg::engine::reference::Array;
use tagseg::{Result, Session};

/// 1. The kernel. Binding 0 holds the launch's parameters, the others the slots in `Launch::bind`, in the order of
///    `#read` and `#write`, which define functions to load and store elements. `#if` keeps lines for the variants that
///    define a name: here, one text contains the function and its gradient.
const KERNEL: &str = r#"
// Hard swish of x [N]:  y[i] = x[i] · clamp(x[i] + 3, 0, 6) / 6
//
// One invocation per element. Nothing is shared, so the order of execution does not matter.
#include "common/index.wgsl"

// The start of a piece of a long launch follows the parameters of the op.
struct Params { count: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<f32>
#if GRADIENT
#read grad: array<f32>
#write grad_x: array<f32>
#else
#write y: array<f32>
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.count { return; }
    let x = load_x(i);
#if GRADIENT
    // The slope: 0 on the left, 1 on the right, (2x + 3) / 6 between the two.
    let slope = select(select((2.0 * x + 3.0) / 6.0, 1.0, x > 3.0), 0.0, x < -3.0);
    store_grad_x(i, load_grad(i) * slope);
#else
    store_y(i, x * clamp(x + 3.0, 0.0, 6.0) / 6.0);
#endif
}
"#;

/// 2. The reference on the CPU: plain f64, with which the kernel is compared.
fn hard_swish(x: f64) -> f64 {
    x * (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn hard_swish_slope(x: f64) -> f64 {
    match x {
        x if x < -3.0 => 0.0,
        x if x > 3.0 => 1.0,
        x => (2.0 * x + 3.0) / 6.0,
    }
}

/// 3. The op. It describes its launch as data and does not access a device.
#[derive(Debug)]
struct HardSwish;

/// Its gradient is a separate op with the inputs x and the gradient of y.
#[derive(Debug)]
struct HardSwishGradient;

/// Both run the same kernel over all elements.
fn launch(context: &LaunchContext<'_>) -> Launch {
    let count = context.output.shape.len();
    // Inside the crate: `shader!("hard_swish")`.
    let shader = Shader { name: "hard_swish", source: Cow::Borrowed(KERNEL) };
    Launch::new(shader, count, 1).uints(&[count])
}

impl Op for HardSwish {
    fn name(&self) -> &'static str {
        "hard_swish"
    }

    // The shape rule. A reason given here reaches the user with the operands' shapes and the caller's line.
    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs {
            [x] if x.dtype == DType::F32 => Ok((*x).clone()),
            _ => Err("takes one real tensor".into()),
        }
    }

    // The gradient is recorded like everything else, so that it can be fused, planned and differentiated.
    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(Tensor::record(HardSwishGradient, &[&context.inputs[0], context.grad])?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        launch(context).bind(&[Slot::Input(0), Slot::Output]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![Array::from_fn(&inputs[0].shape, |i| hard_swish(inputs[0].data[i]))]
    }
}

impl Op for HardSwishGradient {
    fn name(&self) -> &'static str {
        "hard_swish_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    // No `backward`: a second derivative is an error when it is recorded, never a silent zero.

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        launch(context).define("GRADIENT", 1).bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (x, grad) = (inputs[0], inputs[1]);
        vec![Array::from_fn(&x.shape, |i| grad.data[i] * hard_swish_slope(x.data[i]))]
    }
}

/// The tensor method for models.
trait HardSwishExt {
    fn hard_swish(&self) -> Result<Tensor>;
}

impl HardSwishExt for Tensor {
    #[track_caller]
    fn hard_swish(&self) -> Result<Tensor> {
        Tensor::record(HardSwish, &[self])
    }
}

/// The results of a run: y, the objective Σ 2.5 · y², and its gradient with respect to x.
struct Results {
    y: Vec<f64>,
    objective: f64,
    gradient: Vec<f64>,
}

fn run(session: &Session, values: &[f64]) -> Result<Results> {
    let graph = Graph::new();
    let x = graph.input("x", [values.len()], DType::F32);
    let y = x.hard_swish()?;
    // In mid-graph, and weighted: a gradient must not assume that it is the last op.
    let objective = y.mul(&y)?.sum_all()?.scale(2.5)?;
    let gradient = graph.gradients(&objective, std::slice::from_ref(&x))?.remove(0);
    let mut program = session.compile(&graph, &[&y, &objective, &gradient])?;
    program.write(&x, values)?;
    program.run()?;
    Ok(Results { y: program.read(&y)?, objective: program.read(&objective)?[0], gradient: program.read(&gradient)? })
}

/// 4. The checks.
pub fn main() -> Result<()> {
    // An odd number of elements on both sides of both bends, and on neither.
    let values: Vec<f64> = (0..77).map(|i| f64::from(i) / 8.0 - 4.7).collect();
    let reference = Session::open("reference")?;
    let want = run(&reference, &values)?;

    // The gradient against central differences, in f64, where they are accurate.
    let eps = 1e-6;
    for i in 0..values.len() {
        let objective = |step: f64| -> Result<f64> {
            let mut moved = values.clone();
            moved[i] += step;
            Ok(run(&reference, &moved)?.objective)
        };
        let difference = (objective(eps)? - objective(-eps)?) / (2.0 * eps);
        assert!((difference - want.gradient[i]).abs() <= 1e-5 + 1e-3 * difference.abs(), "gradient of element {i}");
    }

    // The kernel against its reference.
    let device = Session::open("auto")?;
    let got = run(&device, &values)?;
    let worst =
        |got: &[f64], want: &[f64]| got.iter().zip(want).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()));
    let (forward, backward) = (worst(&got.y, &want.y), worst(&got.gradient, &want.gradient));
    println!("hard_swish on {}: worst error {forward:.1e}, of the gradient {backward:.1e}", device.name());
    assert!(forward < 1e-6 && backward < 1e-4);

    // An example of an error.
    let integers = Graph::new().input("labels", [2, 3], DType::I32);
    match integers.hard_swish() {
        Err(error) => println!("{error}"),
        Ok(_) => unreachable!("the shape rule takes real tensors only"),
    }
    Ok(())
}
