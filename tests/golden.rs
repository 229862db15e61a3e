//! The golden cases of `tests/golden/`, on the device that `auto` selects and on the f64 interpreter.
//!
//! Omitted from the folder, because they are large and covered by others: `mit_b1_forward`, the stored weights
//! of the small networks (the hash recipe generates them), the larger pictures of `par_refinement`, and the ops and
//! blocks that the table of `tests/ops` and the network cases run. `tagseg verify DIR` runs a complete folder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use tagseg::Result;
use tagseg::config::Precision;
use tagseg::engine::gpu::{DeviceChoice, adapters};
use tagseg::engine::kernel::{HalfProduct, KernelTable, Kernels};
use tagseg::run::{device, verify};

fn check(device: impl Into<DeviceChoice>, dir: Option<&Path>, precision: Precision) -> Result<()> {
    let report = verify::run(dir, &device::open(device)?, precision, |case| println!("{case}"))?;
    assert!(report.passed && !report.cases.is_empty(), "{report}");
    Ok(())
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

#[test]
fn the_device_computes_the_golden_cases() -> Result<()> {
    check("auto", Some(folder()), Precision::F32)
}

#[test]
fn the_interpreter_computes_the_golden_cases() -> Result<()> {
    check("reference", Some(folder()), Precision::F32)
}

#[test]
fn the_built_in_set_passes() -> Result<()> {
    check("auto", None, Precision::F32)?;
    check("reference", None, Precision::F32)
}

/// Protects: half precision is accurate within its own limits, on a device and in its reference.
#[test]
fn the_golden_cases_pass_with_features_in_half_precision() -> Result<()> {
    check("auto", Some(folder()), Precision::Mixed)?;
    check("reference", Some(folder()), Precision::Mixed)
}

/// Protects: products by cooperative matrices of halves are accurate within the same limits. The lavapipe of
/// recent Mesa has such matrices (`scripts/test-adapters.sh newest`); on a device without them, there is nothing to check.
#[test]
fn the_golden_cases_pass_with_cooperative_matrices_of_halves() -> Result<()> {
    let adapters = pollster::block_on(adapters());
    let whole = std::env::var("TAGSEG_LIMITS").as_deref() != Ok("default");
    if !whole || !adapters.iter().any(|adapter| adapter.automatic && adapter.half_matrices.is_some()) {
        println!("left out: the device has no cooperative matrices of halves");
        return Ok(());
    }
    let kernels = Kernels { product_of_halves: HalfProduct::Cooperative, ..Kernels::SOFTWARE };
    check(DeviceChoice::default().kernels(KernelTable::of("", kernels)), Some(folder()), Precision::Mixed)
}
