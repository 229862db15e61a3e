//! `tagseg config`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::{Config, Rung};

use super::common::preset_name;
use super::output::print;

/// Print a preset: every option with its value and meaning
///
/// The output is a file for `tagseg train --config`. Delete the options that you do not want to set. Options that count
/// iterations accept a number or a share of the run, e.g. "20%".
#[derive(Debug, Args)]
#[command(after_help = names())]
pub struct ConfigArgs {
    /// Name of the preset; append +RUNG for a subset of the method
    #[arg(value_name = "PRESET[+RUNG]", default_value = Config::DEFAULT_PRESET, value_parser = preset_name)]
    preset: String,
}

/// The names of the presets, and the rungs with their meanings.
pub(super) fn names() -> String {
    let presets: Vec<_> = Config::preset_names().collect();
    let rungs = Rung::ALL.map(|rung| format!("  {:<5} {}\n", rung.name(), rung.summary()));
    format!("Presets: {}\n\nRungs, e.g. `nano+s2c` (paper, Table VI):\n{}", presets.join(", "), rungs.concat())
}

impl ConfigArgs {
    pub fn run(self) -> Result<ExitCode> {
        let rung = self.preset.split_once('+').map(|(_, rung)| Rung::find(rung)).transpose()?;
        let head = rung.map_or_else(String::new, |rung| format!("# {}: {}\n", self.preset, rung.summary()));
        print(&format!("{head}{}", Config::preset(&self.preset)?.to_toml_with_shares()))?;
        Ok(ExitCode::SUCCESS)
    }
}
