//! The `tagseg` program: parses the command line, runs one command, turns what happened into an exit code.

mod cli;

use std::process::ExitCode;

/// Exit code when the input is at fault.
const USER_ERROR: u8 = 2;

fn main() -> ExitCode {
    calm_driver();
    match cli::parse().and_then(cli::Cli::run) {
        Ok(code) => code,
        Err(error) => {
            // All processes of a launcher return this error; only the first prints it.
            if !matches!(error.downcast_ref(), Some(tagseg::Error::Launcher { rank: 1.., .. })) {
                eprintln!("{}", cli::one_line(&error));
            }
            ExitCode::from(USER_ERROR)
        }
    }
}

/// Without this variable, Mesa's drivers print two warnings about a missing desktop session, which is not needed here.
fn calm_driver() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the first thing that the program does, with no other thread to read the environment.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}
