//! Functions of single elements, with broadcasting; chains of them are fused into one kernel.

use crate::error::Result;
use crate::graph::{
    Backward, BackwardError, DType, Launch, LaunchContext, Launches, Op, Shader, Shape, Slot, Tensor, TensorType,
};
use crate::reference::Array;

/// A function of one to three elements. Integers are taken as real numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Function {
    /// x
    Copy,
    /// x, as an integer
    ToInteger,
    /// −x
    Negate,
    /// c·x
    Scale(f64),
    /// x + c
    Offset(f64),
    /// eˣ
    Exp,
    /// ln x
    Log,
    /// √x
    Sqrt,
    /// |x|
    Abs,
    /// x truncated toward zero
    Truncate,
    /// max(x, 0)
    Relu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// ln σ(x), in the form that does not overflow
    LogSigmoid,
    /// x·Φ(x), erf form
    Gelu,
    /// Slope of [`Function::Gelu`]
    GeluSlope,
    /// a + b
    Add,
    /// a − b
    Subtract,
    /// a·b
    Multiply,
    /// a / b
    Divide,
    /// max(a, b)
    Maximum,
    /// min(a, b)
    Minimum,
    /// 1 where a = b, else 0
    Equal,
    /// 1 where a > b, else 0
    Greater,
    /// 1 where a ≥ b, else 0
    AtLeast,
    /// b where a ≠ 0, else c
    Select,
}

impl Function {
    /// Number of operands.
    fn arity(self) -> usize {
        use Function::*;
        match self {
            Copy | ToInteger | Negate | Scale(_) | Offset(_) | Exp | Log | Sqrt | Abs | Truncate | Relu | Sigmoid
            | LogSigmoid | Gelu | GeluSlope => 1,
            Add | Subtract | Multiply | Divide | Maximum | Minimum | Equal | Greater | AtLeast => 2,
            Select => 3,
        }
    }

    /// The constant, if the function has one.
    fn scalar(self) -> Option<f64> {
        match self {
            Function::Scale(c) | Function::Offset(c) => Some(c),
            _ => None,
        }
    }

    /// The WGSL expression on `args`, with the constant written `c`.
    fn wgsl(self, args: &[String], c: &str) -> String {
        use Function::*;
        let x = &args[0];
        let b = args.get(1).map_or("", String::as_str);
        match self {
            Copy | ToInteger => x.clone(),
            Negate => format!("-{x}"),
            Scale(_) => format!("{x} * {c}"),
            Offset(_) => format!("{x} + {c}"),
            Exp => format!("exp({x})"),
            Log => format!("log({x})"),
            Sqrt => format!("sqrt({x})"),
            Abs => format!("abs({x})"),
            Truncate => format!("trunc({x})"),
            Relu => format!("max({x}, V(0.0))"),
            Sigmoid => format!("sigmoid({x})"),
            LogSigmoid => format!("log_sigmoid({x})"),
            Gelu => format!("gelu({x})"),
            GeluSlope => format!("gelu_slope({x})"),
            Add => format!("{x} + {b}"),
            Subtract => format!("{x} - {b}"),
            Multiply => format!("{x} * {b}"),
            Divide => format!("{x} / {b}"),
            Maximum => format!("max({x}, {b})"),
            Minimum => format!("min({x}, {b})"),
            Equal => format!("select(V(0.0), V(1.0), {x} == {b})"),
            Greater => format!("select(V(0.0), V(1.0), {x} > {b})"),
            AtLeast => format!("select(V(0.0), V(1.0), {x} >= {b})"),
            Select => format!("select({}, {b}, {x} != V(0.0))", args[2]),
        }
    }

    /// The function in f64.
    pub fn evaluate(self, args: &[f64]) -> f64 {
        use Function::*;
        let x = args[0];
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            Copy | ToInteger => x,
            Negate => -x,
            Scale(c) => x * c,
            Offset(c) => x + c,
            Exp => x.exp(),
            Log => x.ln(),
            Sqrt => x.sqrt(),
            Abs => x.abs(),
            Truncate => x.trunc(),
            Relu => x.max(0.0),
            Sigmoid => 1.0 / (1.0 + (-x).exp()),
            LogSigmoid => x.min(0.0) - (-x.abs()).exp().ln_1p(),
            Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            GeluSlope => {
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) + x * density
            }
            Add => x + args[1],
            Subtract => x - args[1],
            Multiply => x * args[1],
            Divide => x / args[1],
            Maximum => x.max(args[1]),
            Minimum => x.min(args[1]),
            Equal => truth(x == args[1]),
            Greater => truth(x > args[1]),
            AtLeast => truth(x >= args[1]),
            Select => {
                if x != 0.0 {
                    args[1]
                } else {
                    args[2]
                }
            }
        }
    }
}

