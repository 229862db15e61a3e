//! File formats of other programs, and atomic writes.
//!
//! ```text
//! .safetensors ───────────────────────────────┐
//! .pth ─ archive (zip) ─┬─ pickle ── torch ───┴─▶ recognise ─▶ tensor_file
//!        or legacy      ┘
//! ```
//!
//! Foreign files are not trusted: every length is checked against the file's, nothing recurses, no name in a
//! pickle is ever called, and memory stays within a small multiple of the file's size.

pub mod archive;
pub mod brush_rle;
pub mod coco_outline;
pub mod coco_rle;
pub mod durable;
pub mod element;
pub mod fault;
pub mod jpeg;
pub mod jpeg_scan;
#[cfg(feature = "native")]
pub(crate) mod lock;
pub mod npy;
#[cfg(feature = "native")]
pub mod onnx;
pub mod outline;
pub mod pickle;
pub(crate) mod quantised;
mod recognise;
pub mod sealed;
pub mod storage;
pub mod tensor_file;
#[cfg(feature = "native")]
pub(crate) mod text;
#[cfg(feature = "native")]
pub mod tfevents;
pub mod tiff_palette;
pub mod torch;
#[cfg(feature = "native")]
pub(crate) mod yaml;
