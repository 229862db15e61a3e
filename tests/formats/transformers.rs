//! Networks as folders of Hugging Face's Transformers, in both directions.

use std::fs;
use std::path::Path;

use tagseg::Session;
use tagseg::engine::graph::Graph;
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};
use tagseg::run::weights::{Checkpoint, Import};

use crate::networks::{SIZES, config, images, outputs, random_checkpoint};
use crate::place::{Place, run_with_transformers, tagseg};

/// Writes images, and the logits that this program computes for them on the grid of the first level.
fn write_cases(place: &Place, name: &str, checkpoint: &Checkpoint) {
    for size in SIZES {
        let (batch, [height, width]) = (2, size);
        let mut case = images(batch, size);
        let [logits, ..] = outputs(checkpoint, &case, batch, size);
        case.extend(logits);
        fs::write(place.path(&format!("{name}-{batch}x{height}x{width}.bin")), case).unwrap();
    }
}

/// Protects: Transformers loads the folder without a missing or unexpected key, prepares images as this program does, and
/// computes the same logits, also with other strides and with the encoder that SegFormer's authors did not release.
#[test]
fn transformers_computes_the_same_logits() {
    let cases: [(&str, &[&str]); 4] = [
        ("mit_b0", &[]),
        ("mit_b0", &["model.strides=[4, 2, 2, 2]", "model.embed_dim=256"]),
        ("mit_b2", &["model.embed_dim=64"]),
        ("nano", &["model.embed_dim=32"]),
    ];
    let place = Place::new();
    for (number, (backbone, more)) in cases.into_iter().enumerate() {
        let settings = [&["ofd.mode=off"], more].concat();
        let checkpoint = random_checkpoint(backbone, &settings, number as u64 + 1);
        let name = format!("{number}-{backbone}");
        let file = place.arg(&format!("{name}.safetensors"));
        checkpoint.save(Path::new(&file)).unwrap();
        let said = tagseg(&["weights", "convert", &file, &place.arg(&name), "--layout", "transformers"]);
        assert!(said.contains(&format!("{backbone} of 4 classes after step 5 for Transformers")), "{said}");
        write_cases(&place, &name, &checkpoint);
    }
    let printed = run_with_transformers("transformers_logits.py", &[&place.arg("")]);
    println!("{printed}");
    assert!(printed.contains("8 cases"), "{printed}");
}

/// Protects: a SegFormer that Transformers saved, in one file or in several, as safetensors or by torch.save, has the
/// same logits here.
#[test]
fn folders_of_transformers_are_read() {
    let place = Place::new();
    let size = SIZES[0];
    fs::write(place.path("images.bin"), images(1, size)).unwrap();
    run_with_transformers("transformers_saves.py", &[&place.arg(""), &size[0].to_string(), &size[1].to_string()]);
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let expected = floats(&fs::read(place.path("logits.bin")).unwrap());

    let config = config("mit_b0", &["ofd.mode=off", "model.strides=[4, 2, 2, 2]", "model.embed_dim=256"]);
    let classes = ["cat", "dog"].map(String::from);
    let network = NetworkConfig::new(&config, classes.len()).unwrap();
    let network = Network::new(&Graph::new(), &network, NetworkOptions::new(&config)).unwrap();
    let parameters = network.parameters();
    for (name, files) in [("whole", 1), ("sharded", 3), ("torch", 1), ("torch-sharded", 3)] {
        let folder = place.path(name);
        let weights = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let weights = weights.filter(|name| name.ends_with(".safetensors") || name.ends_with(".bin")).count();
        assert!(weights >= files && (files > 1 || weights == 1), "{name}: {weights} files");

        let import = Import::read(&folder, &parameters, true).unwrap();
        let missing = &import.report.missing;
        assert_eq!(missing[..], ["attn_proj.weight", "attn_proj.bias", "classifier.weight"], "{name}");
        assert!(import.report.unexpected.is_empty() && import.report.misshaped.is_empty(), "{name}: {import}");
        let mut session = Session::open("auto").unwrap();
        network.scope().initialise(&mut session, 1).unwrap();
        import.put(&session).unwrap();
        let checkpoint = Checkpoint::take(&session, &parameters, 0, &config, &classes).unwrap();
        let [logits, ..] = outputs(&checkpoint, &images(1, size), 1, size);
        let found = floats(&logits);
        assert_eq!(found.len(), expected.len());
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: worst {worst:.1e}");
        assert!(worst <= 1e-4, "{name}: {worst}");
    }
}
