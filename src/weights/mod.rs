//! Weights on disk: our checkpoints, and files from elsewhere in either direction.
//!
//! ```text
//! .safetensors ───────────────────────────────┐
//! .pth ─ archive (zip) ─┬─ pickle ── torch ───┴─▶ tensor_file ──▶ keymap ──▶ import (into a network)
//!        or legacy      ┘                                                └─▶ convert (into another layout)
//! ```
//!
//! Nothing in a foreign file is trusted: every length is checked against the file's, nothing recurses, no name in a
//! pickle is ever called, and what is built stays within a small multiple of the file's size.

mod anatomy;
mod archive;
mod checkpoint;
mod convert;
mod durable;
mod element;
mod fault;
mod import;
mod inspect;
mod keymap;
pub mod pickle;
mod report;
pub mod sealed;
mod shelf;
mod tensor_file;
mod torch;
mod training;

pub use anatomy::Anatomy;
pub use archive::Archive;
pub use checkpoint::Checkpoint;
pub use convert::{Conversion, convert};
pub use durable::write_atomically;
pub use element::{Element, Values};
pub use fault::{Checked, Fault};
pub use import::Import;
pub use inspect::{InspectedTensor, Inspection, inspect};
pub use keymap::{Layout, Mapped, Scheme, from_tagseg, to_tagseg};
pub use report::{KeyReport, Misshaped};
pub use sealed::Tensors;
pub use shelf::{BEST, Found, LATEST, Shelf};
pub use tensor_file::{Dropped, Format, NamedTensor, TensorFile};
pub use training::{Best, DataFacts, RecordFacts, RunFacts, SamplerPosition, Training};
