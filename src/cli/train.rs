//! `tagseg train`.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::engine::ranks::World;
use tagseg::method::Methods;
use tagseg::run::launch;
use tagseg::run::report::{RunSeries, memory_table};
use tagseg::run::train::{Resume, ResumeOptions, STOPPED, Stop, TrainOptions, TrainSummary, resume_command};

use super::common::{ConfigArgs, DeviceArg, check_free};
use super::output::{one_line, print};

/// Train on a folder of images and tags
///
/// DIR has a folder for each class (cat/*.jpg, dog/*.jpg), or tags in another form: a table (labels.csv), JSON lines,
/// PASCAL VOC, MS-COCO, YOLO, Label Studio or CVAT. The form is found out and reported; docs/data.md describes them all,
/// and `--set data.form=NAME` chooses one. PASCAL VOC layout is JPEGImages/, ImageSets/Segmentation/train.txt, and
/// labels.json with the tags (`{"classes": [...], "tags": {id: [names]}}`); without tags, they are derived from masks.
///
/// Training writes config.toml (every option, resolved), metrics.jsonl (losses and scores, one JSON object per line),
/// checkpoints/ and pictures/ (image, seeds, pseudo labels and prediction at every evaluation) to RUN.
///
/// A run can be interrupted at any time. Ctrl-C saves a checkpoint and stops; a second Ctrl-C stops immediately.
/// `tagseg train --resume RUN` resumes from the newest checkpoint, bit-identically to an uninterrupted run.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Data set to train on
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    data: Option<PathBuf>,

    /// Run folder to create
    #[arg(long, value_name = "RUN", required_unless_present_any = ["resume", "plan"])]
    out: Option<PathBuf>,

    /// Print a step's memory use by tensor and exit
    #[arg(long, conflicts_with = "resume")]
    plan: bool,

    /// Resume a run with the options in its folder; pass --data only if the data set has moved
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "overwrite", "weights"])]
    resume: Option<PathBuf>,

    /// Initialise from a run's newest checkpoint or a .safetensors or .pth file, of an encoder or a whole network
    #[arg(long, value_name = "RUN|FILE")]
    weights: Option<PathBuf>,

    /// Load matching tensors; initialise the rest
    #[arg(long, requires = "weights")]
    partial: bool,

    #[command(flatten)]
    device: DeviceArg,

    /// Overwrite the run in RUN
    #[arg(long)]
    overwrite: bool,

    /// Skip images that do not decode and report how many
    #[arg(long)]
    skip_broken: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

impl TrainArgs {
    pub fn run(self) -> Result<ExitCode> {
        let world = launch::join()?;
        if !world.is_shared() {
            return self.train(&world);
        }
        let failed = |error: &dyn std::fmt::Display| -> ! {
            // Where all fail alike, the first rank says so for all of them.
            if !world.is_first() {
                std::thread::sleep(launch::FIRST_SPEAKS);
            }
            let rank = if world.is_first() { String::new() } else { format!("rank {}: ", world.rank()) };
            let _ = writeln!(std::io::stderr(), "{rank}{error}");
            world.abort(USER_ERROR)
        };
        match catch_unwind(AssertUnwindSafe(|| self.train(&world))) {
            Ok(Ok(code)) => {
                // A launcher may end the others as soon as one has ended: not before the first has saved.
                world.any(false)?;
                Ok(code)
            }
            Ok(Err(error)) => failed(&one_line(&error)),
            Err(_) => failed(&"error: a thread panicked; please report this bug"),
        }
    }

    fn train(mut self, world: &World) -> Result<ExitCode> {
        let stop = Stop::on_signals();
        let (folder, summary) = match self.resume.take() {
            Some(run) => {
                let summary = self.resume(&run, stop, world)?;
                (run, summary)
            }
            None => {
                let plan = self.plan;
                let options = self.options(stop, world)?;
                if plan {
                    return print_plan(&options);
                }
                let summary = tagseg::run::train::run(&options)?;
                (options.out, summary)
            }
        };
        let Some(step) = summary.stopped else { return Ok(ExitCode::SUCCESS) };
        if !world.is_first() {
            return Ok(ExitCode::from(STOPPED));
        }
        // The terminal may be closed.
        let _ = writeln!(std::io::stderr(), "stopped at step {step}; resume with `{}`", resume_command(&folder));
        Ok(ExitCode::from(STOPPED))
    }

    /// Resumes a run.
    fn resume(self, run: &Path, stop: Stop, world: &World) -> Result<TrainSummary> {
        let TrainArgs { data, device, skip_broken, config, .. } = self;
        let resume = Resume::open_in(run, world)?;
        let world = world.clone();
        let config = Some(config.resolve_over(resume.config())?);
        let options =
            ResumeOptions { config, data, device: device.into(), skip_broken, stop, world, ..ResumeOptions::default() };
        Ok(resume.run(&options)?)
    }

    /// The options of a new run. Returns an error if its folder is not empty, unless --overwrite.
    fn options(self, stop: Stop, world: &World) -> Result<TrainOptions> {
        let TrainArgs { data, out, plan, weights, partial, device, overwrite, skip_broken, config, .. } = self;
        let config = config.resolve()?;
        // The parser requires both.
        let (data, out) = (data.unwrap_or_default(), out.unwrap_or_default());
        if !plan && world.is_first() {
            check_free(&out, overwrite)?;
        }
        let (device, series) = (device.into(), RunSeries::default());
        let methods = Methods::default();
        let world = world.clone();
        Ok(TrainOptions {
            config,
            data,
            out,
            weights,
            partial,
            device,
            overwrite,
            skip_broken,
            stop,
            series,
            methods,
            world,
        })
    }
}

/// Exit code when the input is at fault, as in `main`.
const USER_ERROR: i32 = 2;

fn print_plan(options: &TrainOptions) -> Result<ExitCode> {
    let plan = tagseg::run::train::plan(options)?;
    if !options.world.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    match plan {
        Some(plan) => print(&memory_table(&plan))?,
        None => print("the reference interpreter has no memory plan; select another --device\n")?,
    }
    Ok(ExitCode::SUCCESS)
}
