//! Networks of random weights, and what this program computes with them.

use tagseg::Session;
use tagseg::config::Config;
use tagseg::engine::graph::Graph;
use tagseg::engine::nn::Mode;
use tagseg::parts::images::Images;
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};
use tagseg::run::weights::Checkpoint;

/// Heights and widths of the images that are compared.
pub const SIZES: [[usize; 2]; 2] = [[97, 65], [64, 128]];

/// A configuration of a network.
pub fn config(backbone: &str, settings: &[&str]) -> Config {
    let mut config = Config::preset("voc").unwrap();
    for setting in [&[&*format!("model.backbone={backbone}")], settings].concat() {
        config.set(setting).unwrap();
    }
    config
}

/// A network of random weights, with running statistics that are not those of an untrained network.
pub fn random_checkpoint(backbone: &str, settings: &[&str], seed: u64) -> Checkpoint {
    let (config, classes) = (config(backbone, settings), ["cat", "dog", "Österreich"].map(String::from));
    let graph = Graph::new();
    let network = NetworkConfig::new(&config, classes.len()).unwrap();
    let network = Network::new(&graph, &network, NetworkOptions::new(&config)).unwrap();
    let mut session = Session::open("auto").unwrap();
    network.scope().initialise(&mut session, seed).unwrap();
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
    checkpoint
}

/// Bytes of images that look like noise over slow changes.
pub fn images(batch: usize, [height, width]: [usize; 2]) -> Vec<u8> {
    (0..(batch * height * width * 3) as u64)
        .map(|place| (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8 / 3 + (place / 97 % 160) as u8)
        .collect()
}

/// The bytes of a checkpoint's outputs for images: logits of the segmentation on the grid of the first level and at the
/// size of the images, and logits of the tags, as f32.
pub fn outputs(checkpoint: &Checkpoint, images: &[u8], batch: usize, size: [usize; 2]) -> [Vec<u8>; 3] {
    let graph = Graph::new();
    let config = NetworkConfig::new(&checkpoint.config, checkpoint.classes.len()).unwrap();
    let network = Network::new(&graph, &config, NetworkOptions::new(&checkpoint.config)).unwrap();
    let input = Images::of_bytes(&graph, batch, size).unwrap();
    let outputs = network.forward(&input.normalised, &Mode::Eval).unwrap();
    let outputs = [&outputs.seg_small, &outputs.seg, &outputs.cls];
    let mut session = Session::open("auto").unwrap();
    checkpoint.put(&mut session, &network.parameters()).unwrap();
    let mut program = session.compile(&graph, &outputs).unwrap();
    program.write(&input.input, images).unwrap();
    program.run().unwrap();
    outputs.map(|output| program.read(output).unwrap().iter().flat_map(|value| (*value as f32).to_le_bytes()).collect())
}
