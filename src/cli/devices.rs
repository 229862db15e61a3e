//! `tagseg devices`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::HumanDuration;
use serde::Serialize;
use tagseg::config::Precision;
use tagseg::engine::gpu::{AdapterReport, Device, DeviceChoice, adapters, gibibytes};
use tagseg::engine::kernel::KernelTable;
use tagseg::engine::self_test;
use tagseg::engine::self_test::{Standing, Verdict};
use tagseg::run::device;
use tagseg::run::report::Table;
use tagseg::run::train::{Fit, fit};
use tagseg::run::verify;

use super::output::print;

/// List the available adapters
///
/// Prints each adapter's driver, type, relevant features and limits, kernel table section and self-test results, and
/// marks the adapter that `--device auto` selects.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print the largest training step of the presets nano and voc that fits each adapter's limits
    #[arg(long)]
    fit: bool,

    /// Check each adapter against the built-in golden cases; exits with code 1 if a case fails
    #[arg(long)]
    verify: bool,

    /// Select kernels from this table, as other commands do, if it has a section for the adapter
    #[arg(long, value_name = "FILE")]
    kernels: Option<KernelTable>,

    /// Print one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// An adapter with the requested results.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    adapter: AdapterReport,
    /// `None` if no device can be created on the adapter.
    #[serde(flatten)]
    kernels: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<Vec<Fit>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    /// Summary of `verify`.
    #[serde(skip)]
    summary: String,
}

impl DevicesArgs {
    pub fn run(self) -> Result<ExitCode> {
        let adapters = pollster::block_on(adapters());
        let lines = adapters.into_iter().map(|adapter| self.line(adapter)).collect::<Result<Vec<_>>>()?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&lines)?))?;
        } else {
            print(&table(&lines))?;
            for line in &lines {
                print(&line.answers())?;
            }
        }
        if lines.is_empty() {
            eprintln!("no adapter found; use `--device reference` to compute on the CPU");
        }
        let wrong = lines.iter().any(|line| line.verified == Some(false));
        Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Collects the requested results for one adapter.
    fn line(&self, mut adapter: AdapterReport) -> Result<Line> {
        let choice = DeviceChoice::named(adapter.index.to_string()).kernels(self.kernels.clone());
        let choice = device::with_environment(choice)?;
        let (section, _) = KernelTable::choose(self.kernels.as_ref(), &adapter.name, adapter.class);
        adapter.section = section.to_owned();
        let kernels = pollster::block_on(kernels(&choice))?;
        let mut line = Line { adapter, kernels, fit: None, verified: None, summary: String::new() };
        if self.fit {
            let largest = line.adapter.max_binding.min(line.adapter.max_buffer);
            let target = line.kernels.as_ref().map_or(line.adapter.class.into(), |kernels| kernels.target);
            let fits = ["nano", "voc"].map(|preset| fit(preset, largest, target));
            line.fit = Some(fits.into_iter().filter_map(Result::transpose).collect::<tagseg::Result<_>>()?);
        }
        if self.verify {
            let session = device::open(choice)?;
            let report = verify::run(None, &session, Precision::F32, |_| ())?;
            line.verified = Some(report.passed);
            line.summary = if report.passed { report.summary() } else { report.to_string() };
        }
        Ok(line)
    }
}

impl Line {
    /// The results as text, one per line.
    fn answers(&self) -> String {
        let mut text = self.kernels.iter().map(|kernels| self.standings(kernels)).collect::<String>();
        for Fit { preset, crop, batch, bytes } in self.fit.iter().flatten() {
            text += &format!(
                "{}: {preset} at {crop}² fits up to {batch} images per step, with {:.1} GiB of free memory\n",
                self.adapter.index,
                gibibytes(*bytes)
            );
        }
        if self.verified.is_some() {
            text += &format!("{}: {}\n", self.adapter.index, self.summary);
        }
        text
    }

    /// The reason why a kernel family is missing.
    fn missing(&self, family: &str) -> String {
        let adapter = &self.adapter;
        let (there, needs) = match family {
            "cooperative matrices" if adapter.matrices.is_empty() => (false, String::new()),
            "cooperative matrices" => {
                let others = adapter.matrices.join(" and ");
                (adapter.cooperative, format!(" (it supports {others}, not 8x8x8 f32 to f32)"))
            }
            "cooperative matrices of halves" => {
                let needs = "8x8x8 or 16x16x16 f16 to f32 and whole subgroups of 8 to 64";
                (adapter.half_matrices.is_some(), format!(" (they require {needs})"))
            }
            "conversions of halves" => (adapter.converts_halves, " (they require functions for halves)".to_owned()),
            _ => (adapter.subgroup.is_some(), " (they require subgroups of 4 or 8)".to_owned()),
        };
        if there { "within these limits".to_owned() } else { format!("on this device{needs}") }
    }

    /// The status of each family of fast kernels.
    fn standings(&self, kernels: &Verdict) -> String {
        let standings = kernels.families.iter().map(|(family, standing)| match (standing, kernels.since) {
            (Standing::Chosen, _) => format!("{family} chosen"),
            (Standing::NotNeeded, _) => format!("{family} not needed here"),
            (Standing::Missing, _) => format!("{family} not {}", self.missing(family)),
            (Standing::Refused, None) => format!("{family} failed their self-test"),
            (Standing::Refused, Some(since)) => {
                let ago = HumanDuration(since.elapsed().unwrap_or_default());
                format!("{family} failed their self-test {ago} ago")
            }
        });
        format!("{}: {}\n", self.adapter.index, standings.collect::<Vec<_>>().join(", "))
    }
}

/// The self-test results of an adapter's fast kernels, or `None` if no device can be created on it.
async fn kernels(choice: &DeviceChoice) -> Result<Option<Verdict>> {
    let Ok(device) = Device::open(choice).await else { return Ok(None) };
    let verdict = self_test::verdict(self_test::FAMILIES, &device, device::cache_folder().as_deref()).await?;
    verdict.notices.iter().for_each(|notice| eprintln!("{notice}"));
    Ok(Some(verdict))
}

fn table(lines: &[Line]) -> String {
    let heads = [
        "",
        "#",
        "adapter",
        "type",
        "backend",
        "f16",
        "subgroups",
        "matrices",
        "timestamps",
        "binding",
        "kernels",
        "driver",
    ];
    let mut table = Table::new(heads);
    for Line { adapter, .. } in lines {
        let yes = |has: bool| if has { "yes" } else { "-" }.to_owned();
        table.row([
            if adapter.automatic { "auto" } else { "" }.to_owned(),
            adapter.index.to_string(),
            adapter.name.clone(),
            adapter.kind.to_owned(),
            adapter.backend.clone(),
            yes(adapter.f16),
            yes(adapter.subgroups),
            yes(adapter.cooperative || adapter.half_matrices.is_some()),
            yes(adapter.timestamps),
            format!("{} MiB", adapter.max_binding >> 20),
            adapter.section.clone(),
            adapter.driver.clone(),
        ]);
    }
    table.to_string()
}
