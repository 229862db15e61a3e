//! `tagseg eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::Error;
use tagseg::run::eval::{ScoreOptions, Scored, score_run};
use tagseg::run::report::{FileBar, score_table};

use super::common::{DeviceArg, ProtocolArgs, check_file_free};
use super::output::print;

/// Score both branches of a trained network
///
/// Prints, as IoU in per cent: the segmentation of one pass, fused over scales in the final test, and after the CRF;
/// then what knows the image's tags: the seeds, the seeds refined by PAR and along the affinity (AFA), and the
/// propagated labels Y_c; and the F1 of the tags themselves. Masks are read from SegmentationClassAug/ or
/// SegmentationClass/.
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

    #[command(flatten)]
    protocol: ProtocolArgs,

    /// Write the scores as one JSON object to FILE, IoU as fractions; without FILE print it instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,

    /// Write the pixel counts of the last segmentation column to FILE, as CSV: true classes down, predicted ones across
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,

    /// Leave out images that do not decode, and count them
    #[arg(long)]
    skip_broken: bool,
}

impl EvalArgs {
    pub fn run(self) -> Result<ExitCode> {
        let EvalArgs { network, data, split, device, protocol, json, confusion, skip_broken } = self;
        // Scoring may take hours: a result must not be lost for want of a place.
        let mut files = json.iter().chain(&confusion).filter(|path| path.as_os_str() != "-");
        files.try_for_each(|path| check_file_free(path, true))?;
        let options = ScoreOptions {
            network,
            data,
            split,
            device: device.into(),
            skip_broken,
            protocol: protocol.protocol(),
            crf: protocol.crf,
            assignments: protocol.assignments(),
        };
        let (model, Scored { scores, confusion: counts }) = score_run(&options, &FileBar::new())?;
        let classes: Vec<_> = std::iter::once("background".to_owned()).chain(model.classes().to_vec()).collect();
        if let Some(path) = confusion {
            std::fs::write(&path, counts.to_csv(&classes)).map_err(Error::io(&path))?;
        }
        let object = format!("{}\n", serde_json::to_string(&scores)?);
        match json {
            Some(path) if path.as_os_str() == "-" => print(&object)?,
            json => {
                if let Some(path) = json {
                    std::fs::write(&path, object).map_err(Error::io(&path))?;
                }
                print(&score_table(&scores, &classes))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
