//! Twin of `shaders/reduce.wgsl`.

use super::array::Array;

/// The kind of reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// Σ x
    Sum,
    /// max x; its gradient goes to the first maximum.
    Max,
    /// min x
    Min,
    /// Index of the first maximum.
    ArgMax,
}

/// Reduces the middle axis of \[outer, length, inner\].
pub fn reduce(reduction: Reduction, x: &Array, shape: &[usize], [outer, length, inner]: [usize; 3]) -> Array {
    let mut out = Array::zeros(shape);
    for o in 0..outer {
        for i in 0..inner {
            let at = |l: usize| x.data[(o * length + l) * inner + i];
            let mut best = 0;
            let mut sum = 0.0;
            for l in 0..length {
                sum += at(l);
                let better = match reduction {
                    Reduction::Min => at(l) < at(best),
                    _ => at(l) > at(best),
                };
                if better {
                    best = l;
                }
            }
            out.data[o * inner + i] = match reduction {
                Reduction::Sum => sum,
                Reduction::Max | Reduction::Min => at(best),
                Reduction::ArgMax => best as f64,
            };
        }
    }
    out
}
