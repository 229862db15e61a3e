//! `tagseg predict`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use tagseg::run::eval::{PredictOptions, Predicted, predict};

use super::common::{DeviceArg, ProtocolArgs};

/// Segment images with a trained network
///
/// Writes two files an image into DIR: NAME.png, an index mask with the VOC palette at the image's own size, as test
/// servers take it, and NAME_overlay.png to look at. An image that cannot be read is named and left out; the exit code is
/// then 1.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// A run's folder (its newest checkpoint) or a .safetensors file
    #[arg(value_name = "RUN|FILE")]
    network: PathBuf,

    /// Images to segment, JPEG or PNG, and folders of such
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,

    /// Folder for the masks and overlays
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    protocol: ProtocolArgs,

    /// Also write the seeds (NAME_seed.png, NAME_seed_overlay.png) and the propagated label (NAME_y_c.png) of the classes
    /// that the image seems to show
    #[arg(long)]
    seeds: bool,

    #[command(flatten)]
    device: DeviceArg,

    /// Replace files that exist already
    #[arg(long)]
    overwrite: bool,
}

impl PredictArgs {
    pub fn run(self) -> Result<ExitCode> {
        let PredictArgs { network, inputs, out, protocol, seeds, device, overwrite } = self;
        let options = PredictOptions {
            network,
            inputs,
            out,
            device: device.into(),
            overwrite,
            protocol: protocol.protocol(),
            crf: protocol.crf,
            seeds,
            assignments: protocol.assignments(),
        };
        let bar = ProgressBar::new(0);
        let mut unreadable = 0;
        predict(&options, |predicted, images| {
            bar.set_length(images as u64);
            bar.inc(1);
            match predicted {
                Predicted::Mask(mask) if bar.is_hidden() => eprintln!("{}", mask.display()),
                Predicted::Mask(_) => (),
                Predicted::Unreadable(error) => {
                    unreadable += 1;
                    bar.suspend(|| eprintln!("left out {}", error.what()));
                }
            }
        })?;
        bar.finish_and_clear();
        Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}
