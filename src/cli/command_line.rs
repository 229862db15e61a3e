//! The list of commands, and how the command line is read.

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind as Refusal;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{ablate, bench, check, config, demo, devices, eval, predict, replay, shapes, train, tune, verify, weights};

/// What comes after the list of commands in `tagseg --help`.
const AFTER_HELP: &str = "\
Start here:
  tagseg demo                                       make data, train, write demo/report.html
  tagseg train --data DIR --preset nano --out run   train on a folder of your own
  tagseg check DIR                                  find what is wrong with it before
  tagseg train --resume run                         go on after a Ctrl-C, a crash or a power cut
  tagseg eval run --data DIR                        score it
  tagseg predict run --out seen photo.jpg           segment a photo

Exit codes: 0 done, 1 what `verify`, `devices --verify`, `check` or `replay` looked into is wrong or `predict` left an \
image out, 2 something about the input is wrong, 130 training was stopped by Ctrl-C and can go on.";

/// Learn to segment images from image tags alone, on any GPU.
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

/// Reads the command line. Where help or the version was asked for, prints it and ends the process.
pub fn parse() -> Result<Cli> {
    let parsed = command().try_get_matches().and_then(|found| Cli::from_arg_matches(&found));
    parsed.map_err(|error| match error.kind() {
        Refusal::DisplayHelp | Refusal::DisplayVersion | Refusal::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => anyhow::anyhow!(cause_and_tip(&error.to_string(), std::env::args().nth(1).as_deref())),
    })
}

/// The command line, on which -1 is a number and no flag, so that who is given it can say what may stand there.
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

/// What is wrong and what would be right, out of clap's message of many lines, and which help tells more.
fn cause_and_tip(message: &str, first: Option<&str>) -> String {
    let lines = message.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim);
    // To give what looks like an unknown flag as a value is hardly ever what was meant.
    let noise = ["For more information", "tip: to pass"];
    let lines = lines.filter(|line| !line.is_empty() && !noise.iter().any(|start| line.starts_with(start)));
    let text = lines.collect::<Vec<_>>().join("; ").replace(":;", ":");
    let command = first.filter(|name| Cli::command().find_subcommand(name).is_some());
    let command = command.map_or("tagseg".into(), |name| format!("tagseg {name}"));
    format!("{}; `{command} --help` lists what there is", text.trim_start_matches("error: "))
}

impl Cli {
    /// Runs the command that was asked for. The exit code is 1 only where a check ran and failed.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Train(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Predict(args) => args.run(),
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
        assert!(flag.ends_with("`tagseg eval --help` lists what there is"), "{flag}");
        let plain = refusal(&["config", "--set", "x=1"]);
        assert_eq!(plain, "unexpected argument '--set' found; `tagseg config --help` lists what there is");
        let command = refusal(&["trian"]);
        assert!(command.ends_with("`tagseg --help` lists what there is"), "{command}");
    }
}
