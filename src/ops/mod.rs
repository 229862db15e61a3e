//! The operations: one file each, with the tensor methods that record it, its shape rule, its gradient and its launch.

pub mod alias;
pub mod elementwise;
pub mod layer_norm;
pub mod matmul;
pub mod movement;
mod norm_sums;
pub mod reduce;
pub mod softmax;
pub mod unfold;
