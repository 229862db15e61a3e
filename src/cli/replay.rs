//! `tagseg replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::run::train::replay;

use super::common::DeviceArg;
use super::output::print;

/// Repeat a step that stopped a run
///
/// A run whose loss or gradients are not finite stops before the weights are touched and keeps the step in
/// RUN/failure. This repeats it, on any device, and names the first value that is not finite. Exits 1 if there is one.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The folder `failure` of the run
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    #[command(flatten)]
    device: DeviceArg,
}

impl ReplayArgs {
    pub fn run(self) -> Result<ExitCode> {
        let replayed = replay(&self.folder, self.device)?;
        print(&format!("step {} on {}\n", replayed.step, replayed.files.join(", ")))?;
        match replayed.culprit {
            Some(culprit) => {
                print(&format!("not finite: {culprit}\n"))?;
                Ok(ExitCode::FAILURE)
            }
            None => {
                print("everything is finite here\n")?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
