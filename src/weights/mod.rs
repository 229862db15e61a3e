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
mod element;
mod fault;
mod import;
mod inspect;
mod keymap;
pub mod pickle;
mod report;
mod tensor_file;
mod torch;

pub use anatomy::Anatomy;
pub use archive::Archive;
pub use checkpoint::{Checkpoint, write_atomically};
pub use convert::{Conversion, convert};
pub use element::{Element, Values};
pub use fault::{Checked, Fault};
pub use import::Import;
pub use inspect::{InspectedTensor, Inspection, inspect};
pub use keymap::{Layout, Mapped, Scheme, from_tagseg, to_tagseg};
pub use report::{KeyReport, Misshaped};
pub use tensor_file::{Dropped, Format, NamedTensor, TensorFile};
