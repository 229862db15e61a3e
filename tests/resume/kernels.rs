//! The kernel choices of a resumed run.

use std::fs;

use tagseg::engine::kernel::{Class, KernelTable, Kernels};

use crate::place::{assert_same, errors, nearly_done, nearly_done_of, resume, train, untouched, weights};

/// A table that splits no sum, for any device.
fn table() -> String {
    let section = |class| {
        let (name, kernels): (_, Kernels) = KernelTable::choose(None, "", class);
        KernelTable::write(name, &kernels.choosing("busy", "1").unwrap(), |_| None).unwrap()
    };
    [Class::Cpu, Class::Gpu].map(section).join("\n")
}

/// Protects: a run resumes with the kernels that it started with, bit-identically, even if the kernel table is gone.
/// Another table causes a warning.
#[test]
fn a_run_keeps_its_kernels() {
    let place = tempfile::tempdir().unwrap();
    let (file, whole) = (place.path().join("kernels.toml"), place.path().join("whole"));
    fs::write(&file, table()).unwrap();
    let with_table = ["--kernels", file.to_str().unwrap()];
    let output = train(&whole).args(with_table).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_ne!(weights(&whole), weights(untouched()), "other kernels give other results");

    const TOLD: &str = "kernel choices differ from those of the run; results will not be bit-identical";
    let other = tempfile::tempdir().unwrap();
    let output = resume(&nearly_done(other.path())).args(with_table).output().unwrap();
    assert!(output.status.success() && errors(&output).contains(TOLD), "{}", errors(&output));

    fs::remove_file(&file).unwrap();
    let run = nearly_done_of(&whole, place.path());
    let output = resume(&run).output().unwrap();
    assert!(output.status.success() && !errors(&output).contains(TOLD), "{}", errors(&output));
    assert_same(&run, &whole);
}