/// An operand of an [`Instruction`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Operand {
    /// An input of the op.
    Leaf(usize),
    /// The result of an earlier instruction.
    Value(usize),
}

/// One function applied inside a kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Instruction {
    /// What is computed.
    pub function: Function,
    /// From what.
    pub operands: Vec<Operand>,
}

/// A straight line of functions of broadcast inputs; as recorded a single one, after fusion a chain.
#[derive(Clone, PartialEq, Debug)]
pub struct Elementwise {
    /// The functions in order; the last gives the output.
    pub body: Vec<Instruction>,
}

/// Inputs of a fused kernel: WebGPU grants eight storage buffers, one of which is the output.
const MAX_LEAVES: usize = 7;
/// Constants of a fused kernel.
const MAX_SCALARS: usize = 16;
/// Functions of a fused kernel: longer chains compile slowly.
const MAX_BODY: usize = 24;

impl Elementwise {
    fn single(function: Function) -> Self {
        let operands = (0..function.arity()).map(Operand::Leaf).collect();
        Elementwise { body: vec![Instruction { function, operands }] }
    }

    fn scalars(&self) -> Vec<f64> {
        self.body.iter().filter_map(|instruction| instruction.function.scalar()).collect()
    }

    /// This chain with `producer` computed in place of leaf `leaf`, where the two have `leaves` and
    /// `producer_leaves` as inputs; `None` if the kernel would grow past its limits.
    ///
    /// Gives the chain and its inputs, each once.
    pub fn inline<T: Copy + PartialEq>(
        &self,
        leaves: &[T],
        leaf: usize,
        producer: &Elementwise,
        producer_leaves: &[T],
    ) -> Option<(Elementwise, Vec<T>)> {
        let mut inputs: Vec<T> = Vec::new();
        let mut index_of = |input: T| {
            inputs.iter().position(|&known| known == input).unwrap_or_else(|| {
                inputs.push(input);
                inputs.len() - 1
            })
        };
        let mut body = Vec::new();
        for instruction in &producer.body {
            let operands = instruction.operands.iter().map(|operand| match *operand {
                Operand::Leaf(index) => Operand::Leaf(index_of(producer_leaves[index])),
                value => value,
            });
            body.push(Instruction { function: instruction.function, operands: operands.collect() });
        }
        let produced = body.len();
        for instruction in &self.body {
            let operands = instruction.operands.iter().map(|operand| match *operand {
                Operand::Leaf(index) if leaves[index] == leaves[leaf] => Operand::Value(produced - 1),
                Operand::Leaf(index) => Operand::Leaf(index_of(leaves[index])),
                Operand::Value(index) => Operand::Value(index + produced),
            });
            body.push(Instruction { function: instruction.function, operands: operands.collect() });
        }
        let fused = Elementwise { body };
        let fits = inputs.len() <= MAX_LEAVES
            && fused.scalars().len() <= MAX_SCALARS
            && fused.body.len() <= MAX_BODY
            // An integer result must leave the chain to be rounded.
            && !producer.body.iter().any(|instruction| instruction.function == Function::ToInteger);
        fits.then_some((fused, inputs))
    }
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        "elementwise"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let mut shape = Shape::default();
        for input in inputs {
            shape = shape.broadcast(&input.shape).ok_or("the shapes do not broadcast")?;
        }
        if collapse(&shape, inputs).0.len() > 4 {
            return Err("broadcasts along more than four groups of axes".into());
        }
        let integer = self.body.last().is_some_and(|last| last.function == Function::ToInteger);
        Ok(TensorType { shape, dtype: if integer { DType::I32 } else { DType::F32 } })
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        use Function::*;
        let [Instruction { function, .. }] = &self.body[..] else { return Err(BackwardError::Undefined) };
        let (inputs, y, grad) = (context.inputs, context.output, context.grad);
        let x = &inputs[0];
        let parts = match *function {
            Copy => vec![grad.clone()],
            Negate => vec![grad.neg()?],
            Scale(c) => vec![grad.scale(c)?],
            Offset(_) => vec![grad.clone()],
            Exp => vec![grad.mul(y)?],
            Log => vec![grad.div(x)?],
            Sqrt => vec![grad.div(&y.scale(2.0)?)?],
            Abs => {
                let zero = x.graph().scalar(0.0);
                vec![grad.mul(&x.greater(&zero)?.sub(&zero.greater(x)?)?)?]
            }
            Relu => vec![grad.mul(&x.greater(&x.graph().scalar(0.0))?)?],
            Sigmoid => vec![grad.mul(y)?.mul(&y.neg()?.offset(1.0)?)?],
            LogSigmoid => vec![grad.mul(&x.neg()?.sigmoid()?)?],
            Gelu => vec![grad.mul(&Tensor::record(Elementwise::single(GeluSlope), &[x])?)?],
            Add => vec![grad.clone(), grad.clone()],
            Subtract => vec![grad.clone(), grad.neg()?],
            Multiply => vec![grad.mul(&inputs[1])?, grad.mul(x)?],
            Divide => vec![grad.div(&inputs[1])?, grad.mul(y)?.div(&inputs[1])?.neg()?],
            Maximum | Minimum => {
                let first = if *function == Maximum { x.at_least(&inputs[1])? } else { inputs[1].at_least(x)? };
                vec![grad.mul(&first)?, grad.mul(&first.neg()?.offset(1.0)?)?]
            }
            Select => {
                let zero = x.graph().scalar(0.0);
                let (yes, no) = (x.select(grad, &zero)?, x.select(&zero, grad)?);
                return Ok(vec![None, Some(yes.sum_to(inputs[1].shape())?), Some(no.sum_to(inputs[2].shape())?)]);
            }
            Equal | Greater | AtLeast => return Ok(vec![None, None]),
            ToInteger | Truncate => return Ok(vec![None]),
            GeluSlope => return Err(BackwardError::Undefined),
        };
        parts
            .into_iter()
            .zip(inputs)
            .zip(context.needed)
            .map(|((part, input), &needed)| match needed {
                true => Ok(Some(part.sum_to(input.shape())?)),
                false => Ok(None),
            })
            .collect()
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        launch(self, context).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let types: Vec<_> = inputs.iter().map(|input| TensorType::f32(&input.shape[..])).collect();
        let shape =
            types.iter().try_fold(Shape::default(), |shape, input| shape.broadcast(&input.shape)).unwrap_or_default();
        let strides: Vec<_> = types.iter().map(|input| input.shape.broadcast_strides(&shape)).collect();
        let mut coordinate = vec![0usize; shape.rank()];
        let mut values = vec![0.0; self.body.len()];
        let mut args = Vec::with_capacity(3);
        vec![Array::from_fn(&shape, |_| {
            for (index, instruction) in self.body.iter().enumerate() {
                args.clear();
                args.extend(instruction.operands.iter().map(|operand| match *operand {
                    Operand::Value(value) => values[value],
                    Operand::Leaf(leaf) => {
                        let at: usize = coordinate.iter().zip(&strides[leaf]).map(|(c, stride)| c * stride).sum();
                        inputs[leaf].data[at]
                    }
                }));
                values[index] = instruction.function.evaluate(&args);
            }
            for axis in (0..coordinate.len()).rev() {
                coordinate[axis] += 1;
                if coordinate[axis] < shape[axis] {
                    break;
                }
                coordinate[axis] = 0;
            }
            values[self.body.len() - 1]
        })]
    }

    fn elementwise(&self) -> Option<&Elementwise> {
        Some(self)
    }
}

