//! `tagseg weights` and `tagseg train --weights`, as run by a user.

use std::path::Path;
use std::process::{Command, Output};

use tagseg::config::Config;
use tagseg::formats::element::Values;
use tagseg::formats::tensor_file::{NamedTensor, TensorFile};
use tagseg::run::weights::{Checkpoint, Checkpoints};

use super::{bits, fixture, read};

fn tagseg(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagseg")).args(arguments).output().unwrap()
}

/// Standard output of a run that must succeed.
fn said(arguments: &[&str]) -> String {
    let output = tagseg(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line of a run that must be refused with exit code 2.
fn refused(arguments: &[&str]) -> String {
    let output = tagseg(arguments);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{arguments:?}: {line}");
    line
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn inspect_describes_a_file() {
    let table = said(&["weights", "inspect", text(&fixture("mit_legacy.pth"))]);
    for part in ["block1.0.attn.kv.weight", "8×4", "original MiT encoder", "before 1.6", "not used: head.bias"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    let json = said(&["weights", "inspect", "--json", text(&fixture("hf_segmentation.safetensors"))]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["layout"], &json["format"]), (&"Hugging Face".into(), &"safetensors".into()));
    assert_eq!(json["tensors"][0]["dtype"], "f32");
    assert!(refused(&["weights", "inspect", text(&fixture("malicious.pth"))]).contains("`posix.system`"));
    assert!(refused(&["weights", "inspect", "/nowhere.pth"]).contains(": does not exist; give a .safetensors, .pth"));
}

/// Protects: every tensor of a converted file is byte-equal when it is converted back, and OUT is only overwritten on
/// request.
#[test]
fn convert_survives_a_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (hf, back) = (out("hf.safetensors"), out("back.safetensors"));
    let source = fixture("bmp.pth");
    said(&["weights", "convert", text(&source), &hf, "--layout", "huggingface"]);
    said(&["weights", "convert", &hf, &back]);
    assert_eq!(bits(&TensorFile::read(Path::new(&back)).unwrap().tensors), bits(&read("bmp.pth").tensors));

    assert!(refused(&["weights", "convert", text(&source), &hf]).contains("already exists"));
    said(&["weights", "convert", text(&source), &hf, "--overwrite"]);
    assert!(refused(&["weights", "convert", text(&source), &out("a.pth")]).contains(".safetensors"));
    let other = refused(&["weights", "convert", text(&fixture("views.pth")), &out("b.safetensors")]);
    assert!(other.contains("10 tensors belong to no supported network, such as `base`"), "{other}");
}

/// Protects: a run becomes a file that the official release loads by name and shape, batch counter included, and
/// remains a run in the native layout.
#[test]
fn a_run_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let reals = |tensor: NamedTensor| match tensor.values {
        Values::Reals(values) => (tensor.name, (tensor.shape, values)),
        Values::Integers(_) => unreachable!("the file holds reals"),
    };
    let tensors = read("expected.safetensors").tensors.into_iter().map(reals).collect();
    let config = Config::preset("voc").unwrap();
    let checkpoint = Checkpoint { step: 300, config, classes: vec!["a".into(), "b".into()], tensors, training: None };
    std::fs::create_dir(folder.path().join("checkpoints")).unwrap();
    Checkpoints::of(folder.path()).put(&checkpoint).unwrap();

    let out = folder.path().join("official.safetensors");
    said(&["weights", "convert", text(folder.path()), text(&out)]);
    let (mut found, mut expected) = (bits(&TensorFile::read(&out).unwrap().tensors), bits(&read("bmp.pth").tensors));
    let counter = "module.decoder.linear_fuse.bn.num_batches_tracked";
    assert_eq!(found.remove(counter), Some((vec![], vec![4 * 300])), "four passes per step");
    expected.remove(counter);
    assert_eq!(found, expected);

    let own = folder.path().join("own.safetensors");
    said(&["weights", "convert", text(folder.path()), text(&own), "--layout", "tagseg"]);
    assert_eq!(Checkpoint::load(&own).unwrap(), checkpoint);

    // A run would lose its checkpoint.
    let newest = Checkpoints::of(folder.path()).path(300);
    let over_itself = refused(&["weights", "convert", text(folder.path()), text(&newest), "--overwrite"]);
    assert!(over_itself.contains("is the file to convert; choose another name"), "{over_itself}");
    assert_eq!(Checkpoint::load(&newest).unwrap(), checkpoint);
}

/// Protects: weights of another network are refused before a run writes anything, with the name of the backbone.
#[test]
fn training_refuses_weights_that_do_not_match() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    said(&["shapes", "--out", text(&data), "--train", "8", "--val", "1"]);
    let weights = fixture("mit_legacy.pth");
    let train = ["train", "--data", text(&data), "--out", text(&run), "--preset", "nano", "--device", "reference"];
    let small = ["--crop", "64", "--batch", "2", "--steps", "20", "--weights", text(&weights)];
    let error = refused(&[&train[..], &small].concat());
    assert!(error.contains("no tensor matches") && error.contains("the network is nano"), "{error}");
    assert!(!run.exists());
    let alone = tagseg(&["train", "--data", "d", "--out", "o", "--partial"]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("--weights"));
}
