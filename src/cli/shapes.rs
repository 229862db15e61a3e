//! `tagseg shapes`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::data::shapes::{ShapesOptions, generate};

use super::common::check_free;

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
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = within(1..=100_000))]
    train: usize,

    /// Images to score on
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = within(1..=100_000))]
    val: usize,

    /// Side of the square images in pixels
    #[arg(long, value_name = "S", default_value_t = 64, value_parser = within(32..=4096))]
    size: usize,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
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

/// Parses a number in a range.
fn within(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("give a whole number from {} to {}", range.start(), range.end())),
    }
}
