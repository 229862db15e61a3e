//! Key maps in both directions, and the outcome for every key when weights are loaded.

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use tagseg::Session;
use tagseg::config::Config;
use tagseg::engine::graph::{DType, Graph};
use tagseg::engine::nn::{Mode, Parameter, Scope};
use tagseg::parts::encoders::efficientnet_lite::LITE0;
use tagseg::parts::encoders::{Encoder, SCOPE};
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};
use tagseg::run::weights::{Import, Layout, Mapped, Scheme, from_tagseg, to_tagseg};

use super::{Bits, bits, fixture, parameters, read};

fn mapped(name: &str) -> Mapped {
    to_tagseg(read(name).tensors).unwrap()
}

fn only(tensors: &Bits, wanted: impl Fn(&str) -> bool) -> Bits {
    tensors.iter().filter(|(name, _)| wanted(name)).map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
}

/// Protects: method.md 10 in both directions. Every layout gives the same bits under native names, and mapping back
/// gives every tensor of the file byte for byte, except the ImageNet head.
#[test]
fn layouts_are_byte_equal_after_a_round_trip() {
    let expected = bits(&read("expected.safetensors").tensors);
    let encoder = |name: &str| name.starts_with("encoder.");
    let counter = |name: &str| name.ends_with("num_batches_tracked");
    for (name, scheme, layout, dropped) in [
        ("mit_legacy.pth", Scheme::Original("original MiT encoder"), Layout::Official, 2),
        ("bmp.pth", Scheme::BmpCheckpoint, Layout::Official, 0),
        ("hf_imagenet.safetensors", Scheme::HuggingFace, Layout::HuggingFace, 2),
        ("hf_segmentation.safetensors", Scheme::HuggingFace, Layout::HuggingFace, 0),
        ("expected.safetensors", Scheme::Tagseg, Layout::Tagseg, 0),
    ] {
        let original = bits(&read(name).tensors);
        let mapped = mapped(name);
        assert_eq!((mapped.scheme, mapped.dropped.len()), (scheme, dropped), "{name}");
        assert_eq!(mapped.unknown().count(), 0, "{name}");

        let ours = bits(&mapped.tensors);
        let held = only(&expected, |key| match scheme {
            Scheme::Original(_) => encoder(key),
            Scheme::HuggingFace if dropped > 0 => encoder(key),
            Scheme::HuggingFace => encoder(key) || key.starts_with("decoder."),
            _ => true,
        });
        assert_eq!(only(&ours, |key| !counter(key)), held, "{name}");

        let back = bits(&from_tagseg(mapped.tensors, layout).unwrap());
        let names: Vec<_> = mapped.dropped.iter().map(|dropped| &dropped.name[..]).collect();
        assert_eq!(back, only(&original, |key| !names.contains(&key)), "{name}");
    }
}

/// Protects: the names that Hugging Face's models have in memory, which `torch.save(model.state_dict())` writes, are
/// those of a file that `save_pretrained` writes of the same model.
#[test]
fn names_in_memory_are_known() {
    let mapped = mapped("hf_in_memory.pth");
    assert_eq!((mapped.scheme, mapped.unknown().count()), (Scheme::HuggingFace, 0));
    let back = bits(&from_tagseg(mapped.tensors, Layout::HuggingFace).unwrap());
    assert_eq!(back, bits(&read("hf_segmentation.safetensors").tensors));
}

/// Protects: the whole network survives a round trip through Hugging Face's names, with `kv` split and joined.
#[test]
fn a_round_trip_changes_nothing() {
    let start = mapped("bmp.pth");
    let there = from_tagseg(start.tensors.clone(), Layout::HuggingFace).unwrap();
    assert!(there.iter().any(|tensor| tensor.name == "segformer.encoder.block.0.0.attention.self.value.bias"));
    let back = to_tagseg(there).unwrap();
    assert_eq!((back.scheme, bits(&back.tensors)), (Scheme::HuggingFace, bits(&start.tensors)));
}

