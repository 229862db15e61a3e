//! Attention that never stores its matrix of scores.

use super::reduce::sum_of_chunks;
pub use crate::engine::geometry::heads::{Gradient, Heads};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{
    Launch, LaunchContext, Launches, MOST_TURNS, Queries, Registers, Shader, Slot, Target, WORKGROUP, shader,
};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

impl Heads {
    /// Columns that an invocation walks at most. It takes eight in about two turns for each of a head's fours of channels,
    /// in a workgroup 32.
    fn most_columns(&self, channels: usize) -> usize {
        8 * (MOST_TURNS / (2 * channels / self.count / 4 + 10))
    }

    /// The launch of a kernel whose rows are the tokens of `rows`, and whose columns, those of `columns`, are split into
    /// chunks: of the first shader, or of that for workgroups.
    fn launch(
        &self,
        [alone, shared]: [Shader; 2],
        rows: &TensorType,
        columns: &TensorType,
        chunk: usize,
        target: Target,
    ) -> Launch {
        let layers = rows.shape[0] * self.count;
        let chunks = columns.shape[1].div_ceil(chunk);
        let fours = rows.shape[2] / self.count / 4;
        let shader = if self.queries(rows, target) == Queries::Tile { shared } else { alone };
        let launch = Launch::new(shader, self.invocations(rows, target), layers * chunks);
        let many = target.kernels.registers == Registers::Many;
        let flags: &[_] = match self.queries(rows, target) {
            Queries::Two => &[("ROWS", 2, true)],
            Queries::Four => &[("ROWS", 4, true)],
            Queries::Tile => &[
                ("WIDE", 1, fours > 8),
                ("WHOLE", 1, columns.shape[1].is_multiple_of(4)),
                ("UNROLLED", 1, many && fours.is_multiple_of(8)),
            ],
        };
        let set = flags.iter().filter(|(_, _, set)| *set);
        let launch = set.fold(launch, |launch, (name, value, _)| launch.define(name, value));
        launch
            .define("CHUNKS", fours)
            .uints(&[rows.shape[1], columns.shape[1], self.count, rows.shape[2] / 4])
            .floats(&[self.scale])
            .uints(&[layers, chunk])
    }

    /// The launch that walks queries over all keys.
    fn forward(&self, context: &LaunchContext<'_>) -> Launch {
        let (q, k) = (context.inputs[0], context.inputs[1]);
        self.launch([shader!("attention"), shader!("attention_shared")], q, k, k.shape[1], context.target)
    }

    /// Rows that are computed together.
    fn queries(&self, tokens: &TensorType, target: Target) -> Queries {
        target.queries(tokens.shape[2] / self.count)
    }

    /// Invocations for all rows of a head.
    fn invocations(&self, tokens: &TensorType, target: Target) -> usize {
        match self.queries(tokens, target) {
            Queries::Two => tokens.shape[1].div_ceil(2),
            Queries::Four => tokens.shape[1].div_ceil(4),
            Queries::Tile => tokens.shape[1].div_ceil(32) * WORKGROUP,
        }
    }

    fn check(&self, inputs: &[&TensorType]) -> Result<(), String> {
        let [q, k] = [inputs[0], inputs[1]];
        let tokens = |x: &TensorType| x.dtype == DType::F32 && x.shape.rank() == 3 && !x.shape.is_empty();
        let fits = inputs.iter().all(|x| tokens(x)) && q.shape[0] == k.shape[0] && q.shape[2] == k.shape[2];
        if !fits || inputs.get(2).is_some_and(|v| v.shape != k.shape) {
            return Err("needs real q [B, N, C], k and v [B, M, C]".into());
        }
        if self.count == 0 || !q.shape[2].is_multiple_of(self.count.saturating_mul(4)) {
            return Err(format!("the channels of each of {} heads must be a multiple of four", self.count));
        }
        Ok(())
    }
}

/// Operations, `each` for every channel of every pair of a query and a key, as factors; q and k are the first inputs.
fn pairs(context: &LaunchContext<'_>, each: usize) -> [usize; 3] {
    [each, context.inputs[0].shape.len(), context.inputs[1].shape[1]]
}

