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

/// Measure which kernel variants are fastest on a device, and propose them
///
/// Every choice of the kernel table is measured at the shapes of training steps, one variant after the other in turns,
/// and checked against the plain variant. FILE receives the choices that are clearly faster, the others as they are:
/// a section of the table for this adapter, which every command takes with `--kernels FILE`. Nothing else changes how
/// kernels are chosen.
#[derive(Debug, Args)]
pub struct TuneArgs {
    #[command(flatten)]
    device: DeviceArg,

    /// File for the proposal
    #[arg(long, value_name = "FILE", default_value = "kernels.toml")]
    out: PathBuf,

    /// Replace FILE
    #[arg(long)]
    overwrite: bool,

    /// Measure few shapes, of the small preset only, a few times
    #[arg(long)]
    quick: bool,
}

impl TuneArgs {
    pub fn run(self) -> Result<ExitCode> {
        let TuneArgs { device, out, overwrite, quick } = self;
        check_file_free(&out, overwrite)?;
        let tuned = tune::run(&device.into(), quick, &FileBar::new())?;
        write_atomically(&out, tuned.to_toml()?.as_bytes())?;
        print(&format!("{tuned}\nThe proposal is in {}; take it with --kernels {0}\n", out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
