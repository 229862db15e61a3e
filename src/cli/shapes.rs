//! `tagseg shapes`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::data::shapes::{ShapesOptions, generate};

use super::common::{check_free, within};

/// Make the demo's data set: textured shapes on clutter, in PASCAL VOC layout
///
/// One seed gives one data set, bit for bit. Every image holds one to three shapes; tags are in labels.json, masks in
/// SegmentationClassAug/.
#[derive(Debug, Args)]
pub struct ShapesArgs {
    /// Folder for the data set
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Images to train on
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = within(1_usize..=100_000))]
    train: usize,

    /// Images to score on
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = within(1_usize..=100_000))]
    val: usize,

    /// Side of the square images in pixels
    #[arg(long, value_name = "S", default_value_t = 64, value_parser = within(32_usize..=4096))]
    size: usize,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(0..=u64::MAX))]
    seed: u64,

    /// Replace what DIR holds
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
