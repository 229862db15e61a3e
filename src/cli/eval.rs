//! `tagseg eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::formats::durable::write_whole;
use tagseg::method::Methods;
use tagseg::run::eval::{ScoreOptions, Scored, score_run};
use tagseg::run::report::{FileBar, score_table};

use super::common::{DeviceArg, ProtocolArgs, check_file_free};
use super::output::print;

/// Score both branches of a trained network
///
/// Prints the IoU of each class in per cent. Segmentation: from one pass, fused over scales (--protocol test), and
/// refined by the CRF (--crf). Labels made with the image's tags: the seeds, the seeds refined by PAR and by affinity
/// (AFA), and the propagated labels Y_c. Also prints the F1 of the predicted tags. Masks are read from
/// SegmentationClassAug/ or SegmentationClass/.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Run folder (its newest checkpoint) or .safetensors file
    #[arg(value_name = "RUN|FILE")]
    network: PathBuf,

    /// Data set with masks
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Split to score: ImageSets/Segmentation/NAME.txt
    #[arg(long, value_name = "NAME", default_value = "val")]
    split: String,

    #[command(flatten)]
    device: DeviceArg,

    #[command(flatten)]
    protocol: ProtocolArgs,

    /// Write the scores to FILE as one JSON object, IoU as fractions; without FILE, print it instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,

    /// Write the confusion matrix of the last segmentation column to FILE as CSV of pixel counts; rows are true classes
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,

    /// Skip images that do not decode or have no mask, and report how many
    #[arg(long)]
    skip_broken: bool,

    /// Overwrite existing files
    #[arg(long)]
    overwrite: bool,
}

impl EvalArgs {
    pub fn run(self) -> Result<ExitCode> {
        let EvalArgs { network, data, split, device, protocol, json, confusion, skip_broken, overwrite } = self;
        // Scoring may take hours: check first that the results can be written.
        let mut files = json.iter().chain(&confusion).filter(|path| path.as_os_str() != "-");
        files.try_for_each(|path| check_file_free(path, overwrite))?;
        let options = ScoreOptions {
            network,
            data,
            split,
            device: device.into(),
            skip_broken,
            protocol: protocol.protocol(),
            crf: protocol.crf,
            assignments: protocol.assignments(),
            methods: Methods::default(),
        };
        let (model, Scored { scores, confusion: counts }) = score_run(&options, &FileBar::new())?;
        let classes: Vec<_> = std::iter::once("background".to_owned()).chain(model.classes().to_vec()).collect();
        if let Some(path) = confusion {
            write_whole(&path, counts.to_csv(&classes).as_bytes())?;
        }
        let object = format!("{}\n", serde_json::to_string(&scores)?);
        match json {
            Some(path) if path.as_os_str() == "-" => print(&object)?,
            json => {
                if let Some(path) = json {
                    write_whole(&path, object.as_bytes())?;
                }
                print(&score_table(&scores, &classes))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
