//! `tagseg replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::method::Methods;
use tagseg::run::train::replay;

use super::common::DeviceArg;
use super::output::print;

/// Repeat the step that stopped a run
///
/// If a loss or gradient is not finite, training stops before it updates the weights and saves the step to RUN/failure.
/// This command repeats the step on any device and prints the first value that is not finite. Exits with code 1 if
/// there is one.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Folder `failure` of the run
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    #[command(flatten)]
    device: DeviceArg,
}

impl ReplayArgs {
    pub fn run(self) -> Result<ExitCode> {
        let replayed = replay(&self.folder, self.device, &Methods::default())?;
        print(&format!("step {} on {}\n", replayed.step, replayed.files.join(", ")))?;
        match replayed.culprit {
            Some(culprit) => {
                print(&format!("not finite: {culprit}\n"))?;
                Ok(ExitCode::FAILURE)
            }
            None => {
                print("all values are finite\n")?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