/// softmax(scale · q·kᵀ)·v per head; inputs q, k, v.
#[derive(Debug)]
struct Attention(Heads);

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.check(inputs)?;
        Ok(inputs[0].clone())
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let [q, k, v] = context.inputs else { return Err(BackwardError::Undefined) };
        let grad = context.grad;
        let logs = Tensor::record(Statistics(self.0), &[q, k])?;
        let [batch, tokens, width] = [q.shape()[0], q.shape()[1], q.shape()[2]];
        let per_head = grad.mul(context.output)?.reshape([batch, tokens, self.0.count, width / self.0.count])?;
        let products = per_head.sum_keep(3)?.reshape([batch, tokens, self.0.count])?;
        let record = |of: Gradient| {
            let inputs = [q, k, v, grad, &logs, &products];
            let used = if of == Gradient::Value { 5 } else { 6 };
            Tensor::record(AttentionGradient(self.0, of), &inputs[..used])
        };
        let parts = [Gradient::Query, Gradient::Key, Gradient::Value].into_iter().zip(context.needed);
        Ok(parts.map(|(of, needed)| needed.then(|| record(of)).transpose()).collect::<Result<_>>()?)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        self.0
            .forward(context)
            .operations(&pairs(context, 4))
            .define("OUTPUT", 1)
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output])
            .fours(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::attention::attention(&self.0, inputs[0], inputs[1], inputs[2])]
    }
}

/// log Σ_m exp(scale · q\[n\]·k\[m\]) per head, \[B, N, heads\]; inputs q, k. Only gradients need it.
#[derive(Debug)]
struct Statistics(Heads);

impl Op for Statistics {
    fn name(&self) -> &'static str {
        "attention_statistics"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.check(inputs)?;
        Ok(TensorType::f32([inputs[0].shape[0], inputs[0].shape[1], self.0.count]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let launch = self.0.forward(context).operations(&pairs(context, 2));
        launch.bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]).fours(&[Slot::Input(0), Slot::Input(1)]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::attention::statistics(&self.0, inputs[0], inputs[1])]
    }
}

/// Gradient of [`Attention`]; inputs q, k, v, the output's gradient, [`Statistics`] and, but for values, the products
/// of output and gradient per query and head.
#[derive(Debug)]
struct AttentionGradient(Heads, Gradient);

impl Op for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.check(&inputs[..3])?;
        Ok(inputs[if self.1 == Gradient::Query { 0 } else { 1 }].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let [q, k, v, grad, logs, products] = [0, 1, 2, 3, 4, 5].map(Slot::Input);
        let (rows, columns, defines, slots) = match self.1 {
            Gradient::Query => (0, 1, &["SLOPE"][..], vec![q, k, v, logs, grad, products]),
            Gradient::Key => (1, 0, &["SLOPE", "KEYS"][..], vec![k, q, grad, logs, v, products]),
            Gradient::Value => (1, 0, &["KEYS"][..], vec![k, q, grad, logs]),
        };
        let (rows, columns) = (context.inputs[rows], context.inputs[columns]);
        // There may be few keys and many queries.
        let invocations = self.0.invocations(rows, context.target) * rows.shape[0] * self.0.count;
        let most = (context.target.busy() / invocations).clamp(1, columns.shape[1].div_ceil(64));
        let chunk = columns.shape[1].div_ceil(most).next_multiple_of(8).min(self.0.most_columns(rows.shape[2]));
        let chunks = columns.shape[1].div_ceil(chunk);
        let to = if chunks == 1 { Slot::Output } else { Slot::Scratch(0) };
        let shaders = [shader!("attention_gradient"), shader!("attention_gradient_shared")];
        let launch = self.0.launch(shaders, rows, columns, chunk, context.target);
        let launch = defines.iter().fold(launch, |launch, name| launch.define(name, 1));
        let products = if self.1 == Gradient::Value { 2 } else { 3 };
        let first = launch
            .operations(&pairs(context, 2 * products))
            .bind(&[slots, vec![to]].concat())
            .fours(&[q, k, v, grad, to]);
        if chunks == 1 {
            return first.into();
        }
        let elements = context.output.shape.len();
        let second = sum_of_chunks(chunks, elements);
        Launches { list: vec![first, second], scratch: vec![chunks * elements] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::attention::gradient(&self.0, self.1, inputs)]
    }
}

impl Tensor {
    /// Attention with merged heads, softmax(scale · q·kᵀ)·v: q \[B, N, C\], k and v \[B, M, C\] → \[B, N, C\].
    ///
    /// The matrix of scores is not stored; gradients recompute it. The channels per head must be a multiple of four. With
    /// tens of thousands of keys, the scores are stored nevertheless.
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn attention(&self, key: &Tensor, value: &Tensor, heads: Heads) -> Result<Tensor> {
        let op = Attention(heads);
        let walks = op.output(&[self.ty(), key.ty(), value.ty()]).is_ok();
        if walks && key.shape()[1] > heads.most_columns(self.shape()[2]) {
            // Nobody walks so many keys.
            return self.attention_scores(key, heads.count)?.softmax_scaled(heads.scale)?.attention_values(value);
        }
        Tensor::record(op, &[self, key, value])
    }
}
