//! `tagseg report`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::method::Methods;
use tagseg::run::compare::{CompareOptions, compare};

use super::common::check_file_free;
use super::output::print;

/// Write a page about a run, or about several side by side
///
/// The page is one HTML file with curves, scores, the newest pictures and the configuration, and for several runs the
/// options in which they differ. It is made from the folders alone, also while a run is training.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run folders, at most eight
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// File to write
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,

    /// Heading of the page [default: the names of the runs]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// Overwrite FILE
    #[arg(long)]
    overwrite: bool,
}

impl ReportArgs {
    pub fn run(self) -> Result<ExitCode> {
        let ReportArgs { runs, out, title, overwrite } = self;
        check_file_free(&out, overwrite)?;
        let options = CompareOptions { runs, out, title, methods: Methods::default() };
        compare(&options)?;
        print(&format!("open {}\n", options.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
