//! The CPU reference of every op: plain loops in f64, against which the shaders are tested.
//!
//! One file per op, with the variable names of the shader of the same name. The functions know neither graph nor
//! device; [`crate::engine::graph::Op::reference`] calls them.
#![expect(clippy::needless_range_loop, reason = "index loops read side by side with the shaders")]

pub mod adamw;
mod array;
pub mod assign;
pub mod attention;
pub mod batch_norm;
pub mod box_resize;
mod compare;
pub mod conv2d;
pub mod depthwise_conv2d;
pub mod flag_nonfinite;
pub mod gather_slots;
pub mod half;
pub mod layer_norm;
pub mod lookup;
pub mod matmul;
pub mod movement;
pub mod norm_sums;
pub mod pack;
pub mod par;
pub mod pixel_loss;
pub mod pixels;
pub mod random;
pub mod reduce;
pub mod resize;
pub mod scatter_slots;
pub mod softmax;

pub use array::Array;
pub use compare::square_error;
