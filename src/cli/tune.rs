//! `tagseg tune`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::formats::durable::write_atomically;
use tagseg::run::report::FileBar;
use tagseg::run::tune;

use super::common::{DeviceArg, check_file_free};
use super::output::print;

/// Measure which kernel variants are fastest on a device
///
/// Times the variants of every entry of the kernel table in turns, at the shapes of training steps, and checks their
/// results against the plain variant. Writes a table section for this adapter to FILE: clearly faster variants replace
/// the current ones, other entries stay unchanged. Pass `--kernels FILE` to any command to use it.
#[derive(Debug, Args)]
pub struct TuneArgs {
    #[command(flatten)]
    device: DeviceArg,

    /// File for the kernel table
    #[arg(long, value_name = "FILE", default_value = "kernels.toml")]
    out: PathBuf,

    /// Overwrite FILE
    #[arg(long)]
    overwrite: bool,

    /// Measure fewer shapes (preset nano only), with fewer repetitions
    #[arg(long)]
    quick: bool,
}

impl TuneArgs {
    pub fn run(self) -> Result<ExitCode> {
        let TuneArgs { device, out, overwrite, quick } = self;
        check_file_free(&out, overwrite)?;
        let tuned = tune::run(&device.into(), quick, &FileBar::new())?;
        write_atomically(&out, tuned.to_toml()?.as_bytes())?;
        print(&format!("{tuned}\nWrote {}; use it with --kernels {0}\n", out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
