//! The graph: a computation, recorded once with static shapes.
//!
//! Tensor methods (in `src/engine/ops/`) append nodes; [`Graph::gradients`] appends the gradient's nodes; a
//! [`Program`](crate::engine::gpu::Program) or the [interpreter](crate::engine::reference) then runs it any number of
//! times.
//!
//! ```
//! use tagseg::engine::graph::{DType, Graph};
//!
//! let graph = Graph::new();
//! let x = graph.input("x", [2, 3], DType::F32);
//! let w = graph.state("w", [4, 3]);
//! let y = x.linear(&w, None)?;
//! assert_eq!(&y.shape()[..], &[2, 4]);
//! let loss = y.mul(&y)?.sum_all()?;
//! let gradients = graph.gradients(&loss, &[w])?;
//! assert_eq!(&gradients[0].shape()[..], &[4, 3]);
//! # Ok::<(), tagseg::Error>(())
//! ```

mod backward;
mod chain;
pub mod interpreter;
mod node;
mod recording;
mod tensor;

pub use chain::{Chain, Function, Instruction, Operand};
pub(crate) use chain::{MAX_LEAVES, MAX_SCALARS};
pub(crate) use node::root;
pub use node::{Backward, BackwardError, Graph, Kind, Node, NodeId, Op, Tensor};

pub use crate::engine::types::{DType, Shape, Storage, TensorType};
