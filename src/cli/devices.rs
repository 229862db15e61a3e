//! `tagseg devices`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::gpu::adapters;
use tagseg::report::Table;

use super::print;

/// List the adapters that could be used
///
/// With driver, type, the features and limits that matter here, and a mark at the one that `--device auto` takes.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

impl DevicesArgs {
    pub fn run(self) -> Result<ExitCode> {
        let adapters = pollster::block_on(adapters());
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&adapters)?))?;
            return Ok(ExitCode::SUCCESS);
        }
        let heads = ["", "#", "adapter", "type", "interface", "f16", "subgroups", "timestamps", "binding", "driver"];
        let mut table = Table::new(heads);
        for adapter in &adapters {
            let yes = |has: bool| if has { "yes" } else { "-" }.to_owned();
            table.row([
                if adapter.automatic { "auto" } else { "" }.to_owned(),
                adapter.index.to_string(),
                adapter.name.clone(),
                adapter.kind.to_owned(),
                adapter.backend.clone(),
                yes(adapter.f16),
                yes(adapter.subgroups),
                yes(adapter.timestamps),
                format!("{} MiB", adapter.max_binding >> 20),
                adapter.driver.clone(),
            ]);
        }
        print(&table.to_string())?;
        if adapters.is_empty() {
            eprintln!("no adapter was found; `--device reference` computes on the CPU");
        }
        Ok(ExitCode::SUCCESS)
    }
}
