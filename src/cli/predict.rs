//! `tagseg predict`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use tagseg::eval::{PredictOptions, predict};

use super::common::DeviceArg;

/// Segment images with a trained network
///
/// Writes two files an image into DIR: NAME.png, an index mask with the VOC palette at the image's own size, and
/// NAME_overlay.png to look at.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// A run's folder (its newest checkpoint) or a .safetensors file
    #[arg(value_name = "RUN|FILE")]
    network: PathBuf,

    /// Images to segment, JPEG or PNG
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,

    /// Folder for the masks and overlays
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    device: DeviceArg,

    /// Replace files that exist already
    #[arg(long)]
    overwrite: bool,
}

impl PredictArgs {
    pub fn run(self) -> Result<ExitCode> {
        let PredictArgs { network, images, out, device, overwrite } = self;
        let bar = ProgressBar::new(images.len() as u64);
        predict(&PredictOptions { network, images, out, device: device.into(), overwrite }, |mask| {
            bar.inc(1);
            if bar.is_hidden() {
                eprintln!("{}", mask.display());
            }
        })?;
        bar.finish_and_clear();
        Ok(ExitCode::SUCCESS)
    }
}
