//! The operations: one file each, with the tensor methods that record it, its shape rule, its gradient and its launch.

pub mod alias;
pub mod elementwise;
pub mod gather_slots;
pub mod layer_norm;
pub mod lookup;
pub mod matmul;
pub mod movement;
mod norm_sums;
pub mod par;
pub mod pixel_loss;
pub mod reduce;
pub mod resize;
pub mod softmax;
pub mod unfold;
