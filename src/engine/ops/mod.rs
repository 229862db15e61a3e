//! The operations: one file each, with the tensor methods that record it, its shape rule, its gradient and its launch.
//!
//! Methods give `Result<Tensor>`, and so do the operators `+ - * /`. Element-wise functions broadcast as NumPy's do.
//! Axes are numbers, negative ones count from the end. A reduction takes any [`Axes`](axes::Axes) and drops them; the
//! variant with the suffix `_keep` keeps them with extent 1, so that the result broadcasts back:
//!
//! ```
//! use tagseg::engine::graph::{DType, Graph};
//!
//! let x = Graph::new().input("x", [8, 3, 64, 64], DType::F32);
//! let mean = x.mean_keep([0, 2, 3])?; // [1, 3, 1, 1]
//! let apart = (&x - &mean)?;
//! let variance = (&apart * &apart)?.mean([0, 2, 3])?; // [3]
//! let class = x.softmax(1)?.arg_max(1)?; // [8, 64, 64]
//! # assert_eq!((&variance.shape()[..], &class.shape()[..]), (&[3][..], &[8, 64, 64][..]));
//! # Ok::<(), tagseg::Error>(())
//! ```

pub mod adamw;
pub mod alias;
pub mod assign;
pub mod attention;
pub mod axes;
pub mod batch_norm;
pub mod box_resize;
pub mod conv2d;
pub mod depthwise_conv2d;
mod elementwise;
mod elementwise_kernel;
pub mod exchange;
pub mod flag_nonfinite;
pub mod gather_slots;
pub mod layer_norm;
pub mod lookup;
pub mod matmul;
pub mod movement;
mod norm_sums;
pub mod operators;
pub mod pack;
pub mod par;
pub mod pixel_loss;
pub mod pixels;
pub mod product;
pub mod random;
pub mod reduce;
pub mod resize;
mod rows;
pub mod scatter_slots;
pub mod softmax;
