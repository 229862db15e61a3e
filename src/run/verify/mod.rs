//! Golden cases: whether a device computes what an independent float64 implementation computed.
//!
//! The runner behind `tagseg verify` and behind `cargo test`. A folder of cases holds a `manifest.json`
//! ([`manifest`]) and a safetensors file per case ([`golden`]); a case's runner ([`cases`]) records what the case is
//! about through the public methods of the engine and the method, and its results are compared with the stored ones
//! by the manifest's tolerances ([`judge`]).
//!
//! ```
//! use tagseg::config::Precision;
//!
//! let session = tagseg::Session::open("reference")?;
//! let report = tagseg::run::verify::run(None, &session, Precision::F32, |case| println!("{case}"))?;
//! assert!(report.passed, "{report}");
//! # Ok::<(), tagseg::Error>(())
//! ```

mod built_in;
pub mod cases;
pub mod golden;
pub mod judge;
pub mod manifest;
#[cfg(test)]
mod misfits;
pub mod recipe;
mod report;
mod runner;
#[cfg(test)]
mod sizes;

pub use report::{CaseReport, Report};
pub use runner::{run, run_set};
