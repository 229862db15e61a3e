//! `tagseg weights`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use tagseg::run::report::Table;
use tagseg::run::weights::{Inspection, Layout, convert, inspect};

use super::common::check_file_free;
use super::output::print;

/// Look into files of weights and convert them
///
/// Reads .safetensors and what torch.save wrote (.pth, .pt), before 1.6 too, with elements of any float type. Of a
/// pickle only tensors are built; whatever else it names is refused and never run.
#[derive(Debug, Args)]
pub struct WeightsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(InspectArgs),
    Convert(ConvertArgs),
}

/// List the tensors of a file: name, shape, type; and say which network they are of
#[derive(Debug, Args)]
struct InspectArgs {
    /// File of weights, or a run's folder (its newest checkpoint)
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Write weights as safetensors with the names that another program expects
///
/// The official release takes the layout `official` by name and shape; `huggingface` is that of SegFormer there.
#[derive(Debug, Args)]
struct ConvertArgs {
    /// A run's folder (its newest checkpoint) or a file of weights
    #[arg(value_name = "RUN|FILE")]
    source: PathBuf,

    /// File to write
    #[arg(value_name = "OUT.safetensors")]
    out: PathBuf,

    /// Names of the tensors
    #[arg(long, value_name = "LAYOUT", default_value = Layout::Official.name(), value_parser = layouts())]
    layout: Layout,

    /// Leave out tensors of other networks
    #[arg(long)]
    partial: bool,

    /// Replace OUT if it exists
    #[arg(long)]
    overwrite: bool,
}

impl WeightsArgs {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Inspect(args) => args.run(),
            Command::Convert(args) => args.run(),
        }
    }
}

impl InspectArgs {
    fn run(self) -> Result<ExitCode> {
        let found = inspect(&self.file)?;
        print(&if self.json { format!("{}\n", serde_json::to_string_pretty(&found)?) } else { table(&found) })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ConvertArgs {
    fn run(self) -> Result<ExitCode> {
        let ConvertArgs { source, out, layout, partial, overwrite } = self;
        check_file_free(&out, overwrite)?;
        let done = convert(&source, &out, layout, partial)?;
        for dropped in &done.dropped {
            eprintln!("left out {}: {}", dropped.name, dropped.reason);
        }
        let (count, scheme, layout) = (done.tensors, done.scheme, layout.name());
        print(&format!("{count} tensors from {scheme} to {layout}: {}\n", out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Parses the name of a layout; the names show in the help.
fn layouts() -> impl TypedValueParser<Value = Layout> {
    PossibleValuesParser::new(Layout::ALL.map(Layout::name))
        .map(|name| Layout::ALL.into_iter().find(|layout| layout.name() == name).unwrap_or(Layout::Official))
}

/// The tensors, a row each, and what they amount to.
fn table(found: &Inspection) -> String {
    let mut table = Table::new(["tensor", "shape", "type"]);
    for tensor in &found.tensors {
        let extents: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
        table.row([&tensor.name, &extents.join("×"), tensor.dtype]);
    }
    let mut text = format!(
        "{table}\n{}, layout {}, {}: {} tensors, {} parameters\n",
        found.format,
        found.layout,
        found.backbone.as_deref().unwrap_or("no encoder of ours"),
        found.tensors.len(),
        found.parameters
    );
    for dropped in &found.dropped {
        text.push_str(&format!("not used: {}, {}\n", dropped.name, dropped.reason));
    }
    if !found.unknown.is_empty() {
        text.push_str(&format!("of no network of ours: {}\n", found.unknown.join(", ")));
    }
    text
}
