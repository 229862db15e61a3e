//! Every option of a run: name, type, default, limits and meaning, each said once (in `options.rs`).
//!
//! A configuration starts as a preset, takes a file over it, then `--set key=value`, then the short flags:
//!
//! ```
//! use tagseg::config::Config;
//!
//! let mut config = Config::preset("nano")?;
//! config.load_toml("batch.global = 4\n\"sigma_s.domain\" = \"logit\"")?;
//! config.set("train.iters=600")?;
//! assert_eq!((config.batch_global, config.schedule_n_c2s), (4, 120));
//! # Ok::<(), tagseg::Error>(())
//! ```
//!
//! Options that count iterations may also be given as a share of the run (`"20%"`). Such an option follows
//! `train.iters` until it is given as a number; what is written out is always the number.

mod check;
mod memory;
mod modes;
mod options;
mod presets;
mod rung;
mod text;
mod value;

pub use memory::MemoryLimit;
pub use modes::{
    AffLabel, Backbone, BspBackground, EncoderSizes, Fuse, KEY_REDUCTION, LossKind, MsMode, OfdMode, Pooling,
    Precision, Propagation, S2cMap, SigmaSDomain, YcSource, YsSource,
};
pub use options::{Config, OptionInfo};
pub use rung::Rung;
pub use value::{Limit, Value};
