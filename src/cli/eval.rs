//! `tagseg eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::common::DeviceArg;
use super::pending;

/// Score both branches of a trained network
///
/// Prints, as IoU in per cent: the segmentation; the seeds and the propagated labels Y_c, which know the image's tags;
/// and the F1 of the tags themselves. Masks are read from SegmentationClassAug/ or SegmentationClass/.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run's folder (its newest checkpoint) or a .safetensors file
    #[arg(value_name = "RUN|FILE")]
    network: PathBuf,

    /// Data set with masks
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// List of images: ImageSets/Segmentation/NAME.txt
    #[arg(long, value_name = "NAME", default_value = "val")]
    split: String,

    #[command(flatten)]
    device: DeviceArg,

    /// Print one JSON object instead of a table, IoU as fractions
    #[arg(long)]
    json: bool,

    /// Leave out images that do not decode, and count them
    #[arg(long)]
    skip_broken: bool,
}

impl EvalArgs {
    pub fn run(self) -> Result<ExitCode> {
        let EvalArgs { network, data, split, device, json, skip_broken } = self;
        // let scores = tagseg::eval::run(EvalOptions { network, data, split, device, skip_broken })?;
        // print(json: serde_json::to_string(&scores), else report::score_table(&scores, &classes))
        let _ = (network, data, split, device.device, json, skip_broken);
        Err(pending("tagseg::eval::run"))
    }
}
