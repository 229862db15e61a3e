//! Networks as ONNX, run by ONNX Runtime.

use std::fs;
use std::path::Path;

use tagseg::Session;
use tagseg::config::Config;
use tagseg::engine::graph::Graph;
use tagseg::engine::nn::Mode;
use tagseg::parts::images::Images;
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};
use tagseg::run::weights::Checkpoint;

use crate::place::{Place, read_with, tagseg};

/// The logits of a checkpoint for random images of `size`, written for the reader: images, logits and tags.
fn write_case(place: &Place, name: &str, checkpoint: &Checkpoint, [height, width]: [usize; 2]) {
    let batch = 2;
    let graph = Graph::new();
    let config = NetworkConfig::new(&checkpoint.config, checkpoint.classes.len()).unwrap();
    let network = Network::new(&graph, &config, NetworkOptions::new(&checkpoint.config)).unwrap();
    let images = Images::of_bytes(&graph, batch, [height, width]).unwrap();
    let outputs = network.forward(&images.normalised, &Mode::Eval).unwrap();
    let mut session = Session::open("auto").unwrap();
    checkpoint.put(&mut session, &network.parameters()).unwrap();
    let mut program = session.compile(&graph, &[&outputs.seg, &outputs.cls]).unwrap();
    let bytes: Vec<u8> = (0..(batch * height * width * 3) as u64)
        .map(|place| (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8 / 3 + (place / 97 % 160) as u8)
        .collect();
    program.write(&images.input, &bytes).unwrap();
    program.run().unwrap();
    let mut file = bytes;
    for output in [&outputs.seg, &outputs.cls] {
        file.extend(program.read(output).unwrap().iter().flat_map(|value| (*value as f32).to_le_bytes()));
    }
    fs::write(place.path(&format!("{name}-{batch}x{height}x{width}.bin")), file).unwrap();
}

/// Converts a checkpoint, and writes its cases.
fn convert(place: &Place, name: &str, checkpoint: &Checkpoint) {
    let (file, model) = (place.path(&format!("{name}.safetensors")), place.arg(&format!("{name}.onnx")));
    checkpoint.save(&file).unwrap();
    let said = tagseg(&["weights", "convert", file.to_str().unwrap(), &model]);
    let classes = checkpoint.classes.len() + 1;
    let part = format!("{} of {classes} classes after step {}", checkpoint.config.model_backbone, checkpoint.step);
    assert!(said.contains(&part), "{said}");
    for size in [[97, 65], [64, 128]] {
        write_case(place, name, checkpoint, size);
    }
}

/// Protects: the logits of segmentation and tags are those of the network, for images of any size and in batches, with
/// every family of encoders, priors and poolings.
#[test]
fn onnx_runtime_computes_the_same_logits() {
    let cases: [(&str, &[&str]); 6] = [
        ("nano", &[]),
        ("nano", &["ofd.mode=paper", "model.pooling=gap", "model.strides=[4, 2, 2, 2]"]),
        ("mit_b0", &["ofd.mode=off"]),
        ("mit_b2", &[]),
        ("efficientnet_lite0", &["lambda=[0.7, 0.1, 0]"]),
        ("efficientnet_lite2", &["lambda=[0.7, 0.1, 0]", "ofd.mode=paper"]),
    ];
    let place = Place::new();
    let classes = ["cat", "dog", "Österreich"].map(String::from);
    for (number, (backbone, more)) in cases.into_iter().enumerate() {
        let mut config = Config::preset("voc").unwrap();
        for setting in [&[&*format!("model.backbone={backbone}"), "model.embed_dim=64"], more].concat() {
            config.set(setting).unwrap();
        }
        // Random weights, with running statistics that are not those of an untrained network.
        let graph = Graph::new();
        let network = NetworkConfig::new(&config, classes.len()).unwrap();
        let network = Network::new(&graph, &network, NetworkOptions::new(&config)).unwrap();
        let mut session = Session::open("auto").unwrap();
        network.scope().initialise(&mut session, number as u64 + 1).unwrap();
        let mut checkpoint = Checkpoint::take(&session, &network.parameters(), 5, &config, &classes).unwrap();
        for (name, (_, values)) in &mut checkpoint.tensors {
            for (index, value) in values.iter_mut().enumerate() {
                match name.rsplit('.').next() {
                    Some("running_mean") => *value = (index % 7) as f32 / 10.0 - 0.3,
                    // Many layers of random weights must not amplify roundings.
                    Some("running_var") if name.contains("_blocks") => *value = 2.0 + (index % 5) as f32 / 5.0,
                    Some("running_var") => *value = 0.5 + (index % 5) as f32 / 5.0,
                    Some("bias") => *value += (index % 3) as f32 / 20.0 - 0.05,
                    _ => (),
                }
            }
        }
        convert(&place, &format!("{number}-{backbone}"), &checkpoint);
    }
    // A trained network.
    let animals = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/animals.safetensors");
    convert(&place, "animals", &Checkpoint::load(&animals).unwrap());
    let printed = read_with("onnx_logits.py", &[&place.arg("")]);
    println!("{printed}");
    assert!(printed.contains("14 cases"), "{printed}");
}
