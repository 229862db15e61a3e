//! The command line: one file per subcommand, each with its flags and a `run` that calls the library and prints.

mod ablate;
mod bench;
mod check;
mod command_line;
mod common;
mod config;
mod demo;
mod devices;
mod eval;
mod label;
mod output;
mod predict;
mod replay;
mod report;
mod shapes;
mod tag;
mod train;
mod tune;
mod verify;
mod weights;

pub use command_line::{Cli, parse};
pub use output::one_line;
