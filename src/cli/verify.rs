//! `tagseg verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::Config;
use tagseg::run::device;
use tagseg::run::verify;

use super::common::{DeviceArg, precision};
use super::output::print;

/// Check that a device computes right
///
/// Runs cases computed in float64 by an independent implementation and prints a line for each: name, worst error,
/// limit, pass or fail. Exits 1 when a case fails. This is how to find out whether a driver can be trusted.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of golden cases with its manifest.json; without it a small set built into the program
    #[arg(value_name = "DIR")]
    cases: Option<PathBuf>,

    /// Storage of features: `f32` or `mixed`, which has limits of its own
    #[arg(long, value_name = "NAME", default_value = "f32")]
    precision: String,

    #[command(flatten)]
    device: DeviceArg,

    /// Print one JSON object at the end instead of a line a case
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    pub fn run(self) -> Result<ExitCode> {
        let mut config = Config::default();
        precision(Some(&self.precision)).iter().try_for_each(|assignment| config.set(assignment))?;
        let session = device::open(self.device)?;
        let report = verify::run(self.cases.as_deref(), &session, config.train_precision, |case| {
            if !self.json {
                // A reader that has gone misses the lines, not the exit code.
                let _ = print(&format!("{case}\n"));
            }
        })?;
        let end = if self.json { format!("{:#}\n", report.to_json()) } else { format!("{}\n", report.summary()) };
        print(&end)?;
        Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
