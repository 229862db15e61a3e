//! The options of a run: name, type, default, range and meaning of each, defined in `options.rs`.
//!
//! A configuration starts from a preset, overridden by a file, then by `--set key=value`, then by the short flags:
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
//! Options that count iterations also accept a share of the run (`"20%"`). Such an option follows `train.iters` until
//! it is set to a number. Written configurations always contain the number.

mod check;
mod kernel_table;
mod memory;
mod modes;
mod options;
mod presets;
mod retired;
mod rung;
mod text;
mod value;

pub use memory::MemoryLimit;
pub use modes::{
    AffLabel, BspBackground, DataForm, Fuse, LossKind, MsMode, OfdMode, Pooling, Precision, Propagation, S2cMap,
    SigmaSDomain, Start, YsSource,
};
pub use options::{Config, OptionInfo};
pub use rung::Rung;
pub use value::{Limit, OptionValue};