/// Protects: files whose names all have the prefixes of wrappers, of an encoder and of a whole network.
#[test]
fn prefixes_that_all_names_share_are_ignored() {
    let files = ["mit_legacy.pth", "bmp.pth", "hf_imagenet.safetensors", "hf_segmentation.safetensors"];
    for name in files.into_iter().chain(["expected.safetensors"]) {
        let plain = mapped(name);
        for prefix in ["backbone.", "model.", "module.", "module.module.", "_orig_mod.", "_orig_mod.module.", "a.b.c."]
        {
            let mut tensors = read(name).tensors;
            tensors.iter_mut().for_each(|tensor| tensor.name.insert_str(0, prefix));
            let mapped = to_tagseg(tensors).unwrap();
            assert_eq!(mapped.unknown().count(), 0, "{prefix} in {name}");
            assert_eq!(bits(&mapped.tensors), bits(&plain.tensors), "{prefix} in {name}");
            assert_eq!(mapped.dropped.len(), plain.dropped.len(), "{prefix} in {name}");
        }
    }
    // A prefix that not all names have is not guessed away.
    let mut tensors = read("mit_legacy.pth").tensors;
    tensors.iter_mut().for_each(|tensor| tensor.name.insert_str(0, "backbone."));
    tensors[0].name = "other.weight".into();
    let count = tensors.len();
    assert_eq!(to_tagseg(tensors).unwrap().unknown().count(), count);
}

/// Protects: names with and without `module.` are distinguished, and ambiguous names are not guessed.
#[test]
fn contradictions_are_found() {
    let tensors = read("expected.safetensors").tensors;
    let mut twice = tensors.clone();
    twice.push(twice[0].clone());
    twice.last_mut().unwrap().name.insert_str(0, "module.");
    assert!(to_tagseg(twice).unwrap_err().reason.contains("two tensors map to"));

    let mut halves = read("hf_segmentation.safetensors").tensors;
    halves.retain(|tensor| tensor.name != "segformer.encoder.block.1.0.attention.self.key.bias");
    let unknown: Vec<_> = to_tagseg(halves).unwrap().unknown().map(str::to_owned).collect();
    assert_eq!(unknown, ["segformer.encoder.block.1.0.attention.self.value.bias"]);
}

/// Protects: which tensors a file must have, depending on its contents.
#[test]
fn every_key_is_accounted_for() {
    let parameters = parameters();
    let whole = Import::read(&fixture("bmp.pth"), &parameters, false).unwrap();
    assert_eq!(whole.report.loaded.len(), parameters.len());
    assert!(whole.report.initial.is_empty() && whole.report.dropped.len() == 1);
    assert_eq!(whole.encoder.as_deref(), Some("MiT of dims [4, 4, 8, 8] and depths [1, 1, 1, 2]"));

    for name in ["mit_legacy.pth", "hf_imagenet.safetensors"] {
        let encoder = Import::read(&fixture(name), &parameters, false).unwrap();
        let report = &encoder.report;
        assert!(report.is_complete() && report.dropped.len() == 2, "{name}: {report}");
        assert!(report.loaded.iter().all(|name| name.starts_with("encoder.")));
        assert!(report.initial.iter().any(|name| name == "classifier.weight"), "{report}");
        assert_eq!(report.loaded.len() + report.initial.len(), parameters.len());
        let line = encoder.to_string();
        assert!(
            line.contains("2 dropped") && line.contains("keep their initial values") && !line.contains('\n'),
            "{line}"
        );
    }
}

