//! Invalid attempts to resume.

use std::fs;
use std::path::Path;
use std::process::Command;

use tagseg::run::weights::Checkpoints;

use crate::place::{assert_untouched, copy, data, errors, generate, nearly_done, resume, tagseg, untouched};

fn assert_refused(command: &mut Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.starts_with("error: ") && text.lines().count() == 1 && text.contains("; "), "one line: {text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

/// Protects: no option of a run can change when it resumes, neither by a flag nor in its config.toml.
#[test]
fn another_configuration() {
    let place = tempfile::tempdir().unwrap();
    let run = nearly_done(place.path());
    let flags: [(&[&str], &[&str]); 6] = [
        (&["--steps", "60"], &["`train.iters`", "is 40 in this run, but 60 on the command line"]),
        (&["--seed", "2"], &["`seed`", "is 1 in this run"]),
        (&["--preset", "voc", "--batch", "2", "--crop", "64"], &["`model.backbone`"]),
        (&["--set", "sigma_c=0.7"], &["`sigma_c`"]),
        (&["--precision", "mixed"], &["`train.precision`", "is \"f32\" in this run"]),
        (&["--skip-broken"], &["`--skip-broken`", "was not given"]),
    ];
    for (flags, parts) in flags {
        assert_refused(resume(&run).args(flags), parts);
    }
    for flags in [&["--out", "elsewhere"][..], &["--overwrite"]] {
        assert_refused(resume(&run).args(flags), &["--resume <RUN>", flags[0]]);
    }
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("train.iters = 40", "train.iters = 80")).unwrap();
    assert_refused(&mut resume(&run), &["`train.iters`", "but 80 in config.toml"]);
    fs::write(&config, text).unwrap();
    // Flags that repeat the run's values are accepted.
    let output = resume(&run).args(["--steps", "40", "--seed", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_untouched(&run);
}

/// Protects: a run resumes on its own data set, also at a new path, but on no other.
#[test]
fn another_data_set() {
    let place = tempfile::tempdir().unwrap();
    let run = nearly_done(place.path());
    let other = place.path().join("other");
    generate(&other, "10");
    let with = |data: &Path| {
        let mut command = resume(&run);
        command.args(["--data", data.to_str().unwrap()]);
        command
    };
    assert_refused(&mut with(&other), &["other", "has 10 training images, this run had 8", "--out"]);
    let moved = place.path().join("moved");
    copy(data(), &moved);
    let list = moved.join("ImageSets/Segmentation/train.txt");
    let ids = fs::read_to_string(&list).unwrap();
    fs::write(&list, ids.lines().rev().map(|id| format!("{id}\n")).collect::<String>()).unwrap();
    assert_refused(&mut with(&moved), &["moved", "ids or tags"]);
    fs::write(&list, ids).unwrap();
    // Another picture under the same name.
    let picture = fs::read_dir(moved.join("JPEGImages"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("train"));
    let (picture, bytes) = (picture.clone().unwrap(), fs::read(picture.unwrap()).unwrap());
    fs::write(&picture, [&bytes[..], &[0]].concat()).unwrap();
    assert_refused(&mut with(&moved), &["moved", "image files differ"]);
    fs::write(&picture, bytes).unwrap();
    let output = with(&moved).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_untouched(&run);
}

/// Protects: a run stores the last path of its data set and reports it if the data set is missing.
#[test]
fn a_data_set_that_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let [first, second, run] = ["first", "second", "run"].map(|name| place.path().join(name));
    copy(data(), &first);
    let sizes = ["--preset", "nano", "--batch", "2", "--crop", "64", "--steps", "3"];
    let saves = ["--set", "train.save_every=1", "--set", "train.keep=0"];
    let places = ["--data", first.to_str().unwrap(), "--out", run.to_str().unwrap()];
    let output = tagseg(&["train"]).args(sizes).args(saves).args(places).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let forget = |step| fs::remove_file(Checkpoints::of(&run).path(step)).unwrap();

    forget(2);
    forget(3);
    fs::rename(&first, &second).unwrap();
    assert_refused(&mut resume(&run), &["first", "the data set is missing", "--data"]);
    let output = resume(&run).args(["--data", second.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));

    forget(3);
    fs::remove_dir_all(&second).unwrap();
    assert_refused(&mut resume(&run), &["second", "the data set is missing", "--data"]);
}

/// Protects: a folder that is not a run is reported and not changed.
#[test]
fn not_a_run() {
    let place = tempfile::tempdir().unwrap();
    assert_refused(&mut resume(&place.path().join("nowhere")), &["nowhere", "is not a folder"]);
    assert_refused(&mut resume(place.path()), &["contains no run"]);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing is written");
    fs::create_dir(place.path().join("checkpoints")).unwrap();
    assert_refused(&mut resume(place.path()), &["contains no checkpoint"]);
    assert_refused(&mut resume(&untouched().join("checkpoints/best")), &["best", "is not a folder"]);
}
