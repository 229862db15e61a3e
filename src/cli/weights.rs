//! `tagseg weights`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use tagseg::formats::storage::Reals;
use tagseg::run::report::Table;
use tagseg::run::weights::{
    Checkpoint, Inspection, Layout, convert, convert_to_onnx, convert_to_transformers, inspect,
};

use super::common::check_file_free;
use super::output::print;

/// Inspect weight files and convert between formats
///
/// Reads .safetensors files and files written by torch.save (.pth, .pt), also from before PyTorch 1.6, with any float
/// type. Only tensors are unpickled; a file that references any other object is refused, and no code in it is run.
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

/// List a file's tensors (name, shape, type) and identify their network
#[derive(Debug, Args)]
struct InspectArgs {
    /// Weight file or a run folder (its newest checkpoint)
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Convert weights to safetensors with the tensor names of another program, or a network to ONNX or Transformers
///
/// With a name that ends in .onnx, OUT receives the segmentation branch with normalisation for images of any size: its
/// input are bytes [N, H, W, 3], its outputs the logits of the classes and of the tags. With the layout `transformers`,
/// OUT is a folder that Hugging Face's Transformers loads as a SegFormer, from networks with MiT and ofd.mode=off.
/// Otherwise, the official release loads the layout `official` by name and shape. `huggingface` has the tensor names of
/// SegFormer in Transformers.
#[derive(Debug, Args)]
struct ConvertArgs {
    /// Run folder (its newest checkpoint) or weight file
    #[arg(value_name = "RUN|FILE")]
    source: PathBuf,

    /// File to write: .safetensors, or .onnx for a network with its graph; a folder for the layout `transformers`
    #[arg(value_name = "OUT")]
    out: PathBuf,

    /// Layout of the tensor names [default: official]
    #[arg(long, value_name = "LAYOUT", value_parser = layouts())]
    layout: Option<Target>,

    /// Store the numbers in half precision, in half the space
    #[arg(long)]
    half: bool,

    /// Store weights in 8 bits, with a scale for each output channel, in a quarter of the space; for the layout `tagseg`
    #[arg(long, conflicts_with = "half")]
    int8: bool,

    /// Omit tensors of other networks
    #[arg(long)]
    partial: bool,

    /// Overwrite OUT
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
        let ConvertArgs { source, out, layout, half, int8, partial, overwrite } = self;
        let reals = match (half, int8) {
            (true, _) => Reals::Half,
            (_, true) => Reals::Byte,
            _ => Reals::Whole,
        };
        if let Some(Target::Transformers) = layout {
            if partial {
                bail!("--partial is for weights of other networks; omit it with --layout {TRANSFORMERS}");
            }
            let found = convert_to_transformers(&source, &out, reals, overwrite)?;
            print(&format!("{} for Transformers: {}\n", summary(&found), out.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        check_file_free(&out, overwrite)?;
        if out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
            if layout.is_some() || half || int8 || partial {
                bail!(
                    "--layout, --half, --int8 and --partial are for .safetensors files; omit them for {}",
                    out.display()
                );
            }
            let found = convert_to_onnx(&source, &out)?;
            print(&format!("{} as ONNX: {}\n", summary(&found), out.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let layout = match layout {
            Some(Target::Names(layout)) => layout,
            _ => Layout::Official,
        };
        let done = convert(&source, &out, layout, partial, reals)?;
        for dropped in &done.dropped {
            eprintln!("omitted {}: {}", dropped.name, dropped.reason);
        }
        let (count, scheme, layout) = (done.tensors, done.scheme, layout.name());
        print(&format!("{count} tensors from {scheme} to {layout}: {}\n", out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What --layout names.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// A file with these tensor names.
    Names(Layout),
    /// A folder for Hugging Face's Transformers.
    Transformers,
}

/// The name of [`Target::Transformers`].
const TRANSFORMERS: &str = "transformers";

/// Parser for the value of --layout; the help lists the names.
fn layouts() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(Layout::ALL.map(Layout::name).into_iter().chain([TRANSFORMERS])).map(|name| {
        let layout = Layout::ALL.into_iter().find(|layout| layout.name() == name);
        layout.map_or(Target::Transformers, Target::Names)
    })
}

/// A trained network in a few words.
fn summary(Checkpoint { step, config, classes, .. }: &Checkpoint) -> String {
    format!("{} of {} classes after step {step}", config.model_backbone, classes.len() + 1)
}

/// The tensors, one row each, and a summary.
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
        found.backbone.as_deref().unwrap_or("unknown encoder"),
        found.tensors.len(),
        found.parameters
    );
    for dropped in &found.dropped {
        text.push_str(&format!("not used: {}, {}\n", dropped.name, dropped.reason));
    }
    if !found.unknown.is_empty() {
        text.push_str(&format!("unknown tensors: {}\n", found.unknown.join(", ")));
    }
    text
}
