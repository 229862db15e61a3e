//! Matrix products: dense, batched, transposed, per attention head. One kernel reads every operand through strides.

use crate::error::{Error, Result};
use crate::graph::{
    Backward, BackwardError, DType, Launch, LaunchContext, Launches, Op, Shape, Slot, Target, Tensor, TensorType,
    WORKGROUP,
};
use crate::reference::{self, Array};
use crate::shader;

/// How a matrix lies in a tensor: element strides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct View {
    /// Steps along the two batch axes.
    pub batch: [usize; 2],
    /// Step to the next row.
    pub row: usize,
    /// Step to the next column.
    pub column: usize,
}

impl View {
    fn transposed(self) -> Self {
        View { row: self.column, column: self.row, ..self }
    }

    /// Whether four neighbours along the axis of step 1 may be loaded at once, given that axis' extent.
    fn aligned(&self, extent: usize, other: usize) -> bool {
        [extent, other, self.batch[0], self.batch[1]].into_iter().all(|value| value.is_multiple_of(4))
    }
}

/// The tile of a workgroup, computed by way of its own memory.
const SHARED: [usize; 2] = [64, 64];
/// The tile of a workgroup that multiplies cooperative matrices. All others are those of one invocation.
const COOPERATIVE: [usize; 2] = [32, 32];

/// out\[b, i, j\] = bias\[j\] + Σ_k a\[b, i, k\] · b\[b, k, j\], b over both batch axes.
///
/// Every view covers its tensor exactly once, so that the gradients are products of the same kind.
#[derive(Clone, Debug)]
pub struct MatMul {
    /// Rows of the product.
    pub m: usize,
    /// Columns of the product.
    pub n: usize,
    /// Length of every sum.
    pub k: usize,
    /// Extents of the batch axes.
    pub batch: [usize; 2],
    /// First operand, \[m, k\].
    pub a: View,
    /// Second operand, \[k, n\].
    pub b: View,
    /// Result, \[m, n\].
    pub out: View,
    /// The result's shape.
    pub shape: Shape,
}

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs.iter().any(|input| input.dtype != DType::F32) {
            return Err("takes real values".into());
        }
        let batch = self.batch[0] * self.batch[1];
        let lengths = [batch * self.m * self.k, batch * self.k * self.n];
        if inputs[0].shape.len() != lengths[0] || inputs[1].shape.len() != lengths[1] {
            return Err(format!("is no product of [{}, {}] and [{}, {}]", self.m, self.k, self.k, self.n));
        }
        if inputs.get(2).is_some_and(|bias| bias.shape.len() != self.n) {
            return Err(format!("the bias needs {} elements", self.n));
        }
        Ok(TensorType::f32(self.shape.clone()))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let (a, b, grad) = (&context.inputs[0], &context.inputs[1], context.grad);
        let mut gradients = vec![None, None];
        if context.needed[0] {
            let product = MatMul {
                m: self.m,
                n: self.k,
                k: self.n,
                batch: self.batch,
                a: self.out,
                b: self.b.transposed(),
                out: self.a,
                shape: a.shape().clone(),
            };
            gradients[0] = Some(Tensor::record(product, &[grad, b])?);
        }
        if context.needed[1] {
            let product = MatMul {
                m: self.k,
                n: self.n,
                k: self.m,
                batch: self.batch,
                a: self.a.transposed(),
                b: self.out,
                out: self.b,
                shape: b.shape().clone(),
            };
            gradients[1] = Some(Tensor::record(product, &[a, grad])?);
        }
        if let Some(bias) = context.inputs.get(2) {
            // A bias is only recorded by `linear`, whose rows are all but the last axis.
            let rows = grad.reshape([grad.shape().len() / self.n, self.n])?;
            gradients.push(Some(rows.sum(0..1)?.reshape(bias.shape().clone())?));
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let batches = self.batch[0] * self.batch[1];
        let tile = self.tile(context.target);
        // A dispatch has 65 535 workgroups along z at most.
        let most = (context.target.busy() / (self.invocations(tile) * batches)).min(self.k / 64).min(65_535 / batches);
        let biased = context.inputs.len() == 3;
        if most < 2 {
            return self.product(tile, self.out, Slot::Output, self.k, biased).into();
        }
        let chunk = self.k.div_ceil(most).next_multiple_of(if tile == COOPERATIVE { 8 } else { 4 });
        let splits = self.k.div_ceil(chunk);
        // The partial products lie one after another as [split, batch, m, n]; the second launch adds them in order.
        let partial = View { batch: [self.batch[1] * self.m * self.n, self.m * self.n], row: self.n, column: 1 };
        let first = self.product(tile, partial, Slot::Scratch(0), chunk, false);
        let mut slots = vec![Slot::Scratch(0)];
        let mut second = Launch::new(shader!("matmul_sum"), batches * self.m * self.n, 1)
            .uints(&[self.m, self.n, self.batch[1], batches, splits])
            .uints(&[self.out.batch[0], self.out.batch[1], self.out.row, self.out.column]);
        if biased {
            second = second.define("BIAS", 1);
            slots.push(Slot::Input(2));
        }
        slots.push(Slot::Output);
        Launches { list: vec![first, second.bind(&slots)], scratch: vec![splits * batches * self.m * self.n] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::matmul::matmul(self, inputs[0], inputs[1], inputs.get(2).copied())]
    }
}

