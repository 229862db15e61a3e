//! `tagseg bench`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::config::Config;
use tagseg::run::bench;
use tagseg::run::device;

use super::common::{ConfigArgs, DeviceArg, preset_name, within};
use super::output::print;

/// Measure a training step: where its time goes on this device
///
/// Runs the step of the last phase on made-up images and prints its time by part and by kernel, each kernel's rates,
/// and how near they come to what a plain copy and a plain matrix product reach in the same run. The first step
/// includes what the driver compiles; Mesa's keep that in a cache, which MESA_SHADER_CACHE_DISABLE=true turns off.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The recipe
    #[arg(long, value_name = "NAME", value_parser = preset_name, default_value = "nano")]
    preset: String,

    /// Side of the crop in pixels, a multiple of 16 [default: the preset's]
    #[arg(long, value_name = "N")]
    crop: Option<String>,

    /// Images in a step [default: the preset's]
    #[arg(long, value_name = "N")]
    batch: Option<String>,

    /// Classes besides background
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = within(1_usize..=254))]
    classes: usize,

    /// Steps and profiles that are measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = within(1_usize..=1000))]
    rounds: usize,

    /// Storage of features: `f32` or `mixed` [default: the preset's]
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    #[command(flatten)]
    device: DeviceArg,

    /// Print one JSON object instead of tables, with every kernel
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub fn run(self) -> Result<ExitCode> {
        let flags =
            ConfigArgs { crop: self.crop, batch: self.batch, precision: self.precision, ..ConfigArgs::default() };
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
