//! The crate as it is published.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

/// The largest crate that the registry takes.
const LARGEST: u64 = 10 << 20;

/// Protects: the crate can be published, with the weights that the preset `photos` starts from, but without the network
/// that `predict` uses, for which there is no room.
#[test]
fn the_crate_can_be_published() {
    let place = tempfile::tempdir().unwrap();
    let mut package = Command::new(env!("CARGO"));
    package.args(["package", "--no-verify", "--allow-dirty", "--offline", "--package", "tagseg", "--target-dir"]);
    package.arg(place.path()).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = package.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = concat!("package/tagseg-", env!("CARGO_PKG_VERSION"), ".crate");
    let bytes = fs::metadata(place.path().join(file)).unwrap().len();
    assert!(bytes < LARGEST, "the crate has {bytes} bytes");

    let list = Command::new(env!("CARGO")).args(["package", "--list", "--allow-dirty", "--offline"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().any(|line| line == "models/efficientnet_lite0.safetensors"), "{list}");
    assert!(!list.contains("models/animals.safetensors"), "{list}");
}
