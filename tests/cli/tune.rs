//! Kernel tables: `tagseg tune` and `--kernels`.

use std::fs;

use tagseg::engine::kernel::{Class, KernelTable, Kernels};

use crate::place::{assert_refused, succeed, tagseg};

/// A table with the same choices for every device.
fn everywhere(kernels: &Kernels) -> String {
    let section = |class| KernelTable::write(KernelTable::choose(None, "", class).0, kernels, |_| None).unwrap();
    [Class::Cpu, Class::Gpu].map(section).concat()
}

/// Protects: every choice is printed in aligned columns, the current choice is that of the given table, and other
/// commands use the written table.
#[test]
fn a_written_table_can_be_used() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kernels.toml");
    let path = file.to_str().unwrap();
    let current = place.path().join("current.toml");
    let (_, kernels) = KernelTable::choose(None, "", Class::Cpu);
    fs::write(&current, everywhere(&kernels.choosing("busy", "999").unwrap())).unwrap();
    // Timestamps are not among WebGPU's default features.
    let quick = ["tune", "--limits", "adapter", "--quick", "--kernels", current.to_str().unwrap(), "--out", path];
    let printed = succeed(&quick);
    let rows: Vec<_> = printed.split("\n\n").nth(1).unwrap().lines().collect();
    let names: Vec<_> = rows[2..].iter().map(|row| row.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, Kernels::choices().unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>(), "{printed}");
    assert!(rows.iter().all(|row| row.chars().count() == rows[0].chars().count()), "{printed}");
    let measured = rows[2..].iter().filter(|row| !row.ends_with(" 0"));
    assert!(measured.count() >= 6, "{printed}");
    assert!(printed.contains(&format!("--kernels {path}")), "{printed}");
    let every = place.path().join("cooperative.toml");
    fs::write(&every, everywhere(&Kernels::COOPERATIVE)).unwrap();
    let mut devices = tagseg(&["devices", "--json", "--kernels", every.to_str().unwrap()]);
    let listed = devices.env_remove("TAGSEG_LIMITS").output().unwrap();
    let adapters: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let halves = adapters[0]["families"]["cooperative matrices of halves"] == "chosen";
    let row = rows.iter().find(|row| row.starts_with("product_of_halves")).unwrap();
    assert_eq!(!row.ends_with(" 0"), halves, "{printed}");
    let busy = rows.iter().find(|row| row.starts_with("busy")).unwrap();
    assert_eq!(busy.split_whitespace().nth(1), Some("999"), "{printed}");

    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# Proposed by `tagseg tune`"), "{text}");
    assert_refused(&tagseg(&quick).output().unwrap(), &[path, "--overwrite"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let changed = text.lines().map(|line| if line.starts_with("busy") { "busy = 77" } else { line });
    fs::write(&file, changed.collect::<Vec<_>>().join("\n")).unwrap();
    let sizes = ["--crop", "64", "--batch", "2", "--classes", "2", "--rounds", "1", "--json"];
    let measured = succeed(&[&["bench", "--limits", "adapter", "--kernels", path][..], &sizes].concat());
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    let used: KernelTable = serde_json::from_value(measured["table"].clone()).unwrap();
    assert_eq!(used, path.parse().unwrap());
    let device = measured["device"].as_str().unwrap();
    assert_eq!(measured["table"][device]["busy"], 77, "{measured:#}");
}

/// Protects: a table may select cooperative matrices on any device. Results stay correct; if the device lacks them,
/// every command reports that plain kernels replace them, and `devices` prints why.
#[test]
fn a_table_may_select_missing_features() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("mine.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, everywhere(&Kernels::COOPERATIVE)).unwrap();
    let adapters: serde_json::Value =
        serde_json::from_str(&succeed(&["devices", "--json", "--kernels", path])).unwrap();
    let first = &adapters[0];
    let there = first["families"]["cooperative matrices"] == "chosen";
    assert!(there || first["families"]["cooperative matrices"] == "not on this device", "{first:#}");
    assert!(!there || first["cooperative"] == true, "{first:#}");
    let printed = succeed(&["devices", "--kernels", path]);
    let status = format!(", cooperative matrices {}", if there { "chosen" } else { "not " });
    assert!(printed.contains(&status), "`{status}` is missing in:\n{printed}");

    let output = tagseg(&["verify", "--device", "0", "--kernels", path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let notice = "does not support cooperative matrices, using plain kernels instead";
    assert_eq!(String::from_utf8_lossy(&output.stderr).contains(notice), !there, "{output:?}");
    fs::remove_file(&file).unwrap();
    assert_refused(&tagseg(&["devices", "--kernels", path]).output().unwrap(), &["mine.toml", "check the path"]);
}

/// Protects: an invalid table is refused with its line and the allowed values, and so are devices that cannot be timed.
#[test]
fn an_invalid_table_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("mine.toml");
    let path = file.to_str().unwrap();
    let (name, kernels) = KernelTable::choose(None, "", tagseg::engine::kernel::Class::Cpu);
    let whole = KernelTable::write(name, &kernels, |_| None).unwrap();
    let refused = |text: &str, parts: &[&str]| {
        fs::write(&file, text).unwrap();
        assert_refused(&tagseg(&["bench", "--kernels", path]).output().unwrap(), parts);
    };
    refused(&whole.replace("\"subgroup\"", "\"9x9\""), &["mine.toml", "line ", "`9x9`", "`8x8`", "tagseg tune"]);
    refused(&whole.replace("rows.short", "rows.tiny"), &["mine.toml", "line 3", "`tiny`", "`short`"]);
    refused(&whole.replace("busy = 256", "busy = -1"), &["mine.toml", "line 2", "-1", "1048576"]);
    refused("# nothing\n", &["mine.toml", "no section"]);
    fs::remove_file(&file).unwrap();
    assert_refused(&tagseg(&["bench", "--kernels", path]).output().unwrap(), &["mine.toml", "check the path"]);
    let folder = place.path().to_str().unwrap();
    assert_refused(&tagseg(&["tune", "--out", folder]).output().unwrap(), &[folder, "is a folder"]);
    assert_refused(&tagseg(&["tune", "--limits", "default"]).output().unwrap(), &["has no timestamps", "adapter"]);
    assert_refused(&tagseg(&["tune", "--device", "reference"]).output().unwrap(), &["reference", "tagseg devices"]);
}
