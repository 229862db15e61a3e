//! `tagseg verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::Config;
use tagseg::run::{device, verify};

use super::common::{DeviceArg, precision};
use super::output::print;

/// Check a device against golden values
///
/// Compares the device's results with values computed in float64 by an independent implementation. Prints one line per
/// case: name, worst error, limit, pass or fail. Exits with code 1 if a case fails. Use it to test a graphics driver.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of golden cases with a manifest.json [default: a small built-in set]
    #[arg(value_name = "DIR")]
    cases: Option<PathBuf>,

    /// Storage of features: `f32`, or `mixed` with wider error limits
    #[arg(long, value_name = "NAME", default_value = "f32")]
    precision: String,

    #[command(flatten)]
    device: DeviceArg,

    /// Print one JSON object at the end instead of one line per case
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
                // An error while printing must not change the exit code.
                let _ = print(&format!("{case}\n"));
            }
        })?;
        let end = if self.json { format!("{:#}\n", report.to_json()) } else { format!("{}\n", report.summary()) };
        print(&end)?;
        Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
