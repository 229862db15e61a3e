//! `tagseg devices`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::pending;

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
        // tagseg::gpu::adapters(), as report::Table or as JSON
        let _ = self.json;
        Err(pending("tagseg::gpu::adapters"))
    }
}
