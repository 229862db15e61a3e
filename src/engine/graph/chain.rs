//! Chains of element-wise functions as data, which can be fused.

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
    /// The function.
    pub function: Function,
    /// Its operands.
    pub operands: Vec<Operand>,
}

/// A sequence of functions of broadcast inputs; a single one when recorded, a chain after fusion.
#[derive(Clone, PartialEq, Debug)]
pub struct Chain {
    /// The functions in order; the last one computes the output.
    pub body: Vec<Instruction>,
}

/// Inputs of a fused kernel: WebGPU guarantees eight storage buffers, one of which is the output.
pub(crate) const MAX_LEAVES: usize = 7;
/// Constants of a fused kernel.
pub(crate) const MAX_SCALARS: usize = 16;
/// Functions of a fused kernel: longer chains compile slowly.
pub(crate) const MAX_BODY: usize = 24;

impl Chain {
    pub(crate) fn single(function: Function) -> Self {
        let operands = (0..function.arity()).map(Operand::Leaf).collect();
        Chain { body: vec![Instruction { function, operands }] }
    }

    pub(crate) fn scalars(&self) -> Vec<f64> {
        self.body.iter().filter_map(|instruction| instruction.function.scalar()).collect()
    }

    /// This chain with `producer` computed in place of leaf `leaf`, where the two have `leaves` and
    /// `producer_leaves` as inputs; `None` if the kernel would exceed its limits.
    ///
    /// Returns the chain and its inputs, without duplicates.
    pub fn inline<T: Copy + PartialEq>(
        &self,
        leaves: &[T],
        leaf: usize,
        producer: &Chain,
        producer_leaves: &[T],
    ) -> Option<(Chain, Vec<T>)> {
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
        let fused = Chain { body };
        let fits = inputs.len() <= MAX_LEAVES
            && fused.scalars().len() <= MAX_SCALARS
            && fused.body.len() <= MAX_BODY
            // An integer result must be stored to be rounded.
            && !producer.body.iter().any(|instruction| instruction.function == Function::ToInteger);
        fits.then_some((fused, inputs))
    }
}

/// A function of one to three elements. Integers are treated as real numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Function {
    /// x
    Copy,
    /// x truncated toward zero, as an integer; the nearest where that is beyond 32 bits, 0 for NaN
    ToInteger,
    /// −x
    Negate,
    /// c·x
    Scale(f64),
    /// x + c
    Offset(f64),
    /// x / c, exactly where that is an integer below 2²¹
    Quotient(f64),
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
    /// min(max(x, 0), 6)
    Relu6,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// ln σ(x), in the form that does not overflow
    LogSigmoid,
    /// x·Φ(x), erf form
    Gelu,
    /// Slope of [`Function::Gelu`]
    GeluSlope,
    /// 1 where x is finite, 0 where it is infinite or NaN
    Finite,
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
    pub(crate) fn arity(self) -> usize {
        use Function::*;
        match self {
            Copy | ToInteger | Negate | Scale(_) | Offset(_) | Quotient(_) | Exp | Log | Sqrt | Abs | Truncate
            | Relu | Relu6 | Sigmoid | LogSigmoid | Gelu | GeluSlope | Finite => 1,
            Add | Subtract | Multiply | Divide | Maximum | Minimum | Equal | Greater | AtLeast => 2,
            Select => 3,
        }
    }

    /// Name of the tensor's method.
    pub(crate) fn name(self) -> &'static str {
        use Function::*;
        match self {
            Copy => "to_real",
            ToInteger => "to_integer",
            Negate => "neg",
            Scale(_) => "scale",
            Offset(_) => "offset",
            Quotient(_) => "quotient",
            Exp => "exp",
            Log => "log",
            Sqrt => "sqrt",
            Abs => "abs",
            Truncate => "trunc",
            Relu => "relu",
            Relu6 => "relu6",
            Sigmoid => "sigmoid",
            LogSigmoid => "log_sigmoid",
            Gelu => "gelu",
            GeluSlope => "gelu_slope",
            Finite => "finite",
            Add => "add",
            Subtract => "sub",
            Multiply => "mul",
            Divide => "div",
            Maximum => "maximum",
            Minimum => "minimum",
            Equal => "equal",
            Greater => "greater",
            AtLeast => "at_least",
            Select => "select",
        }
    }

    /// The constant, if the function has one.
    pub(crate) fn scalar(self) -> Option<f64> {
        match self {
            Function::Scale(c) | Function::Offset(c) | Function::Quotient(c) => Some(c),
            _ => None,
        }
    }

    /// The WGSL expression on `args`, with the constant written `c`.
    pub(crate) fn wgsl(self, args: &[String], c: &str) -> String {
        use Function::*;
        let x = &args[0];
        let b = args.get(1).map_or("", String::as_str);
        match self {
            Copy => x.clone(),
            ToInteger => format!("number_or_zero({x})"),
            Negate => format!("-{x}"),
            Scale(_) => format!("{x} * {c}"),
            Offset(_) => format!("{x} + {c}"),
            Quotient(_) => format!("quotient({x}, {c})"),
            Exp => format!("exp({x})"),
            Log => format!("log({x})"),
            Sqrt => format!("sqrt({x})"),
            Abs => format!("abs({x})"),
            Truncate => format!("trunc({x})"),
            Relu => format!("max({x}, V(0.0))"),
            Relu6 => format!("clamp({x}, V(0.0), V(6.0))"),
            Sigmoid => format!("sigmoid({x})"),
            LogSigmoid => format!("log_sigmoid({x})"),
            Gelu => format!("gelu({x})"),
            GeluSlope => format!("gelu_slope({x})"),
            Finite => format!("finite({x})"),
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

    /// The function in f64. Operands are compared as the f32 that a kernel has: a number that f32 rounds equals itself,
    /// whether it comes from a state, an input or a constant.
    pub fn evaluate(self, args: &[f64]) -> f64 {
        use Function::*;
        let x = args[0];
        let truth = |holds: bool| f64::from(u8::from(holds));
        let single = |value: f64| f64::from(value as f32);
        match self {
            Copy => x,
            // The largest integer that is an f32, too.
            ToInteger if x.is_nan() => 0.0,
            ToInteger => x.trunc().clamp(f64::from(i32::MIN), 2_147_483_520.0),
            Negate => -x,
            Scale(c) => x * c,
            Offset(c) => x + c,
            Quotient(c) => x / c,
            Exp => x.exp(),
            Log => x.ln(),
            Sqrt => x.sqrt(),
            Abs => x.abs(),
            Truncate => x.trunc(),
            Relu => x.max(0.0),
            Relu6 => x.clamp(0.0, 6.0),
            Sigmoid => 1.0 / (1.0 + (-x).exp()),
            LogSigmoid => x.min(0.0) - (-x.abs()).exp().ln_1p(),
            Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            GeluSlope => {
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) + x * density
            }
            Finite => truth(single(x).is_finite()),
            Add => x + args[1],
            Subtract => x - args[1],
            Multiply => x * args[1],
            Divide => x / args[1],
            Maximum => x.max(args[1]),
            Minimum => x.min(args[1]),
            Equal => truth(single(x) == single(args[1])),
            Greater => truth(single(x) > single(args[1])),
            AtLeast => truth(single(x) >= single(args[1])),
            Select => {
                if single(x) != 0.0 {
                    args[1]
                } else {
                    args[2]
                }
            }
        }
    }
}