impl MatMul {
    /// Rows and columns of the table's tile; a smaller one where much of that would lie outside the result.
    fn tile(&self, target: Target) -> [usize; 2] {
        let mut tile = target.tile(self.batch[0] * self.batch[1] * self.m * self.n, self.k).sides();
        if tile == SHARED || tile == COOPERATIVE {
            let fits = tile == SHARED || self.is_of_eights();
            if fits && 3 * self.m * self.n >= 2 * self.tiles(tile) * tile[0] * tile[1] {
                return tile;
            }
            tile = [8, 8];
        }
        let fitting = |side: usize, extent: usize| match side {
            16 if extent.next_multiple_of(16) - extent <= extent / 8 => 16,
            8 | 16 if extent > 4 => 8,
            _ => 4,
        };
        [fitting(tile[0], self.m), fitting(tile[1], self.n)]
    }

    /// Whether it is made of whole matrices of 8×8, which lie so that they can be loaded and stored at once.
    fn is_of_eights(&self) -> bool {
        let lies = |view: &View, rows, columns| {
            view.column == 1 && view.aligned(columns, view.row) || view.row == 1 && view.aligned(rows, view.column)
        };
        [self.m, self.n, self.k].iter().all(|extent| extent.is_multiple_of(8))
            && lies(&self.a, self.m, self.k)
            && lies(&self.b, self.k, self.n)
            && lies(&self.out, self.m, self.n)
    }

    fn tiles(&self, [rows, columns]: [usize; 2]) -> usize {
        self.m.div_ceil(rows) * self.n.div_ceil(columns)
    }

    fn invocations(&self, tile: [usize; 2]) -> usize {
        self.tiles(tile) * if tile == SHARED || tile == COOPERATIVE { WORKGROUP } else { 1 }
    }

