//! `tagseg config`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::{Config, Rung};

use super::common::preset_name;
use super::output::print;

/// Print a preset: every option with its value and meaning
///
/// The output is a file for `tagseg train --config`. Delete what should stay at its default; options that count
/// iterations may be given as a share of the run, as in "20%".
#[derive(Debug, Args)]
#[command(after_help = names())]
pub struct ConfigArgs {
    /// Name of the preset, with a rung behind a `+` for a part of its method
    #[arg(value_name = "PRESET[+RUNG]", default_value = "voc", value_parser = preset_name)]
    preset: String,
}

/// The presets by name, and the rungs with their meaning.
pub(super) fn names() -> String {
    let presets: Vec<_> = Config::preset_names().collect();
    let rungs = Rung::ALL.map(|rung| format!("  {:<5} {}\n", rung.name(), rung.summary()));
    format!("Presets: {}\n\nRungs, as in `nano+s2c` (paper, Table VI):\n{}", presets.join(", "), rungs.concat())
}

impl ConfigArgs {
    pub fn run(self) -> Result<ExitCode> {
        let rung = self.preset.split_once('+').map(|(_, rung)| Rung::find(rung)).transpose()?;
        let head = rung.map_or_else(String::new, |rung| format!("# {}: {}\n", self.preset, rung.summary()));
        print(&format!("{head}{}", Config::preset(&self.preset)?.to_toml()))?;
        Ok(ExitCode::SUCCESS)
    }
}
