//! Matrix products: dense, batched, transposed, per attention head. One kernel reads every operand through strides.

use super::product::{Layout, Product};
pub use crate::engine::geometry::matrix::{MatMul, MatrixView};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::engine::types::product as count;
use crate::error::{Error, Result};

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs.iter().any(|input| input.dtype != DType::F32) {
            return Err("takes real values".into());
        }
        let [batch0, batch1] = self.batch;
        let lengths = [count(&[batch0, batch1, self.m, self.k]), count(&[batch0, batch1, self.k, self.n])];
        if inputs[0].shape.len() != lengths[0] || inputs[1].shape.len() != lengths[1] {
            return Err(format!("is not a product of [{}, {}] and [{}, {}]", self.m, self.k, self.k, self.n));
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
            let rows = grad.reshape([self.m, self.n])?;
            gradients.push(Some(rows.sum_keep(0)?.reshape(bias.shape().clone())?));
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let MatMul { m, n, k, batch, .. } = *self;
        let [a, b, out] = [self.a, self.b, self.out].map(Layout::Strided);
        Product { m, n, k, batch, a, b, out, biased: context.inputs.len() == 3 }.launches(context.target)
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::matmul::matmul(self, inputs[0], inputs[1], inputs.get(2).copied())]
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
        let view = |sides: &[usize]| MatrixView { batch: [count(sides), 0], row: sides[1], column: 1 };
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
        let out = MatrixView { batch: [count(&[m, n]), 0], row: n, column: 1 };
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
        if let Some(bias) = bias.filter(|bias| bias.shape()[..] != [n]) {
            return Err(mismatch("linear", &[self, weight, bias], "needs a bias [out]"));
        }
        let m = count(&self.shape()[..self.shape().rank() - 1]);
        let mut shape = self.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = n;
        }
        let op = MatMul {
            m,
            n,
            k,
            batch: [1, 1],
            a: MatrixView { batch: [0, 0], row: k, column: 1 },
            b: MatrixView { batch: [0, 0], row: 1, column: k },
            out: MatrixView { batch: [0, 0], row: n, column: 1 },
            shape: shape.into(),
        };
        let weight = weight.weight_for(self)?;
        match bias {
            Some(bias) => Tensor::record(op, &[self, &weight, bias]),
            None => Tensor::record(op, &[self, &weight]),
        }
    }

    /// Raw attention scores per head, q·kᵀ: q \[B, N, C\], k \[B, M, C\] → \[B, heads, N, M\], unscaled.
    ///
    /// Head j owns channels \[j·C/heads, (j+1)·C/heads) (method.md 1.3).
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn attention_scores(&self, key: &Tensor, heads: usize) -> Result<Tensor> {
        let (q, k) = (self.shape(), key.shape());
        let fits = q.rank() == 3 && k.rank() == 3 && q[0] == k[0] && q[2] == k[2];
        if !fits || heads == 0 || !q[2].is_multiple_of(heads) {
            return Err(mismatch("attention_scores", &[self, key], "needs q [B, N, C], k [B, M, C], C divisible"));
        }
        let (n, m, channels) = (q[1], k[1], q[2]);
        let width = channels / heads;
        let op = MatMul {
            m: n,
            n: m,
            k: width,
            batch: [q[0], heads],
            a: MatrixView { batch: [n * channels, width], row: channels, column: 1 },
            b: MatrixView { batch: [m * channels, width], row: 1, column: channels },
            out: MatrixView { batch: [count(&[heads, n, m]), count(&[n, m])], row: m, column: 1 },
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
        let fits = p.rank() == 4 && v.rank() == 3 && p[0] == v[0] && p[3] == v[1];
        if !fits || p[1] == 0 || !v[2].is_multiple_of(p[1]) {
            return Err(mismatch("attention_values", &[self, value], "needs p [B, heads, N, M], v [B, M, C]"));
        }
        let (heads, n, m, channels) = (p[1], p[2], p[3], v[2]);
        let width = channels / heads;
        let op = MatMul {
            m: n,
            n: width,
            k: m,
            batch: [p[0], heads],
            a: MatrixView { batch: [count(&[heads, n, m]), count(&[n, m])], row: m, column: 1 },
            b: MatrixView { batch: [m * channels, width], row: channels, column: 1 },
            out: MatrixView { batch: [count(&[n, channels]), width], row: channels, column: 1 },
            shape: [p[0], n, channels].into(),
        };
        Tensor::record(op, &[self, value])
    }
}

/// The error of a method whose operands cannot be described by an op.
#[track_caller]
pub(crate) fn mismatch(op: &'static str, operands: &[&Tensor], reason: &str) -> Error {
    Error::Op {
        op,
        shapes: operands.iter().map(|operand| format!("{:?}", operand.ty())).collect::<Vec<_>>().join(" "),
        reason: reason.into(),
        at: std::panic::Location::caller(),
    }
}