    /// The kernel for one pass over `chunk` terms of every sum; chunks lie along z after the batches.
    fn product(&self, tile: [usize; 2], out: View, to: Slot, chunk: usize, bias: bool) -> Launch {
        // Operands whose inner axis is contiguous and aligned are loaded by fours.
        let load = |view: &View, rows: usize, columns: usize, [along_row, along_column]: [&'static str; 2]| {
            if view.column == 1 && view.aligned(columns, view.row) {
                along_row
            } else if view.row == 1 && view.aligned(rows, view.column) {
                along_column
            } else {
                "SCALAR"
            }
        };
        let a_load = load(&self.a, self.m, self.k, ["ALONG_K", "ALONG_M"]);
        let b_load = load(&self.b, self.k, self.n, ["ALONG_N", "ALONG_K"]);
        let vector_store = out.column == 1 && out.aligned(self.n, out.row);
        let cooperative = tile == COOPERATIVE;
        let shader = if cooperative { shader!("matmul_coop") } else { shader!("matmul") };
        let element = |vector: bool| if vector && !cooperative { "vec4<f32>" } else { "f32" };

        let batches = self.batch[0] * self.batch[1];
        let splits = self.k.div_ceil(chunk);
        let mut launch = Launch::new(shader, self.invocations(tile), batches * splits)
            .define("A_ELEMENT", element(a_load != "SCALAR"))
            .define("B_ELEMENT", element(b_load != "SCALAR"))
            .define("OUT_ELEMENT", element(vector_store))
            .uints(&[self.m, self.n, self.k, chunk, self.batch[1], batches])
            .uints(&[self.a.batch[0], self.a.batch[1], self.a.row, self.a.column])
            .uints(&[self.b.batch[0], self.b.batch[1], self.b.row, self.b.column])
            .uints(&[out.batch[0], out.batch[1], out.row, out.column])
            .uints(&[batches * self.m * self.n])
            .operations(2 * batches * self.m * self.n * self.k);
        launch = match a_load {
            "ALONG_K" => launch.define("A_ALONG_K", 1),
            "ALONG_M" => launch.define("A_ALONG_M", 1),
            _ => launch.define("A_SCALAR", 1),
        };
        launch = match b_load {
            "ALONG_N" => launch.define("B_ALONG_N", 1),
            "ALONG_K" => launch.define("B_ALONG_K", 1),
            _ => launch.define("B_SCALAR", 1),
        };
        // An invocation of a workgroup's tile computes 8×8 of it, and a cooperative matrix is 8×8.
        let own = if tile == SHARED || cooperative { [8, 8] } else { tile };
        for (side, [name, long, longer]) in
            own.into_iter().zip([["ROWS", "TALL", "TALLER"], ["COLUMNS", "WIDE", "WIDER"]])
        {
            launch = launch.define(name, format!("{side}u"));
            for (name, _) in [(long, 8), (longer, 16)].into_iter().filter(|(_, least)| side >= *least) {
                launch = launch.define(name, 1);
            }
        }
        if tile == SHARED {
            launch = launch.define("SHARED", 1);
        }
        if vector_store {
            launch = launch.define("OUT_VECTOR", 1);
        }
        let mut slots = vec![Slot::Input(0), Slot::Input(1)];
        if bias {
            launch = launch.define("BIAS", 1);
            slots.push(Slot::Input(2));
        }
        slots.push(to);
        launch.bind(&slots)
    }
}

