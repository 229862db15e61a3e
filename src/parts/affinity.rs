//! Affinity between cells of the seeds' grid: labels of pairs (method.md 6.3), and which pairs are near.

use crate::engine::graph::{Graph, Tensor};
use crate::error::Result;

/// Affinity label from a label \[B, S, S\] (method.md 6.3): \[B, N, N\] over the grid of cells of `cell` pixels per
/// side (16 as released); 1 where two cells agree, 0 where they differ, 255 where one is ignored or they are further
/// apart than `radius` (Chebyshev).
///
/// # Errors
/// If a side is smaller than a cell.
pub fn affinity_label(label: &Tensor, cell: usize, radius: usize) -> Result<Tensor> {
    let [batch, height, width] = label.extents()?;
    let (rows, columns) = (height / cell, width / cell);
    let graph = label.graph();
    let label = nearest(&nearest(label, 1, rows)?, 2, columns)?;
    let tokens = rows * columns;
    let (first, second) = (label.reshape([batch, tokens, 1])?, label.reshape([batch, 1, tokens])?);

    let near = radius_mask(graph, [rows, columns], radius)?;
    let ignore = graph.scalar(255.0);
    let known = ignore.greater(&first)?.mul(&ignore.greater(&second)?)?.mul(&near)?;
    known.select(&first.equal(&second)?, &ignore)?.detach()
}

/// `axis` of a label \[B, H, W\] at `cells` samples (method.md 0.2, nearest): the first pixel of every cell, the pixel
/// 16i of cells of 16.
fn nearest(label: &Tensor, axis: usize, cells: usize) -> Result<Tensor> {
    let mut shape = label.shape().to_vec();
    let pixels = shape[axis];
    if cells == 0 || !pixels.is_multiple_of(cells) {
        let pick = |cell: usize| label.slice(axis as isize, cell * pixels / cells..cell * pixels / cells + 1);
        let picked = (0..cells).map(pick).collect::<Result<Vec<_>>>()?;
        return Tensor::concat(&picked.iter().collect::<Vec<_>>(), axis as isize);
    }
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    shape[axis] = cells;
    label.reshape([outer * cells, pixels / cells, inner])?.slice(1, 0..1)?.reshape(shape)
}

/// 1 where two cells of a grid of `[rows, columns]` are at most `radius` apart (Chebyshev), else 0: \[N, N\].
///
/// # Errors
/// Never for a grid with cells.
pub fn radius_mask(graph: &Graph, [rows, columns]: [usize; 2], radius: usize) -> Result<Tensor> {
    let tokens = rows * columns;
    let near = |of: fn(usize, usize) -> usize| {
        let along: Vec<_> = (0..tokens).map(|token| of(token, columns) as f64).collect();
        let (one, other) = (graph.constant(&along, [tokens, 1]), graph.constant(&along, [1, tokens]));
        graph.scalar(radius as f64).at_least(&one.sub(&other)?.abs()?)
    };
    near(|token, columns| token / columns)?.mul(&near(|token, columns| token % columns)?)
}