/// Merges neighbouring axes that every input walks alike; gives the extents and, per input, its strides.
fn collapse(shape: &Shape, inputs: &[&TensorType]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let full: Vec<_> = inputs.iter().map(|input| input.shape.broadcast_strides(shape)).collect();
    let mut extents: Vec<usize> = Vec::new();
    let mut strides: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
    for axis in (0..shape.rank()).filter(|&axis| shape[axis] != 1) {
        let joins = !extents.is_empty()
            && full.iter().zip(&strides).all(|(full, own)| own[own.len() - 1] == full[axis] * shape[axis]);
        if joins {
            let last = extents.len() - 1;
            extents[last] *= shape[axis];
            for (full, own) in full.iter().zip(&mut strides) {
                own[last] = full[axis];
            }
        } else {
            extents.push(shape[axis]);
            for (full, own) in full.iter().zip(&mut strides) {
                own.push(full[axis]);
            }
        }
    }
    (extents, strides)
}

/// Writes the kernel of a chain. The text is made of `shaders/common/elementwise.wgsl` and one line per function.
fn launch(op: &Elementwise, context: &LaunchContext<'_>) -> Launch {
    use std::fmt::Write;

    let (extents, strides) = collapse(&context.output.shape, context.inputs);
    let n = context.output.shape.len();
    let inner = extents.last().copied().unwrap_or(1);
    let linear = |own: &[usize]| own.len() == 1 && own[0] == 1;
    let constant = |own: &[usize]| own.iter().all(|&stride| stride == 0);
    let plain = strides.iter().all(|own| linear(own) || constant(own));
    // Four neighbours at once: every input is contiguous or constant along the innermost axis, and aligned.
    let aligned = inner.is_multiple_of(4)
        && strides.iter().all(|own| match own.split_last() {
            Some((&1, outer)) => outer.iter().all(|stride| stride.is_multiple_of(4)),
            Some((&last, _)) => last == 0,
            None => true,
        });
    let vector = plain || aligned;

    let mut text = String::from("#include \"common/index.wgsl\"\n#include \"common/elementwise.wgsl\"\n");
    let value = if vector { "vec4<f32>" } else { "f32" };
    let mut line = |indent: &str, content: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{indent}{content}");
    };
    line("", "@group(0) @binding(0) var<uniform> p: Params;".into());
    for (index, (input, own)) in context.inputs.iter().zip(&strides).enumerate() {
        let wide = vector && own.last() == Some(&1);
        let element = if wide { format!("vec4<{}>", input.dtype.wgsl()) } else { input.dtype.wgsl().into() };
        line("", format!("@group(0) @binding({}) var<storage, read> x{index}: array<{element}>;", index + 1));
    }
    let out = context.output.dtype.wgsl();
    let out = if vector { format!("vec4<{out}>") } else { out.into() };
    line("", format!("@group(0) @binding({}) var<storage, read_write> y: array<{out}>;", context.inputs.len() + 1));
    line("", "@compute @workgroup_size(WORKGROUP)".into());
    line(
        "",
        "fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {".into(),
    );
    line("    ", "let i = invocation_index(id, groups);".into());
    line("    ", "if i >= p.n { return; }".into());
    if !plain {
        line("    ", format!("var rest = i{};", if vector { " * 4u" } else { "" }));
        for axis in (0..extents.len()).rev() {
            line("    ", format!("let c{axis} = rest % p.extents[{axis}];"));
            if axis > 0 {
                line("    ", format!("rest /= p.extents[{axis}];"));
            }
        }
    }
    for (index, own) in strides.iter().enumerate() {
        let wide = vector && own.last() == Some(&1);
        let at = if constant(own) {
            "0u".into()
        } else if linear(own) {
            "i".into()
        } else {
            let terms: Vec<_> = (0..own.len())
                .filter(|&axis| own[axis] != 0)
                .map(|axis| format!("c{axis} * p.strides[{index}][{axis}]"))
                .collect();
            if wide { format!("({}) / 4u", terms.join(" + ")) } else { terms.join(" + ") }
        };
        let load = if wide { format!("x{index}[{at}]") } else { format!("f32(x{index}[{at}])") };
        line("    ", format!("let a{index} = V({load});"));
    }
    let mut scalar = 0;
    for (index, instruction) in op.body.iter().enumerate() {
        let args: Vec<_> = instruction
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Leaf(leaf) => format!("a{leaf}"),
                Operand::Value(value) => format!("v{value}"),
            })
            .collect();
        let constant = format!("p.scalars[{}][{}]", scalar / 4, scalar % 4);
        scalar += usize::from(instruction.function.scalar().is_some());
        line("    ", format!("let v{index} = {};", instruction.function.wgsl(&args, &constant)));
    }
    line("    ", format!("y[i] = {out}(v{});", op.body.len() - 1));
    line("", "}".into());

    let per = if vector { 4 } else { 1 };
    let count = n.div_ceil(per);
    let mut launch = Launch::new(Shader { name: "elementwise", source: text.into() }, count, 1).define("VALUE", value);
    let four = |values: &[usize]| {
        let mut block = [0usize; 4];
        block[..values.len()].copy_from_slice(values);
        block
    };
    launch = launch.uints(&[count, 0, 0, 0]).uints(&four(&extents));
    for leaf in 0..MAX_LEAVES {
        launch = launch.uints(&strides.get(leaf).map_or([0; 4], |own| four(own)));
    }
    let mut scalars = op.scalars();
    scalars.resize(MAX_SCALARS, 0.0);
    launch = launch.floats(&scalars);
    let mut slots: Vec<_> = (0..context.inputs.len()).map(Slot::Input).collect();
    slots.push(Slot::Output);
    launch.bind(&slots)
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident ( $($arg:ident),* ) = $function:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If the shapes do not broadcast.
            #[track_caller]
            pub fn $name(&self $(, $arg: &Tensor)*) -> Result<Tensor> {
                Tensor::record(Elementwise::single($function), &[self $(, $arg)*])
            }
        )*}
    };
}