impl Tensor {
    /// Batched product a·b: \[…, m, k\] × \[…, k, n\] → \[…, m, n\] with equal leading axes.
    ///
    /// # Errors
    /// If the shapes do not chain.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        self.product(other, false, false)
    }

    /// Batched product a·bᵀ: \[…, m, k\] × \[…, n, k\] → \[…, m, n\].
    ///
    /// # Errors
    /// If the shapes do not chain.
    #[track_caller]
    pub fn matmul_nt(&self, other: &Tensor) -> Result<Tensor> {
        self.product(other, false, true)
    }

    /// Batched product aᵀ·b: \[…, k, m\] × \[…, k, n\] → \[…, m, n\].
    ///
    /// # Errors
    /// If the shapes do not chain.
    #[track_caller]
    pub fn matmul_tn(&self, other: &Tensor) -> Result<Tensor> {
        self.product(other, true, false)
    }

    #[track_caller]
    fn product(&self, other: &Tensor, a_transposed: bool, b_transposed: bool) -> Result<Tensor> {
        let (a, b) = (self.shape(), other.shape());
        if a.rank() < 2 || a.rank() != b.rank() || a[..a.rank() - 2] != b[..b.rank() - 2] {
            return Err(mismatch("matmul", &[self, other], "needs two matrices with equal leading axes"));
        }
        let (leading, a_sides) = a.split_at(a.rank() - 2);
        let b_sides = &b[b.rank() - 2..];
        let batch: usize = leading.iter().product();
        let view = |sides: &[usize]| View { batch: [sides[0] * sides[1], 0], row: sides[1], column: 1 };
        let (mut a_view, mut b_view) = (view(a_sides), view(b_sides));
        let (mut m, mut k) = (a_sides[0], a_sides[1]);
        if a_transposed {
            a_view = a_view.transposed();
            (m, k) = (k, m);
        }
        let (mut rows, mut n) = (b_sides[0], b_sides[1]);
        if b_transposed {
            b_view = b_view.transposed();
            (rows, n) = (n, rows);
        }
        if rows != k {
            return Err(mismatch("matmul", &[self, other], "the inner extents differ"));
        }
        let mut shape = leading.to_vec();
        shape.extend([m, n]);
        let out = View { batch: [m * n, 0], row: n, column: 1 };
        let op = MatMul { m, n, k, batch: [batch, 1], a: a_view, b: b_view, out, shape: shape.into() };
        Tensor::record(op, &[self, other])
    }

    /// y = x·wᵀ + bias: x \[…, in\], w \[out, in\], bias \[out\] → \[…, out\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let fits = self.shape().rank() >= 1
            && weight.shape().rank() == 2
            && self.shape()[self.shape().rank() - 1] == weight.shape()[1];
        if !fits {
            return Err(mismatch("linear", &[self, weight], "needs x [.., in] and weight [out, in]"));
        }
        let (n, k) = (weight.shape()[0], weight.shape()[1]);
        let m = self.shape().len() / k;
        let mut shape = self.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = n;
        }
        let op = MatMul {
            m,
            n,
            k,
            batch: [1, 1],
            a: View { batch: [0, 0], row: k, column: 1 },
            b: View { batch: [0, 0], row: 1, column: k },
            out: View { batch: [0, 0], row: n, column: 1 },
            shape: shape.into(),
        };
        match bias {
            Some(bias) => Tensor::record(op, &[self, weight, bias]),
            None => Tensor::record(op, &[self, weight]),
        }
    }

    /// Raw attention scores per head, q·kᵀ: q \[B, N, C\], k \[B, M, C\] → \[B, heads, N, M\], unscaled.
    ///
    /// Head j owns channels \[j·C/heads, (j+1)·C/heads) (spec 1.3).
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn attention_scores(&self, key: &Tensor, heads: usize) -> Result<Tensor> {
        let (q, k) = (self.shape(), key.shape());
        if q.rank() != 3 || k.rank() != 3 || q[0] != k[0] || q[2] != k[2] || !q[2].is_multiple_of(heads) {
            return Err(mismatch("attention_scores", &[self, key], "needs q [B, N, C], k [B, M, C], C divisible"));
        }
        let (n, m, channels) = (q[1], k[1], q[2]);
        let width = channels / heads;
        let op = MatMul {
            m: n,
            n: m,
            k: width,
            batch: [q[0], heads],
            a: View { batch: [n * channels, width], row: channels, column: 1 },
            b: View { batch: [m * channels, width], row: 1, column: channels },
            out: View { batch: [heads * n * m, n * m], row: m, column: 1 },
            shape: [q[0], heads, n, m].into(),
        };
        Tensor::record(op, &[self, key])
    }

    /// Attention output with merged heads, p·v: p \[B, heads, N, M\], v \[B, M, C\] → \[B, N, C\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn attention_values(&self, value: &Tensor) -> Result<Tensor> {
        let (p, v) = (self.shape(), value.shape());
        if p.rank() != 4 || v.rank() != 3 || p[0] != v[0] || p[3] != v[1] || !v[2].is_multiple_of(p[1]) {
            return Err(mismatch("attention_values", &[self, value], "needs p [B, heads, N, M], v [B, M, C]"));
        }
        let (heads, n, m, channels) = (p[1], p[2], p[3], v[2]);
        let width = channels / heads;
        let op = MatMul {
            m: n,
            n: width,
            k: m,
            batch: [p[0], heads],
            a: View { batch: [heads * n * m, n * m], row: m, column: 1 },
            b: View { batch: [m * channels, width], row: channels, column: 1 },
            out: View { batch: [n * channels, width], row: channels, column: 1 },
            shape: [p[0], n, channels].into(),
        };
        Tensor::record(op, &[self, value])
    }
}

/// The error of a method whose operands cannot even be described to an op.
#[track_caller]
pub(crate) fn mismatch(op: &'static str, operands: &[&Tensor], reason: &str) -> Error {
    Error::Op {
        op,
        shapes: operands.iter().map(|operand| format!("{:?}", operand.ty())).collect::<Vec<_>>().join(" "),
        reason: reason.into(),
        at: std::panic::Location::caller(),
    }
}
