//! The operations: one file each, with the tensor methods that record it, its shape rule, its gradient and its launch.

pub mod alias;
pub mod box_resize;
pub mod elementwise;
pub mod gather_slots;
pub mod lookup;
pub mod matmul;
pub mod movement;
pub mod par;
pub mod pixel_loss;
pub mod reduce;
pub mod resize;
