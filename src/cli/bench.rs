//! `tagseg bench`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::Config;
use tagseg::run::{bench, device};

use super::common::{ConfigArgs, DeviceArg, preset_name, within};
use super::output::print;

/// Time a training step by part and by kernel
///
/// Runs the step of the last training phase on synthetic images. Prints its time by part and by kernel, and each
/// kernel's throughput relative to a plain copy and a plain matrix product measured in the same run. The first step
/// includes shader compilation by the driver; MESA_SHADER_CACHE_DISABLE=true disables the cache of Mesa's drivers.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Preset to time, with or without +RUNG
    #[arg(long, value_name = "NAME", value_parser = preset_name, default_value = "nano")]
    preset: String,

    /// Side of the square crop in pixels, a multiple of 16 [default: the preset's]
    #[arg(long, value_name = "N")]
    crop: Option<String>,

    /// Images per step [default: the preset's]
    #[arg(long, value_name = "N")]
    batch: Option<String>,

    /// Set one option, e.g. `--set ms.scales=[1]`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,

    /// Number of classes, without background
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = within(1_usize..=254))]
    classes: usize,

    /// Number of timed steps and profiles; the median is reported
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(1_usize..=1000))]
    rounds: usize,

    /// Storage of features: `f32` or `mixed` [default: the preset's]
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    #[command(flatten)]
    device: DeviceArg,

    /// Print one JSON object with every kernel instead of tables
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub fn run(self) -> Result<ExitCode> {
        let flags = ConfigArgs {
            crop: self.crop,
            batch: self.batch,
            precision: self.precision,
            assignments: self.assignments,
            ..ConfigArgs::default()
        };
        let config = flags.resolve_over(&Config::preset(&self.preset)?)?;
        let settings = bench::Settings { config, classes: self.classes, rounds: self.rounds };
        let measured = bench::run(&device::open(self.device)?, &settings)?;
        print(&if self.json {
            format!("{}\n", serde_json::to_string_pretty(&measured)?)
        } else {
            measured.to_string()
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
