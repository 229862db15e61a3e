//! `tagseg demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::run::bundled;
use tagseg::run::demo::{self, DemoOptions};

use super::common::{DeviceArg, check_free};
use super::output::print;

/// Segment photographs, train on a generated data set, write a report
///
/// Segments two photographs with the network that comes with tagseg. Then generates images of textured shapes on
/// clutter, trains the preset `nano` from scratch on their tags, scores the network, and writes DIR/report.html, which
/// opens from disk. Takes a few minutes, even on a CPU.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for data set, run and report
    #[arg(long, value_name = "DIR", default_value = "demo")]
    out: PathBuf,

    /// Number of training steps
    #[arg(long, value_name = "N", default_value = "400")]
    steps: String,

    #[command(flatten)]
    device: DeviceArg,

    /// Overwrite the files in DIR
    #[arg(long)]
    overwrite: bool,
}

impl DemoArgs {
    pub fn run(self) -> Result<ExitCode> {
        let config = demo::config(&self.steps)?;
        check_free(&self.out, self.overwrite)?;
        let DemoArgs { out, device, overwrite, .. } = self;
        let device = device.into();
        if bundled::has_animals() {
            for picture in demo::photographs(&out.join("photographs"), &device, overwrite)? {
                print(&format!("photograph segmented: {}\n", picture.display()))?;
            }
        } else {
            eprintln!("no photographs are segmented: {} is not part of this build", bundled::ANIMALS);
        }
        let (report, scores) = demo::demo(&DemoOptions { config, out, device, overwrite })?;
        print(&format!("{}\nopen {}\n", scores.in_words(), report.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
