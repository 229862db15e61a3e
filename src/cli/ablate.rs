//! `tagseg ablate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::Error;
use tagseg::config::Rung;
use tagseg::run::train::{AblateOptions, STOPPED, Stop, ablate};

use super::common::{ConfigArgs, DeviceArg, within};
use super::output::print;

/// Train the method part by part, and compare
///
/// Trains the rungs of the paper's ablation, each of which adds one part of the method to the one before, with several
/// seeds, and prints how well both branches do: mean ± standard deviation over the seeds. DIR receives ladder.md,
/// ladder.json, ladder.png, feedback.png (both branches over the steps, with and without s2c), and a folder RUNG-SEED
/// for every run.
///
/// Ctrl-C saves first. The same command goes on where it stopped; runs that are finished are not repeated.
#[derive(Debug, Args)]
#[command(after_help = super::config::names())]
pub struct AblateArgs {
    /// Data set to learn from, with masks for val.txt
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Rungs to train [default: cls,c2s,s2c,bsp,ofd,aff]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = Rung::find)]
    rungs: Vec<Rung>,

    /// Seeds to train each rung with [default: three, from --seed on]
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
            let remedy = "give the preset alone, and choose with --rungs";
            return Err(Error::config("preset", format!("`{name}` is one rung, not a ladder"), remedy).into());
        }
        let config = config.resolve()?;
        if rungs.is_empty() {
            rungs = Rung::LADDER.to_vec();
        }
        if seeds.is_empty() {
            seeds = (0..3).map(|next| config.seed.wrapping_add(next)).collect();
        }
        rungs.sort();
        rungs.dedup();
        seeds.sort_unstable();
        seeds.dedup();
        let (device, stop) = (device.into(), Stop::on_signals());
        let options = AblateOptions { config, rungs, seeds, data, out, device, stop };
        let summary = ablate(&options)?;
        if summary.stopped {
            eprintln!("stopped; the same command goes on");
            return Ok(ExitCode::from(STOPPED));
        }
        print(&format!("{}see {}\n", summary.ladder.table(), options.out.join("ladder.md").display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
