//! `tagseg demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::Config;
use tagseg::run::demo::{DemoOptions, demo};

use super::common::{DeviceArg, check_free};
use super::output::print;

/// Generate a data set, train on it, write a report
///
/// Generates images of textured shapes on clutter, trains the preset `nano` from scratch on their tags, scores the
/// network, and writes DIR/report.html, which opens from disk. Takes a few minutes, even on a CPU.
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
        let mut config = Config::preset("nano")?;
        config.set("train.crop=64")?;
        config.set(&format!("train.iters={}", self.steps))?;
        config.validate()?;
        check_free(&self.out, self.overwrite)?;
        let DemoArgs { out, device, overwrite, .. } = self;
        let (report, scores) = demo(&DemoOptions { config, out, device: device.into(), overwrite })?;
        print(&format!("{}\nopen {}\n", scores.in_words(), report.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
