//! Semantic segmentation learned from image tags alone, on any GPU.
//!
//! Two things in one crate: a small tensor and autograd engine whose kernels are all WGSL compute shaders, and the
//! method BMP on top of it, a network of two branches that supervise each other. The program `tagseg` is a thin face
//! of this library.
//!
//! # Ten minutes
//!
//! **Record.** Tensor methods compute nothing: they append nodes of static shape to a [`Graph`](engine::graph::Graph). A
//! mistake shows here, with the op, the shapes and your line. Four values drive a graph: what the host writes before
//! each run (`input`), what lives between runs under a name (`state`), what never changes (`constant`), and what is
//! computed.
//!
//! ```
//! use tagseg::Session;
//! use tagseg::engine::graph::{DType, Graph};
//!
//! let graph = Graph::new();
//! let x = graph.input("x", [4, 2], DType::F32);
//! let truth = graph.input("truth", [4, 1], DType::F32);
//! let (weight, bias) = (graph.state("weight", [1, 2]), graph.state("bias", [1]));
//! let miss = (x.linear(&weight, Some(&bias))? - &truth)?;
//! let loss = (&miss * &miss)?.mean(..)?;
//!
//! let error = x.matmul(&truth).unwrap_err().to_string();
//! assert!(error.starts_with("matmul") && error.contains("f32[4, 2] f32[4, 1]"), "{error}");
//!
//! // Differentiate. The gradient is more nodes of the same graph; an op without one is an error, here and now.
//! let parameters = [weight, bias];
//! let gradients = graph.gradients(&loss, &parameters)?;
//!
//! // Update. A state takes a new value in every run: stochastic gradient descent in two lines.
//! for (parameter, gradient) in parameters.iter().zip(&gradients) {
//!     parameter.assign(&(parameter - (0.2 * gradient)?)?)?;
//! }
//!
//! // Compile, once. A session is a device with its states: `auto` takes the best adapter, `reference` is the f64
//! // interpreter on the CPU. Here chains of element-wise functions are fused and every buffer is planned.
//! let mut session = Session::open("reference")?;
//! session.set_state("weight", &[1, 2], &[0.0, 0.0])?;
//! session.set_state("bias", &[1], &[0.0])?;
//! let mut step = session.compile(&graph, &[&loss])?;
//!
//! // Replay. A run only hands its work over: nothing is allocated, and nothing waits until a value is read.
//! step.write(&x, &[0.0_f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
//! step.write(&truth, &[1.0_f32, 4.0, 3.0, 6.0])?; // 1 + 2·x₀ + 3·x₁
//! for _ in 0..300 {
//!     step.run()?;
//! }
//! assert!(step.read(&loss)?[0] < 1e-5);
//! let (_, learned) = session.state("weight")?;
//! assert!((learned[0] - 2.0).abs() < 0.01 && (learned[1] - 3.0).abs() < 0.01, "{learned:?}");
//! # Ok::<(), tagseg::Error>(())
//! ```
//!
//! **Layers** bring their parameters with them, and an **optimiser** is one call. What changes from step to step, here
//! the learning rate and AdamW's bias corrections, is an input, never a new graph:
//!
//! ```
//! use tagseg::Session;
//! use tagseg::engine::graph::{DType, Graph};
//! use tagseg::engine::nn::{Init, Linear, Scope};
//! use tagseg::engine::optim::AdamW;
//!
//! let graph = Graph::new();
//! let scope = Scope::root(&graph);
//! let x = graph.input("x", [8, 16], DType::F32);
//! let first = Linear::new(&scope.at("first"), 16, 32, Init::Normal(0.2), Init::Constant(0.0));
//! let last = Linear::new(&scope.at("last"), 32, 1, Init::Normal(0.2), Init::Constant(0.0));
//! let score = last.forward(&first.forward(&x)?.gelu()?)?;
//! let loss = (&score * &score)?.mean(..)?;
//! let optimiser = AdamW::new(1e-2).step(&loss, &scope.trainable())?;
//!
//! let mut session = Session::open("reference")?;
//! scope.initialise(&mut session, 1)?;
//! let mut step = session.compile(&graph, &[&loss])?;
//! step.write(&x, &(0..128).map(|i| f64::from(i % 7) / 7.0).collect::<Vec<_>>())?;
//! let mut losses = Vec::new();
//! for n in 1..=20 {
//!     optimiser.write(&mut step, n)?;
//!     step.run()?;
//!     losses.push(step.read(&loss)?[0]);
//! }
//! assert!(losses[19] < 0.2 * losses[0], "{losses:?}");
//! # Ok::<(), tagseg::Error>(())
//! ```
//!
//! Operators, reductions and axes are those of NumPy and PyTorch: `(&a + &b)?`, `x.softmax(-1)?`, `x.mean([0, 2])?`; see
//! [`engine::ops`]. Graphs, tensors, sessions and programs may be sent to other threads.
//!
//! **A trained network** is three lines. [`run::train::run`] trains one from a folder of images to a folder of results, and
//! [`run::train::Trainer`] is the training step alone.
//!
//! ```no_run
//! use std::path::Path;
//! use tagseg::data::Rgb8;
//! use tagseg::run::eval::Model;
//!
//! let model = Model::load(Path::new("run"), "auto")?;
//! let mask = model.segment(&Rgb8::read(Path::new("photo.jpg"))?)?;
//! println!("{} pixels of {}", mask.histogram()[1], model.classes()[0]);
//! # Ok::<(), tagseg::Error>(())
//! ```
//!
//! # Map
//!
//! Each row uses the rows below it.
//!
//! | Module | Subject |
//! |---|---|
//! | [`run`] | a method in use: training, scores, predictions, reports, checkpoints, measurements |
//! | [`method`] | what is recorded in a training step |
//! | [`parts`] | what methods are made of: networks, seeds, propagation, pseudo labels, losses |
//! | [`data`], [`config`] | data sets, augmentation and loading; every option |
//! | [`formats`] | other people's files |
//! | [`engine::optim`], [`engine::nn`] | optimisers; layers and their parameters |
//! | [`Session`], [`Program`] | the common interface of a device and the interpreter |
//! | [`engine::gpu`], [`engine::self_test`] | adapters, plans and their replay; tests of the fast kernels on a device |
//! | [`engine::ops`], [`engine::graph`] | one operation a file; recording, gradients, the interpreter |
//! | [`engine::reference`] | the CPU twin of every op, plain loops in f64 |
//!
//! `examples/add_an_op.rs` shows how an op is added, `docs/design.md` why all of this is as it is.

#[cfg(feature = "method")]
pub mod config;
#[cfg(feature = "method")]
pub mod data;
pub mod engine;
mod error;
#[cfg(feature = "method")]
pub mod formats;
#[cfg(feature = "method")]
pub mod method;
#[cfg(feature = "method")]
pub mod parts;
#[cfg(feature = "method")]
pub mod run;

pub use engine::session::{Program, Session, Values};
pub use error::{Error, Result};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
