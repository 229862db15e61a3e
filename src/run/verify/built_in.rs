//! The small set of golden cases that is part of the program (`golden/`): ops, a block, PAR, the losses, the optimiser.
//! The manifest of `tests/golden/` names these files too.

use crate::error::{Error, Result};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// A file by its name in the set.
        const FILES: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("golden/", $name)))),*];
    };
}

files! {
    "manifest.json",
    "adamw_steps.safetensors",
    "mix_ffn_block.safetensors",
    "op_batch_norm.safetensors",
    "op_losses.safetensors",
    "op_pointwise.safetensors",
    "par_small.safetensors",
    "recipe_check.safetensors",
}

/// The content of `file`.
///
/// # Errors
/// [`Error::Data`] if it is not part of the program.
pub(super) fn read(file: &str) -> Result<Vec<u8>> {
    let found = FILES.iter().find(|(name, _)| *name == file);
    found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| Error::data(file, "is not built in", "rebuild the program"))
}