/// Protects: mismatches stop a run, with names and remedy, unless they are accepted.
#[test]
fn mismatches_are_refused_unless_partial() {
    let path = fixture("hf_segmentation.safetensors");
    let parameters = parameters();
    let error = Import::read(&path, &parameters, false).err().unwrap().to_string();
    assert!(error.contains("3 missing: attn_proj.weight, attn_proj.bias, classifier.weight; "), "{error}");
    assert!(error.contains("--partial") && !error.contains('\n'), "{error}");
    assert!(Import::read(&path, &parameters, true).unwrap().report.missing.len() == 3);

    // Another number of classes, and a parameter that the file has no match for.
    let mut others = parameters.clone();
    for parameter in &mut others {
        match &parameter.name[..] {
            "classifier.weight" => parameter.shape = [5, 8, 1, 1].into(),
            "attn_proj.bias" => parameter.name = "attn_proj.gain".into(),
            _ => {}
        }
    }
    let path = fixture("bmp.pth");
    let error = Import::read(&path, &others, false).err().unwrap().to_string();
    for part in [
        "1 missing: attn_proj.gain",
        "1 unexpected: attn_proj.bias",
        "classifier.weight [2, 8, 1, 1] instead of [5, 8, 1, 1]",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let partial = Import::read(&path, &others, true).unwrap();
    assert!(!partial.tensors().contains_key("classifier.weight") && partial.tensors().contains_key("attn_proj.weight"));

    let nothing = Import::read(&fixture("views.pth"), &parameters, true).err().unwrap().to_string();
    assert!(nothing.contains("no tensor matches the network; the file contains no known encoder"), "{nothing}");
}

/// Writes the initial values of parameters under the names of a run; the last value is `last`.
fn write_first_values(path: &Path, parameters: &[Parameter], last: f32) {
    let mut values: Vec<_> = parameters.iter().map(|parameter| parameter.initial(1)).collect();
    *values.last_mut().unwrap().last_mut().unwrap() = last;
    let views = parameters.iter().zip(&values).map(|(parameter, values)| {
        let view = TensorView::new(Dtype::F32, parameter.shape.to_vec(), bytemuck::cast_slice(values)).unwrap();
        (&parameter.name, view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Protects: the remedy for the most common mismatch, weights of another backbone.
#[test]
fn another_backbone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nano.safetensors");
    let nano = NetworkConfig::new(&Config::preset("nano").unwrap(), 2).unwrap();
    let nano = Network::new(&Graph::new(), &nano, NetworkOptions::default()).unwrap().parameters();
    write_first_values(&path, &nano, 0.5);
    assert!(Import::read(&path, &nano, false).unwrap().report.is_complete());
    let error = Import::read(&path, &parameters(), false).err().unwrap().to_string();
    assert!(error.contains("set model.backbone=nano, or load the matching tensors with --partial"), "{error}");
}

/// Parameters of a network with an EfficientNet-Lite.
fn parameters_of_lite(backbone: &str) -> Vec<Parameter> {
    let mut config = Config::default();
    config.set(&format!("model.backbone={backbone}")).unwrap();
    let config = NetworkConfig::new(&config, 2).unwrap();
    Network::new(&Graph::new(), &config, NetworkOptions::default()).unwrap().parameters()
}

/// A parameter of the encoder by its name in the published files.
fn published(name: &str) -> Option<String> {
    name.strip_prefix("encoder.").map(str::to_owned)
}

/// The same by timm's name, for a network with so many blocks a stage.
fn timm(name: &str, depths: [usize; 7]) -> Option<String> {
    let name = published(name)?;
    let Some(rest) = name.strip_prefix("_blocks.") else {
        return Some(name.replace("_conv_stem", "conv_stem").replace("_bn0", "bn1"));
    };
    let (block, rest) = rest.split_once('.').unwrap();
    let (module, leaf) = rest.split_once('.').unwrap();
    let (mut stage, mut block) = (0, block.parse::<usize>().unwrap());
    while block >= depths[stage] {
        block -= depths[stage];
        stage += 1;
    }
    let module = match (stage, module) {
        (_, "_depthwise_conv") => "conv_dw",
        (0, "_project_conv") | (_, "_expand_conv") => "conv_pw",
        (0, "_bn1") | (_, "_bn0") => "bn1",
        (0, "_bn2") | (_, "_bn1") => "bn2",
        (_, "_project_conv") => "conv_pwl",
        (_, "_bn2") => "bn3",
        other => panic!("{other:?}"),
    };
    Some(format!("blocks.{stage}.{block}.{module}.{leaf}"))
}

/// Writes the first values of an encoder's parameters by other names, behind tensors of the classifier that it was
/// trained with.
fn write_encoder(path: &Path, parameters: &[Parameter], classifier: &[&str], name: impl Fn(&str) -> Option<String>) {
    let named = parameters.iter().filter_map(|parameter| Some((name(&parameter.name)?, parameter)));
    let mut all: Vec<_> =
        named.map(|(name, parameter)| (name, parameter.shape.to_vec(), parameter.initial(1))).collect();
    all.extend(classifier.iter().map(|name| (name.to_string(), vec![3, 2], vec![0.5; 6])));
    let views = all.iter().map(|(name, shape, values)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Protects: EfficientNet-Lite by its published names and by timm's, which count blocks in their stages. Every tensor
/// gets to its place in networks of any depth, the classifier is left out, and nothing else may be.
#[test]
fn efficientnet_lite_is_read_by_either_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lite.safetensors");
    let heads = ["_conv_head.weight", "_bn1.running_mean", "_fc.weight"];
    let timm_heads = ["conv_head.weight", "bn2.running_mean", "classifier.weight", "classifier.bias"];
    for (backbone, depths) in [
        ("efficientnet_lite0", [1, 2, 2, 3, 3, 4, 1]),
        ("efficientnet_lite1", [1, 3, 3, 4, 4, 5, 1]),
        ("efficientnet_lite2", [1, 3, 3, 4, 4, 5, 1]),
    ] {
        let parameters = parameters_of_lite(backbone);
        let of_encoder = parameters.iter().filter(|parameter| parameter.name.starts_with("encoder."));
        let of_encoder: Vec<_> = of_encoder.collect();
        for (scheme, heads) in [
            (Scheme::Original("original EfficientNet-Lite encoder"), &heads[..]),
            (Scheme::Elsewhere("timm"), &timm_heads),
        ] {
            write_encoder(&path, &parameters, heads, |name| match scheme {
                Scheme::Elsewhere(_) => timm(name, depths),
                _ => published(name),
            });
            let import = Import::read(&path, &parameters, false).unwrap();
            assert_eq!((import.scheme, import.encoder.as_deref()), (scheme, Some(backbone)));
            assert!(import.report.is_complete(), "{import}");
            assert_eq!(import.report.dropped.len(), heads.len());
            assert_eq!(import.tensors().len(), of_encoder.len());
            for parameter in &of_encoder {
                let (shape, values) = &import.tensors()[&parameter.name];
                assert_eq!((&shape[..], values), (&parameter.shape[..], &parameter.initial(1)), "{}", parameter.name);
            }
        }
    }
}

/// Protects: one line for a file of another size, for a classifier alone, and for a file that is cut.
#[test]
fn misfits_of_efficientnet_lite_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lite.safetensors");
    let parameters = parameters_of_lite("efficientnet_lite0");
    let refusal = || {
        let error = Import::read(&path, &parameters, false).err().unwrap().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    write_encoder(&path, &parameters_of_lite("efficientnet_lite2"), &[], published);
    let error = refusal();
    let remedy =
        "contains efficientnet_lite2 but the network is efficientnet_lite0: set model.backbone=efficientnet_lite2";
    assert!(
        error.contains("unexpected") && error.contains("of a different shape") && error.contains(remedy),
        "{error}"
    );

    write_encoder(&path, &[], &["_conv_head.weight", "_bn1.weight", "_fc.weight", "_fc.bias"], published);
    let error = refusal();
    assert!(error.contains("no tensor matches the network") && error.contains("efficientnet_lite0"), "{error}");

    write_encoder(&path, &parameters, &[], |name| published(name).filter(|name| name != "_blocks.3._bn0.running_var"));
    let error = refusal();
    assert!(error.contains("1 missing: encoder._blocks.3._bn0.running_var"), "{error}");

    write_encoder(&path, &parameters, &[], published);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refusal().contains("lite.safetensors"));
}

/// Protects: weights of a diverged run are refused.
#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("diverged.safetensors");
    let parameters = parameters();
    for last in [f32::NAN, f32::INFINITY] {
        write_first_values(&path, &parameters, last);
        let error = Import::read(&path, &parameters, false).err().unwrap().to_string();
        assert!(error.contains("`classifier.weight` has values that are not finite"), "{error}");
    }
}

/// Protects: the values of a session after an import, and that the rest keeps its initial values.
#[test]
fn a_session_gets_the_values() {
    let session = Session::open("reference").unwrap();
    let parameters = parameters();
    for parameter in &parameters {
        let values = parameter.initial(1);
        session.clone().set_state(&parameter.name, &parameter.shape, &values).unwrap();
    }
    let import = Import::read(&fixture("mit_legacy.pth"), &parameters, false).unwrap();
    import.put(&session).unwrap();
    let expected = bits(&read("expected.safetensors").tensors);
    for parameter in &parameters {
        let found: Vec<u64> =
            session.state(&parameter.name).unwrap().1.iter().map(|value| (*value as f32).to_bits().into()).collect();
        let first: Vec<u64> = parameter.initial(1).iter().map(|value| value.to_bits().into()).collect();
        let from_file = parameter.name.starts_with("encoder.");
        assert_eq!(found, if from_file { expected[&parameter.name].1.clone() } else { first }, "{}", parameter.name);
    }
}

/// Protects: the start weights that come with the program are those of the published file: for a picture of ramps their
/// levels have its means and largest values (computed in f64 from that file, in full precision), within what half
/// precision may change.
#[test]
fn the_bundled_encoder_is_the_published_one() {
    let graph = Graph::new();
    let scope = Scope::root(&graph).at(SCOPE);
    let layers = LITE0.record(&scope).unwrap();
    let (path, bytes) = tagseg::run::bundled::encoder("efficientnet_lite0").unwrap();
    let import = Import::from_bytes(path, bytes, &scope.parameters()).unwrap();
    let session = tagseg::run::device::open("auto").unwrap();
    import.put(&session).unwrap();
    let image = graph.input("image", [1, 96, 112, 3], DType::F32);
    let levels = layers.forward(&image, &Mode::Eval).unwrap().levels;
    let tokens: Vec<_> = levels.iter().map(|level| &level.tokens).collect();
    let mut program = session.compile(&graph, &tokens).unwrap();
    let [mean, deviation] = [[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]];
    let ramps = |row: u32, column: u32| [row * 255 / 95, column * 255 / 111, (row + column) * 255 / 206];
    let pixels = (0..96).flat_map(|row| (0..112).flat_map(move |column| ramps(row, column))).enumerate();
    let values: Vec<_> = pixels.map(|(at, value)| (f64::from(value) - mean[at % 3]) / deviation[at % 3]).collect();
    program.write(&image, &values[..]).unwrap();
    program.run().unwrap();
    let published = [(-0.013564, 51.84630), (0.032429, 44.34859), (-0.140186, 31.83320), (0.022454, 9.91787)];
    for (level, (mean, largest)) in tokens.into_iter().zip(published) {
        let values = program.read(level).unwrap();
        let own = values.iter().sum::<f64>() / values.len() as f64;
        let own_largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        println!("{own:.6} of {mean}, {own_largest:.5} of {largest}");
        assert!((own - mean).abs() < 1e-3 * largest, "a mean is {own}, not {mean}");
        assert!((own_largest / largest - 1.0).abs() < 0.01, "the largest is {own_largest}, not {largest}");
    }
}
