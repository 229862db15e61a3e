//! `tagseg predict`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::common::DeviceArg;
use super::pending;

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
        // tagseg::eval::predict(PredictOptions { network, images, out, device, overwrite })
        let _ = (network, images, out, device.device, overwrite);
        Err(pending("tagseg::eval::predict"))
    }
}
