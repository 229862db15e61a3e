//! `tagseg ablate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::Error;
use tagseg::config::Rung;
use tagseg::method::Methods;
use tagseg::run::ablate::{AblateOptions, ablate};
use tagseg::run::train::{STOPPED, Stop};

use super::common::{ConfigArgs, DeviceArg, within};
use super::output::print;

/// Train the method part by part and compare
///
/// Trains the rungs of the paper's ablation, each of which adds one part of the method to the rung before, with several
/// random seeds. Prints the scores of both branches as mean ± standard deviation over the seeds. Writes ladder.md,
/// ladder.json, ladder.png, feedback.png (both branches over the steps, with and without s2c) and one run folder
/// RUNG-SEED per run to DIR.
///
/// Ctrl-C saves a checkpoint and stops. The same command resumes; finished runs are not repeated.
#[derive(Debug, Args)]
#[command(after_help = super::config::names())]
pub struct AblateArgs {
    /// Data set to train on, with masks for the images in val.txt
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Rungs to train [default: those of cls,c2s,s2c,bsp,ofd,aff that differ from the rung before]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = Rung::find)]
    rungs: Vec<Rung>,

    /// Random seeds to train each rung with [default: three, starting at --seed]
    #[arg(long, value_name = "N,M", value_delimiter = ',', value_parser = within(0..=u64::MAX))]
    seeds: Vec<u64>,

    #[command(flatten)]
    device: DeviceArg,

    #[command(flatten)]
    config: ConfigArgs,
}

impl AblateArgs {
    pub fn run(self) -> Result<ExitCode> {
        let AblateArgs { data, out, mut rungs, mut seeds, device, config } = self;
        if let Some(name) = config.preset.as_ref().filter(|name| name.contains('+')) {
            let remedy = "give the preset alone and select rungs with --rungs";
            return Err(Error::config("preset", format!("`{name}` selects a single rung"), remedy).into());
        }
        let config = config.resolve()?;
        if rungs.is_empty() {
            rungs = Rung::ladder_of(&config)?;
        }
        if seeds.is_empty() {
            seeds = (0..3).map(|next| config.seed.wrapping_add(next)).collect();
        }
        rungs.sort();
        rungs.dedup();
        seeds.sort_unstable();
        seeds.dedup();
        let (device, stop) = (device.into(), Stop::on_signals());
        let options = AblateOptions { config, rungs, seeds, data, out, device, stop, methods: Methods::default() };
        let summary = ablate(&options)?;
        if summary.stopped {
            eprintln!("stopped; resume with the same command");
            return Ok(ExitCode::from(STOPPED));
        }
        print(&format!("{}report: {}\n", summary.ladder.table(), options.out.join("ladder.md").display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
