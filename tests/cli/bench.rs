//! `tagseg bench`.

use crate::place::{assert_refused, succeed, tagseg};

/// With the adapter's limits, since timestamps are not among WebGPU's defaults.
const SMALLEST: [&str; 11] =
    ["bench", "--limits", "adapter", "--crop", "64", "--batch", "2", "--classes", "2", "--rounds", "1"];

/// Protects: every part of the step and the slowest kernels are printed, in aligned columns.
#[test]
fn a_step_is_timed_by_part_and_by_kernel() {
    let printed = succeed(&SMALLEST);
    for name in ["step", "host", "first step", "bandwidth", "of the peak", "par_step", "matmul"] {
        assert!(printed.contains(name), "`{name}` is missing in:\n{printed}");
    }
    let rows: Vec<_> = printed.split("\n\n").nth(2).unwrap().lines().collect();
    let parts = ["forward", "multi-scale", "PAR", "BSP", "labels", "losses", "backward", "optimiser", "record"];
    let first = |line: &&str| line.split_whitespace().next().unwrap().to_owned();
    assert_eq!(rows[2..rows.len() - 1].iter().map(first).collect::<Vec<_>>(), parts, "{printed}");
    assert!(rows.iter().all(|row| row.chars().count() == rows[0].chars().count()), "{printed}");
}

/// Protects: the parts contain the time of all kernels, and the JSON contains both.
#[test]
fn json_contains_every_kernel() {
    let measured: serde_json::Value =
        serde_json::from_str(&succeed(&[&SMALLEST[..], &["--precision", "mixed", "--json"]].concat())).unwrap();
    let sum = |list: &str, field: &str| -> f64 {
        measured[list].as_array().unwrap().iter().map(|entry| entry[field].as_f64().unwrap()).sum()
    };
    assert_eq!(sum("parts", "dispatches"), sum("kernels", "dispatches"));
    assert!((sum("parts", "seconds") / sum("kernels", "seconds") - 1.0).abs() < 1e-9, "{measured:#}");
    assert!(measured["step"].as_f64().unwrap() >= measured["host"].as_f64().unwrap());
    assert!(measured["peak"]["operations"].as_f64().unwrap() > 1e6);
}

/// Protects: invalid input is refused before anything is compiled.
#[test]
fn invalid_input_is_refused() {
    let refused = |more: &[&str], parts: &[&str]| {
        assert_refused(&tagseg(&[&["bench"], more].concat()).output().unwrap(), parts);
    };
    refused(&["--device", "reference"], &["reference", "tagseg devices"]);
    refused(&["--limits", "default", "--crop", "64", "--batch", "2"], &["has no timestamps", "--limits adapter"]);
    refused(&["--crop", "65"], &["train.crop", "16"]);
    refused(&["--rounds", "0"], &["'0'", "--rounds"]);
    refused(&["--preset", "huge"], &["'huge'", "nano"]);
    refused(&["--precision", "f16"], &["train.precision", "f32 or mixed"]);
}
