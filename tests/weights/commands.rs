//! `tagseg weights` and `tagseg train --weights`, as run by a user.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use tagseg::config::Config;
use tagseg::engine::graph::Graph;
use tagseg::formats::element::Values;
use tagseg::formats::tensor_file::{NamedTensor, TensorFile};
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};
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

/// Protects: weights in several files are read as those in one, by their index and by their folder; an index that does
/// not fit its files is refused.
#[test]
fn weights_in_several_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = fs::read(fixture("hf_segmentation.safetensors")).unwrap();
    let whole = SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<_> = whole.names().into_iter().map(str::to_owned).collect();
    names.sort();
    let mut map = serde_json::Map::new();
    for (number, part) in names.chunks(names.len().div_ceil(2)).enumerate() {
        let file = format!("model-{number}.safetensors");
        let views = part.iter().map(|name| (name.clone(), whole.tensor(name).unwrap()));
        fs::write(at(&file), safetensors::serialize(views, None).unwrap()).unwrap();
        map.extend(part.iter().map(|name| (name.clone(), file.clone().into())));
    }
    let index = at("model.safetensors.index.json");
    let write = |map: &serde_json::Map<String, serde_json::Value>| {
        fs::write(&index, serde_json::json!({ "metadata": {}, "weight_map": map }).to_string()).unwrap();
    };
    write(&map);
    let expected = bits(&read("hf_segmentation.safetensors").tensors);
    assert_eq!(bits(&TensorFile::read(&index).unwrap().tensors), expected);
    let out = at("own.safetensors");
    let said = said(&["weights", "convert", text(folder.path()), text(&out), "--layout", "huggingface"]);
    assert!(said.contains(&format!("{} tensors", expected.len())), "{said}");

    for (name, file, part) in [
        (names[0].as_str(), "model-1.safetensors", "does not have it"),
        ("more", "model-0.safetensors", "`more`"),
        ("more", "../model-0.safetensors", "not beside it"),
        ("more", "model-7.safetensors", "model-7.safetensors"),
    ] {
        let mut other = map.clone();
        other.insert(name.into(), file.into());
        write(&other);
        let error = refused(&["weights", "inspect", text(&index)]);
        assert!(error.contains(part), "{error}");
    }
    fs::write(&index, "[]").unwrap();
    assert!(refused(&["weights", "inspect", text(folder.path())]).contains("is not an index of tensors"));
}

/// Protects: weights that a layout has no names for are not passed on in silence, and what is no network does not become
/// an ONNX file. `tests/formats` runs ONNX files.
#[test]
fn what_a_format_cannot_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let lite = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/efficientnet_lite0.safetensors");
    let hf = refused(&["weights", "convert", text(&lite), &out("hf.safetensors"), "--layout", "huggingface"]);
    assert!(hf.contains("`encoder._") && hf.contains("SegFormer; choose another --layout"), "{hf}");
    said(&["weights", "convert", text(&lite), &out("own.safetensors"), "--layout", "tagseg"]);

    let encoder = refused(&["weights", "convert", text(&lite), &out("a.onnx")]);
    assert!(encoder.contains("efficientnet_lite0.safetensors") && encoder.contains("tagseg train"), "{encoder}");
    let half = refused(&["weights", "convert", text(&lite), &out("a.ONNX"), "--half"]);
    assert!(half.contains("--half") && half.contains("omit them"), "{half}");

    // Another variance of the first norm: one beyond the halves, and one that is none.
    let other = |variance: f32, name: &str| {
        let mut file = TensorFile::read(&lite).unwrap();
        let norm = file.tensors.iter_mut().find(|tensor| tensor.name.ends_with("_bn0.running_var")).unwrap();
        let Values::Reals(values) = &mut norm.values else { panic!("a variance is real") };
        values[0] = variance;
        let views: Vec<_> = file
            .tensors
            .iter()
            .map(|tensor| {
                let Values::Reals(values) = &tensor.values else { panic!("{} is real", tensor.name) };
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (tensor.name.clone(), tensor.shape.clone(), bytes)
            })
            .collect();
        let views = views.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
        });
        fs::write(out(name), safetensors::serialize(views, None).unwrap()).unwrap();
        out(name)
    };
    let (large, negative) = (other(1e6, "large.safetensors"), other(-1.0, "negative.safetensors"));
    said(&["weights", "convert", &large, &out("whole.safetensors"), "--layout", "tagseg"]);
    let half = refused(&["weights", "convert", &large, &out("half.safetensors"), "--layout", "tagseg", "--half"]);
    assert!(half.contains("_bn0.running_var` has values beyond 65504") && half.contains("omit it"), "{half}");
    assert!(!Path::new(&out("half.safetensors")).exists());
    said(&["shapes", "--out", &out("data"), "--train", "8", "--val", "1", "--size", "32"]);
    let start = refused(&["train", "--data", &out("data"), "--out", &out("run"), "--weights", &negative]);
    assert!(start.contains("_bn0.running_var` has negative variances"), "{start}");
}

