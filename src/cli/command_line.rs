//! The list of subcommands, and the parser of the command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind as Refusal;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use tagseg::run::launch;

use super::{
    ablate, bench, check, config, demo, devices, eval, label, predict, replay, report, shapes, tag, train, tune,
    verify, weights,
};

/// Text after the list of options in `tagseg --help`.
const AFTER_HELP: &str = "\
Getting started:
  tagseg predict photo.jpg            segment a photograph of animals or people
  tagseg demo                         train on generated data, write demo/report.html
  tagseg tag DIR                      give photographs their tags, on a page in a browser
  tagseg check DIR                    validate a data set
  tagseg train --data DIR --out run   train on it
  tagseg train --resume run           resume after Ctrl-C, a crash or a power cut
  tagseg eval run --data DIR          score the trained network
  tagseg predict run photo.jpg        segment a photograph with it
  tagseg label run --data DIR         write the pseudo labels of the training set

Exit codes: 0 success, 1 a check failed or `predict` skipped an image, 2 invalid input or a device error, \
130 interrupted by Ctrl-C (the run can be resumed).";

/// Train semantic segmentation from image tags, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "tagseg", version, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::TrainArgs),
    Eval(eval::EvalArgs),
    Predict(predict::PredictArgs),
    Tag(tag::TagArgs),
    Label(label::LabelArgs),
    Report(report::ReportArgs),
    Ablate(ablate::AblateArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Shapes(shapes::ShapesArgs),
    Verify(verify::VerifyArgs),
    Bench(bench::BenchArgs),
    Tune(tune::TuneArgs),
    Replay(replay::ReplayArgs),
    Devices(devices::DevicesArgs),
    Weights(weights::WeightsArgs),
    Config(config::ConfigArgs),
}

/// Parses the command line. Prints the help or the version and exits if requested.
pub fn parse() -> Result<Cli> {
    let parsed = command().try_get_matches().and_then(|found| Cli::from_arg_matches(&found));
    parsed.map_err(|error| match error.kind() {
        Refusal::DisplayHelp | Refusal::DisplayVersion | Refusal::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => anyhow::anyhow!(cause_and_tip(&error.to_string(), std::env::args().nth(1).as_deref())),
    })
}

/// The command line, which parses -1 as a number instead of a flag, so that the error can name the allowed range.
fn command() -> clap::Command {
    fn with_numbers(command: clap::Command) -> clap::Command {
        let args = command.mut_args(|arg| match arg.get_action().takes_values() {
            true => arg.allow_negative_numbers(true),
            false => arg,
        });
        args.mut_subcommands(with_numbers)
    }
    with_numbers(Cli::command())
}

/// Reduces clap's message of several lines to one: the cause, its tip, and the help to read.
fn cause_and_tip(message: &str, first: Option<&str>) -> String {
    let lines = message.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim);
    // Clap's tip to pass an unknown flag as a value is rarely useful.
    let noise = ["For more information", "tip: to pass"];
    let lines = lines.filter(|line| !line.is_empty() && !noise.iter().any(|start| line.starts_with(start)));
    let text = lines.collect::<Vec<_>>().join("; ").replace(":;", ":");
    let command = first.filter(|name| Cli::command().find_subcommand(name).is_some());
    let command = command.map_or("tagseg".into(), |name| format!("tagseg {name}"));
    format!("{}; see `{command} --help`", text.trim_start_matches("error: "))
}

impl Cli {
    /// Runs the selected subcommand. The exit code is 1 only if a check ran and failed.
    pub fn run(self) -> Result<ExitCode> {
        if !matches!(self.command, Command::Train(_) | Command::Devices(_) | Command::Config(_)) {
            launch::alone()?;
        }
        match self.command {
            Command::Train(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Predict(args) => args.run(),
            Command::Tag(args) => args.run(),
            Command::Label(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Ablate(args) => args.run(),
            Command::Demo(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Shapes(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Bench(args) => args.run(),
            Command::Tune(args) => args.run(),
            Command::Replay(args) => args.run(),
            Command::Devices(args) => args.run(),
            Command::Weights(args) => args.run(),
            Command::Config(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_is_refused_in_one_line() {
        let refusal = |args: &[&str]| match command().try_get_matches_from([&["tagseg"], args].concat()) {
            Ok(_) => String::new(),
            Err(error) => cause_and_tip(&error.to_string(), args.first().copied()),
        };
        let preset = refusal(&["config", "nanoo"]);
        assert!(
            preset.contains("'nanoo'") && preset.contains("coco-literal, nano") && !preset.contains('\n'),
            "{preset}"
        );
        let flag = refusal(&["eval", "run", "--dada", "d"]);
        assert!(flag.starts_with("unexpected argument") && flag.contains("'--data'"), "{flag}");
        assert!(flag.ends_with("; see `tagseg eval --help`"), "{flag}");
        let plain = refusal(&["config", "--set", "x=1"]);
        assert_eq!(plain, "unexpected argument '--set' found; see `tagseg config --help`");
        let command = refusal(&["trian"]);
        assert!(command.ends_with("; see `tagseg --help`"), "{command}");
    }
}
