//! Networks as ONNX, run by ONNX Runtime.

use std::fs;
use std::path::Path;

use tagseg::run::weights::Checkpoint;

use crate::networks::{SIZES, images, outputs, random_checkpoint};
use crate::place::{Place, read_with, tagseg};

/// Converts a checkpoint, and writes its cases for the reader: images, logits and tags.
fn convert(place: &Place, name: &str, checkpoint: &Checkpoint) {
    let (file, model) = (place.path(&format!("{name}.safetensors")), place.arg(&format!("{name}.onnx")));
    checkpoint.save(&file).unwrap();
    let said = tagseg(&["weights", "convert", file.to_str().unwrap(), &model]);
    let classes = checkpoint.classes.len() + 1;
    let part = format!("{} of {classes} classes after step {}", checkpoint.config.model_backbone, checkpoint.step);
    assert!(said.contains(&part), "{said}");
    for size in SIZES {
        let (batch, [height, width]) = (2, size);
        let mut case = images(batch, size);
        let [_, seg, tags] = outputs(checkpoint, &case, batch, size);
        case.extend([seg, tags].concat());
        fs::write(place.path(&format!("{name}-{batch}x{height}x{width}.bin")), case).unwrap();
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
    for (number, (backbone, more)) in cases.into_iter().enumerate() {
        let settings = [&["model.embed_dim=64"], more].concat();
        convert(&place, &format!("{number}-{backbone}"), &random_checkpoint(backbone, &settings, number as u64 + 1));
    }
    // A trained network.
    let animals = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/animals.safetensors");
    convert(&place, "animals", &Checkpoint::load(&animals).unwrap());
    let printed = read_with("onnx_logits.py", &[&place.arg("")]);
    println!("{printed}");
    assert!(printed.contains("14 cases"), "{printed}");
}