/// Writes a network with its first weights.
fn untrained(path: &Path, backbone: &str, ofd: &str) {
    let mut config = Config::preset("voc").unwrap();
    let settings = [format!("model.backbone={backbone}"), format!("ofd.mode={ofd}"), "model.embed_dim=8".into()];
    settings.iter().for_each(|setting| config.set(setting).unwrap());
    let classes = vec!["a".to_owned()];
    let network = NetworkConfig::new(&config, classes.len()).unwrap();
    let network = Network::new(&Graph::new(), &network, NetworkOptions::new(&config)).unwrap();
    let parameters = network.parameters().into_iter();
    let tensors = parameters.map(|own| (own.name.clone(), (own.shape.to_vec(), own.initial(1)))).collect();
    Checkpoint { step: 7, config, classes, tensors, training: None }.save(path).unwrap();
}

/// Protects: a network in 8 bits takes little more than a quarter of the space, is read as any other, and each weight is
/// within half a step of its output channel; biases and statistics stay as they are. Damage is found.
#[test]
fn weights_in_eight_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = at("network");
    untrained(&source, "nano", "off");
    // The first biases and statistics are 0 and 1, which any rounding keeps.
    let mut network = Checkpoint::load(&source).unwrap();
    let plain = network.tensors.values_mut().filter(|(shape, _)| shape.len() == 1);
    plain.flat_map(|(_, values)| values).enumerate().for_each(|(index, value)| *value += 1.0 / (index + 3) as f32);
    network.save(&source).unwrap();
    let convert = |out: &str, more: &[&str]| {
        let out = at(out);
        said(&[&["weights", "convert", text(&source), text(&out), "--layout", "tagseg"], more].concat());
        (fs::metadata(&out).unwrap().len(), Checkpoint::load(&out).unwrap())
    };
    let ((whole, exact), (bytes, rounded)) =
        (convert("whole.safetensors", &[]), convert("bytes.safetensors", &["--int8"]));
    let expected: usize = exact
        .tensors
        .values()
        .map(|(shape, values)| match shape.len() {
            0 | 1 => 4 * values.len(),
            _ => values.len() + 4 * shape[0],
        })
        .sum();
    assert!((expected..expected + whole as usize / 10).contains(&(bytes as usize)), "{bytes} of {whole} bytes");
    assert_eq!(exact.tensors.keys().collect::<Vec<_>>(), rounded.tensors.keys().collect::<Vec<_>>());
    for (name, (shape, values)) in &exact.tensors {
        let (_, got) = &rounded.tensors[name];
        let row = if shape.len() > 1 { values.len() / shape[0] } else { 1 };
        for (values, got) in values.chunks(row).zip(got.chunks(row)) {
            let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
            let step = if shape.len() > 1 { largest / 127.0 } else { 0.0 };
            assert!(values.iter().zip(got).all(|(value, got)| (value - got).abs() <= 0.5001 * step), "{name}");
        }
    }
    assert_ne!(exact.tensors, rounded.tensors);

    // An encoder alone, which has no configuration, and in two files.
    let lite = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/efficientnet_lite0.safetensors");
    let small = at("small.safetensors");
    said(&["weights", "convert", text(&lite), text(&small), "--layout", "tagseg", "--int8"]);
    let (exact, rounded) = (TensorFile::read(&lite).unwrap().tensors, TensorFile::read(&small).unwrap().tensors);
    assert_eq!(exact.len(), rounded.len());
    for (exact, rounded) in exact.iter().zip(&rounded) {
        let (Values::Reals(exact), Values::Reals(got)) = (&exact.values, &rounded.values) else {
            panic!("{rounded:?}")
        };
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
        let error = square(&mut exact.iter().zip(got).map(|(one, other)| one - other));
        assert!(error <= 1e-3 * square(&mut exact.iter().copied()), "{}: {error}", rounded.name);
    }
    let file = fs::read(&small).unwrap();
    let stored = SafeTensors::deserialize(&file).unwrap();
    let (scales, others): (Vec<_>, Vec<_>) = stored.iter().partition(|(name, _)| name.ends_with(".scale"));
    let mut map = serde_json::Map::new();
    for (part, tensors) in [("one.safetensors", others), ("two.safetensors", scales)] {
        map.extend(tensors.iter().map(|(name, _)| ((*name).to_owned(), part.into())));
        fs::write(at(part), safetensors::serialize(tensors, None).unwrap()).unwrap();
    }
    fs::write(at("model.safetensors.index.json"), serde_json::json!({ "weight_map": map }).to_string()).unwrap();
    assert_eq!(TensorFile::read(&at("model.safetensors.index.json")).unwrap().tensors, rounded);

    let inspected = said(&["weights", "inspect", text(&at("bytes.safetensors"))]);
    assert!(!inspected.contains(".scale"), "{inspected}");
    let official = refused(&["weights", "convert", text(&source), text(&at("b.safetensors")), "--int8"]);
    assert!(
        official.contains("`--int8`: is for the layout of tagseg") && official.contains("--half instead"),
        "{official}"
    );
    let onnx = refused(&["weights", "convert", text(&source), text(&at("b.onnx")), "--int8"]);
    assert!(onnx.contains("--int8"), "{onnx}");
    let mut damaged = fs::read(at("bytes.safetensors")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(at("bytes.safetensors"), damaged).unwrap();
    let reason = Checkpoint::load(&at("bytes.safetensors")).unwrap_err().to_string();
    assert!(reason.contains("checksum"), "{reason}");
}

