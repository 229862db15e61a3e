//! `tagseg shapes`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::data::shapes::{ShapesOptions, generate};

use super::common::{check_free, within};

/// Generate the demo's data set: textured shapes on clutter
///
/// Writes a data set in PASCAL VOC layout, with tags in labels.json and masks in SegmentationClassAug/. Every image
/// shows one or two shapes. The same random seed gives a bit-identical data set.
#[derive(Debug, Args)]
pub struct ShapesArgs {
    /// Folder for the data set
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Number of training images
    #[arg(long, value_name = "N", default_value_t = ShapesOptions::default().train, value_parser = within(1_usize..=100_000))]
    train: usize,

    /// Number of validation images
    #[arg(long, value_name = "N", default_value_t = ShapesOptions::default().val, value_parser = within(1_usize..=100_000))]
    val: usize,

    /// Side of the square images in pixels
    #[arg(long, value_name = "S", default_value_t = ShapesOptions::default().size, value_parser = within(32_usize..=4096))]
    size: usize,

    /// Random seed
    #[arg(long, value_name = "N", default_value_t = ShapesOptions::default().seed, value_parser = within(0..=u64::MAX))]
    seed: u64,

    /// Overwrite the files in DIR
    #[arg(long)]
    overwrite: bool,
}

impl ShapesArgs {
    pub fn run(self) -> Result<ExitCode> {
        check_free(&self.out, self.overwrite)?;
        let ShapesArgs { out, train, val, size, seed, overwrite } = self;
        generate(&out, &ShapesOptions { train, val, size, seed, overwrite })?;
        Ok(ExitCode::SUCCESS)
    }
}