methods! {
    /// −x
    neg() = Function::Negate;
    /// eˣ
    exp() = Function::Exp;
    /// ln x
    log() = Function::Log;
    /// √x
    sqrt() = Function::Sqrt;
    /// |x|
    abs() = Function::Abs;
    /// x truncated toward zero; no gradient passes.
    trunc() = Function::Truncate;
    /// The values as integers; no gradient passes.
    to_integer() = Function::ToInteger;
    /// The values as real numbers.
    to_real() = Function::Copy;
    /// max(x, 0)
    relu() = Function::Relu;
    /// 1 / (1 + e⁻ˣ)
    sigmoid() = Function::Sigmoid;
    /// ln σ(x)
    log_sigmoid() = Function::LogSigmoid;
    /// x·Φ(x), the exact (erf) form.
    gelu() = Function::Gelu;
    /// x + other
    add(other) = Function::Add;
    /// x − other
    sub(other) = Function::Subtract;
    /// x · other
    mul(other) = Function::Multiply;
    /// x / other
    div(other) = Function::Divide;
    /// The larger of the two; ties give the gradient to the first.
    maximum(other) = Function::Maximum;
    /// The smaller of the two; ties give the gradient to the first.
    minimum(other) = Function::Minimum;
    /// 1 where both are equal, else 0; no gradient passes.
    equal(other) = Function::Equal;
    /// 1 where x > other, else 0; no gradient passes.
    greater(other) = Function::Greater;
    /// 1 where x ≥ other, else 0; no gradient passes.
    at_least(other) = Function::AtLeast;
    /// `yes` where x ≠ 0, else `no`; the gradient goes to the chosen one.
    select(yes, no) = Function::Select;
}

