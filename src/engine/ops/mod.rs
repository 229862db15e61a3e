//! The operations: one file each, with the tensor methods that record it, its shape rule, its gradient and its launch.

pub mod adamw;
pub mod alias;
pub mod assign;
pub mod attention;
pub mod batch_norm;
pub mod box_resize;
pub mod conv2d;
pub mod depthwise_conv2d;
mod elementwise;
mod elementwise_kernel;
pub mod flag_nonfinite;
pub mod gather_slots;
pub mod layer_norm;
pub mod lookup;
pub mod matmul;
pub mod movement;
mod norm_sums;
pub mod pack;
pub mod par;
pub mod pixel_loss;
pub mod product;
pub mod random;
pub mod reduce;
pub mod resize;
mod rows;
pub mod scatter_slots;
pub mod softmax;
