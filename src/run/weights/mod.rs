//! Weights on disk: the checkpoints of runs, and import and export of other programs' files.

mod checkpoint;
mod checkpoints;
mod convert;
mod import;
mod inspect;
mod keymap;
mod report;
mod training;
#[cfg(feature = "native")]
mod transformers;

pub use checkpoint::Checkpoint;
pub use checkpoints::{BEST, Checkpoints, Found, LATEST};
#[cfg(feature = "native")]
pub use convert::convert_to_onnx;
pub use convert::{Conversion, convert};
pub use import::Import;
pub use inspect::{InspectedTensor, Inspection, inspect};
pub use keymap::{Layout, Mapped, Scheme, from_tagseg, to_tagseg};
pub use report::{KeyReport, Misshaped};
pub use training::{Best, DataFacts, HISTORY, RecordFacts, RunFacts, SamplerPosition, Training};
#[cfg(feature = "native")]
pub use transformers::convert_to_transformers;
