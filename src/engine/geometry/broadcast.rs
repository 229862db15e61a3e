//! Broadcasting: several tensors traversed together, each repeated along the axes that it lacks.

use crate::engine::types::Shape;

/// Most axes that a kernel of element-wise functions traverses.
pub const MAX_AXES: usize = 8;

/// The axes along which inputs are traversed to compute an output, outermost first: neighbours with matching strides in
/// every input are merged, and those of extent 1 omitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Extents of the axes.
    pub extents: Vec<usize>,
    /// For every input, its stride along each axis: 0 if it is repeated.
    pub strides: Vec<Vec<usize>>,
}

impl Broadcast {
    /// The traversal of inputs of these shapes, each of which broadcasts to `shape`.
    pub fn of<'a>(shape: &Shape, inputs: impl IntoIterator<Item = &'a Shape>) -> Self {
        let full: Vec<_> = inputs.into_iter().map(|input| input.broadcast_strides(shape)).collect();
        let mut extents: Vec<usize> = Vec::new();
        let mut strides: Vec<Vec<usize>> = vec![Vec::new(); full.len()];
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
        Broadcast { extents, strides }
    }

    /// Whether a kernel can traverse so many axes.
    pub fn fits(&self) -> bool {
        self.extents.len() <= MAX_AXES
    }
}
