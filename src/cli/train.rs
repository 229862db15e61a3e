//! `tagseg train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::run::report::{Place, memory_table};
use tagseg::run::train::{Resume, ResumeOptions, STOPPED, Stop, TrainOptions, TrainSummary, resume_command};

use super::common::{ConfigArgs, DeviceArg, check_free};
use super::output::print;

/// Train on a folder of images and tags
///
/// DIR is in PASCAL VOC layout: JPEGImages/, ImageSets/Segmentation/train.txt, and labels.json with the tags
/// (`{"classes": [...], "tags": {id: [names]}}`). Without labels.json the tags are read off the masks in
/// SegmentationClassAug/ or SegmentationClass/.
///
/// RUN receives config.toml (every option, resolved), metrics.jsonl (the record, a JSON object a line), checkpoints/
/// and pictures/ (image, seed, pseudo labels and prediction at every evaluation).
///
/// A run may end at any time. Ctrl-C saves a checkpoint first; a second one ends at once. `tagseg train --resume RUN`
/// goes on from the newest checkpoint, and what comes out is the same to the last bit as if it had never stopped.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Data set to learn from
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    data: Option<PathBuf>,

    /// Folder for the results
    #[arg(long, value_name = "RUN", required_unless_present_any = ["resume", "plan"])]
    out: Option<PathBuf>,

    /// Print the memory that a step is planned to take, and train nothing
    #[arg(long, conflicts_with = "resume")]
    plan: bool,

    /// Go on with a run; everything else stands in its folder, --data says where its data set was moved to
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "overwrite", "weights"])]
    resume: Option<PathBuf>,

    /// Start from these weights: .safetensors or .pth, of an encoder alone or of a whole network, or those of a run
    #[arg(long, value_name = "RUN|FILE")]
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
    pub fn run(mut self) -> Result<ExitCode> {
        let stop = Stop::on_signals();
        let (folder, summary) = match self.resume.take() {
            Some(run) => {
                let summary = self.resume(&run, stop)?;
                (run, summary)
            }
            None => {
                let plan = self.plan;
                let options = self.options(stop)?;
                if plan {
                    return print_plan(&options);
                }
                let summary = tagseg::run::train::run(&options)?;
                (options.out, summary)
            }
        };
        let Some(step) = summary.stopped else { return Ok(ExitCode::SUCCESS) };
        eprintln!("stopped at step {step}; go on with `{}`", resume_command(&folder));
        Ok(ExitCode::from(STOPPED))
    }

    /// Goes on with a run.
    fn resume(self, run: &Path, stop: Stop) -> Result<TrainSummary> {
        let TrainArgs { data, device, skip_broken, config, .. } = self;
        let resume = Resume::open(run)?;
        let config = Some(config.resolve_over(resume.config())?);
        let options =
            ResumeOptions { config, data, device: device.into(), skip_broken, stop, ..ResumeOptions::default() };
        Ok(resume.run(&options)?)
    }

    /// What a new run needs; its folder is free.
    fn options(self, stop: Stop) -> Result<TrainOptions> {
        let TrainArgs { data, out, plan, weights, partial, device, overwrite, skip_broken, config, .. } = self;
        let config = config.resolve()?;
        // The command line is refused without them.
        let (data, out) = (data.unwrap_or_default(), out.unwrap_or_default());
        if !plan {
            check_free(&out, overwrite)?;
        }
        let (device, place) = (device.into(), Place::default());
        Ok(TrainOptions { config, data, out, weights, partial, device, overwrite, skip_broken, stop, place })
    }
}

fn print_plan(options: &TrainOptions) -> Result<ExitCode> {
    match tagseg::run::train::plan(options)? {
        Some(plan) => print(&memory_table(&plan))?,
        None => print("the interpreter plans no memory; name a device\n")?,
    }
    Ok(ExitCode::SUCCESS)
}