impl Tensor {
    /// c·x
    ///
    /// # Errors
    /// Never for a valid tensor.
    #[track_caller]
    pub fn scale(&self, c: f64) -> Result<Tensor> {
        Tensor::record(Elementwise::single(Function::Scale(c)), &[self])
    }

    /// x + c
    ///
    /// # Errors
    /// Never for a valid tensor.
    #[track_caller]
    pub fn offset(&self, c: f64) -> Result<Tensor> {
        Tensor::record(Elementwise::single(Function::Offset(c)), &[self])
    }

    /// The tensor repeated to `shape`.
    ///
    /// # Errors
    /// If it does not broadcast to that shape.
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if *self.shape() == shape {
            return Ok(self.clone());
        }
        Tensor::record(Expand(shape, Elementwise::single(Function::Copy)), &[self])
    }
}

/// A copy repeated to a larger shape.
#[derive(Debug)]
struct Expand(Shape, Elementwise);

impl Op for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match self.0.broadcast(&inputs[0].shape) {
            Some(shape) if shape == self.0 && inputs[0].dtype == DType::F32 => Ok(TensorType::f32(shape)),
            _ => Err(format!("does not repeat to {:?}", self.0)),
        }
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(context.grad.sum_to(context.inputs[0].shape())?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        launch(&self.1, context).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let zeros = Array::zeros(&self.0);
        Elementwise::single(Function::Add).reference(&[inputs[0], &zeros])
    }

    fn elementwise(&self) -> Option<&Elementwise> {
        Some(&self.1)
    }
}
