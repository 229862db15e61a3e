//! `tagseg config`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::Config;

use super::common::preset_names;
use super::print;

/// Print a preset: every option with its value and meaning
///
/// The output is a file for `tagseg train --config`. Delete what should stay at its default; options that count
/// iterations may be given as a share of the run, as in "20%".
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Name of the preset
    #[arg(value_name = "PRESET", default_value = "voc", value_parser = preset_names())]
    preset: String,
}

impl ConfigArgs {
    pub fn run(self) -> Result<ExitCode> {
        print(&Config::preset(&self.preset)?.to_toml())?;
        Ok(ExitCode::SUCCESS)
    }
}