/// Protects: networks that Transformers would compute differently are refused in one line, and a folder is written whole,
/// over nothing but a folder of the same kind. `tests/formats` loads such folders.
#[test]
fn a_folder_of_transformers_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let save = |name: &str, backbone: &str, ofd: &str| {
        untrained(&folder.path().join(name), backbone, ofd);
        at(name)
    };
    let (off, released, paper) =
        (save("off", "nano", "off"), save("released", "nano", "released"), save("paper", "mit_b0", "paper"));
    let lite = save("lite", "efficientnet_lite0", "off");
    let convert = |source: &str, out: &str| {
        ["weights", "convert", source, out, "--layout", "transformers"].map(str::to_owned).to_vec()
    };
    let refused_with = |source: &str, out: &str, more: &[&str]| {
        let arguments = convert(source, out);
        refused(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>(), more].concat())
    };
    let out = at("out");
    for (source, part) in [(&released, "(ofd.mode=released)"), (&paper, "(ofd.mode=paper)")] {
        let line = refused_with(source, &out, &[]);
        assert!(line.contains(part) && line.contains("train with ofd.mode=off") && line.contains(".onnx"), "{line}");
    }
    assert!(refused_with(&off, &out, &["--int8"]).contains("`--int8`: is for the layout of tagseg"));
    let line = refused_with(&lite, &out, &[]);
    assert!(line.contains("efficientnet_lite0 is no encoder of SegFormer, only MiT is"), "{line}");
    let foreign = refused_with(text(&fixture("bmp.pth")), &out, &[]);
    assert!(foreign.contains("bmp.pth") && foreign.contains("tagseg train"), "{foreign}");
    for name in ["a.safetensors", "a.ONNX"] {
        assert!(refused_with(&off, &at(name), &[]).contains("reads a folder"));
    }
    assert!(refused_with(&off, &at("nowhere/a"), &[]).contains("is not a folder; create it"));
    assert!(refused_with(&off, &off, &[]).contains("is a file"));
    assert!(refused_with(&off, &out, &["--partial"]).contains("omit it with --layout transformers"));
    let names = || {
        let mut names: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["lite", "off", "paper", "released"], "nothing else is written");

    let write = |more: &[&str]| {
        let arguments = convert(&off, &out);
        said(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>(), more].concat())
    };
    assert!(write(&[]).contains("nano of 2 classes after step 7 for Transformers"));
    let weights = folder.path().join("out/model.safetensors");
    let whole = fs::metadata(&weights).unwrap().len();
    assert!(refused_with(&off, &out, &[]).contains("already exists"));
    write(&["--half", "--overwrite"]);
    let half = fs::metadata(&weights).unwrap().len();
    assert!(half < whole * 3 / 5, "{half} of {whole} bytes");
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/config.json")).unwrap()).unwrap();
    assert_eq!((&config["torch_dtype"], &config["hidden_sizes"][3]), (&"float16".into(), &96.into()));
    assert_eq!(names(), ["lite", "off", "out", "paper", "released"], "no partial folder is left");
    // Neither is the network itself deleted, nor other files.
    fs::create_dir(folder.path().join("own")).unwrap();
    fs::copy(&off, folder.path().join("own/model.safetensors")).unwrap();
    let line = refused_with(&at("own"), &at("own"), &["--overwrite"]);
    assert!(line.contains("contains the network to convert"), "{line}");
    fs::write(folder.path().join("out/notes.txt"), "mine").unwrap();
    let line = refused_with(&off, &out, &["--overwrite"]);
    assert!(line.contains("contains notes.txt") && line.contains("choose another folder"), "{line}");
    assert_eq!(fs::metadata(&weights).unwrap().len(), half);
    // It is read as weights.
    assert!(said(&["weights", "inspect", &out]).contains("Hugging Face, nano"));
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
