//! `tagseg train`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::train::TrainOptions;

use super::common::{ConfigArgs, DeviceArg, check_free};

/// Train on a folder of images and tags
///
/// DIR is in PASCAL VOC layout: JPEGImages/, ImageSets/Segmentation/train.txt, and labels.json with the tags
/// (`{"classes": [...], "tags": {id: [names]}}`). Without labels.json the tags are read off the masks in
/// SegmentationClassAug/ or SegmentationClass/.
///
/// RUN receives config.toml (every option, resolved), metrics.jsonl (the record, a JSON object a line), checkpoints/
/// and pictures/ (image, seed, pseudo labels and prediction at every evaluation).
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Data set to learn from
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Folder for the results
    #[arg(long, value_name = "RUN")]
    out: PathBuf,

    /// Start from these weights: .safetensors or .pth, of an encoder alone or of a whole network
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Take what fits of the weights, and leave the rest as it would start without them
    #[arg(long, requires = "weights")]
    partial: bool,

    #[command(flatten)]
    device: DeviceArg,

    /// Replace what RUN holds
    #[arg(long)]
    overwrite: bool,

    /// Leave out images that do not decode, and count them
    #[arg(long)]
    skip_broken: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

impl TrainArgs {
    pub fn run(self) -> Result<ExitCode> {
        let config = self.config.resolve()?;
        check_free(&self.out, self.overwrite)?;
        let TrainArgs { data, out, weights, partial, device, overwrite, skip_broken, .. } = self;
        let device = device.device;
        tagseg::train::run(&TrainOptions { config, data, out, weights, partial, device, overwrite, skip_broken })?;
        Ok(ExitCode::SUCCESS)
    }
}
