//! Twin of `shaders/movement.wgsl`.

use super::array::Array;
use crate::engine::geometry::gather::Gather;

/// out\[c\] = x\[Σ offset + c · stride\] inside the valid range of every axis, 0 outside.
pub fn gather(op: &Gather, x: &Array) -> Array {
    let mut coordinate = vec![0usize; op.shape.rank()];
    Array::from_fn(&op.shape, |_| {
        let mut index = op.offset;
        let mut inside = true;
        for (axis, &c) in coordinate.iter().enumerate() {
            inside &= op.valid[axis].contains(&c);
            index += c as i64 * op.strides[axis];
        }
        let value = if inside { x.data[index as usize] } else { 0.0 };
        for axis in (0..coordinate.len()).rev() {
            coordinate[axis] += 1;
            if coordinate[axis] < op.shape[axis] {
                break;
            }
            coordinate[axis] = 0;
        }
        value
    })
}
