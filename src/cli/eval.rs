//! `tagseg eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::eval::score_run;
use tagseg::report::score_table;

use super::common::DeviceArg;
use super::print;

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
        let (model, scores) = score_run(&network, &data, &split, device, skip_broken)?;
        if json {
            print(&format!("{}\n", serde_json::to_string(&scores)?))?;
        } else {
            let classes: Vec<_> = std::iter::once("background".to_owned()).chain(model.classes().to_vec()).collect();
            print(&score_table(&scores, &classes))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
