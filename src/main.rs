//! The `tagseg` program: parses the command line, runs one command, turns what happened into an exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Exit code when the input is at fault: clap's own for a wrong command line, ours for everything else.
const USER_ERROR: u8 = 2;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", cli::one_line(&error));
            ExitCode::from(USER_ERROR)
        }
    }
}
