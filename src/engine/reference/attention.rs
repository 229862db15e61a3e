//! Twin of `shaders/attention.wgsl` and `shaders/attention_gradient.wgsl`.

use super::array::Array;
use crate::engine::geometry::heads::{Gradient, Heads};

/// Channels \[head · d, (head + 1) · d) of a token of x \[B, tokens, C\].
fn channels<'a>(x: &'a Array, heads: &Heads, batch: usize, token: usize, head: usize) -> &'a [f64] {
    let (tokens, width) = (x.shape[1], x.shape[2]);
    let d = width / heads.count;
    &x.data[(batch * tokens + token) * width + head * d..][..d]
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// log Σ_m exp(scale · q\[n\] · k\[m\]) of every query and head: \[B, N, heads\].
pub fn statistics(heads: &Heads, q: &Array, k: &Array) -> Array {
    let [batches, queries, keys] = [q.shape[0], q.shape[1], k.shape[1]];
    Array::from_fn(&[batches, queries, heads.count], |index| {
        let (batch, n, head) = (index / heads.count / queries, index / heads.count % queries, index % heads.count);
        let scores = (0..keys)
            .map(|m| heads.scale * dot(channels(q, heads, batch, n, head), channels(k, heads, batch, m, head)));
        let scores: Vec<_> = scores.collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + scores.iter().map(|s| (s - largest).exp()).sum::<f64>().ln()
    })
}

/// Calls `visit` with image, head, query, key and weight, exp(s − L), of every pair.
fn pairs(heads: &Heads, q: &Array, k: &Array, logs: &Array, mut visit: impl FnMut(usize, usize, usize, usize, f64)) {
    for batch in 0..q.shape[0] {
        for head in 0..heads.count {
            for n in 0..q.shape[1] {
                let own = channels(q, heads, batch, n, head);
                let log = logs.data[(batch * q.shape[1] + n) * heads.count + head];
                for m in 0..k.shape[1] {
                    let score = heads.scale * dot(own, channels(k, heads, batch, m, head));
                    visit(batch, head, n, m, (score - log).exp());
                }
            }
        }
    }
}

/// Adds `weight` times the channels of one token of `from` to those of a token of `to`.
fn add(to: &mut Array, heads: &Heads, batch: usize, head: usize, tokens: [usize; 2], weight: f64, from: &Array) {
    let d = to.shape[2] / heads.count;
    let start = (batch * to.shape[1] + tokens[0]) * to.shape[2] + head * d;
    let from = channels(from, heads, batch, tokens[1], head);
    to.data[start..start + d].iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

/// out\[n\] = Σ_m softmax_m(scale · q\[n\] · k\[m\]) · v\[m\] for every head.
pub fn attention(heads: &Heads, q: &Array, k: &Array, v: &Array) -> Array {
    let mut out = Array::zeros(&q.shape);
    pairs(heads, q, k, &statistics(heads, q, k), |batch, head, n, m, weight| {
        add(&mut out, heads, batch, head, [n, m], weight, v);
    });
    out
}

/// The gradient with respect to one operand; `inputs` are q, k, v, grad, L and, but for values, D.
pub fn gradient(heads: &Heads, of: Gradient, inputs: &[&Array]) -> Array {
    let [q, k, v, grad, logs] = [0, 1, 2, 3, 4].map(|index| inputs[index]);
    let mut out = Array::zeros(if of == Gradient::Query { &q.shape } else { &k.shape });
    pairs(heads, q, k, logs, |batch, head, n, m, weight| {
        let slope = |products: &Array| {
            let gain = dot(channels(grad, heads, batch, n, head), channels(v, heads, batch, m, head));
            let product = products.data[(batch * q.shape[1] + n) * heads.count + head];
            heads.scale * weight * (gain - product)
        };
        match of {
            Gradient::Query => add(&mut out, heads, batch, head, [n, m], slope(inputs[5]), k),
            Gradient::Key => add(&mut out, heads, batch, head, [m, n], slope(inputs[5]), q),
            Gradient::Value => add(&mut out, heads, batch, head, [m, n], weight, grad),
        }
    });
    out
}
