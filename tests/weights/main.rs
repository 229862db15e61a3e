//! Weights of other programs: files of PyTorch and Hugging Face, layouts, and malicious files.
//!
//! `tests/fixtures/weights/make_fixtures.py` made the files and describes their contents.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

mod commands;
mod files;
mod harm;
mod layouts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tagseg::config::Config;
use tagseg::engine::graph::Graph;
use tagseg::engine::nn::Parameter;
use tagseg::formats::element::Values;
use tagseg::formats::tensor_file::{NamedTensor, TensorFile};
use tagseg::parts::encoders::mit::B1;
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};

/// Shape and bits of tensors by name; equal means byte-equal.
type Bits = BTreeMap<String, (Vec<usize>, Vec<u64>)>;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

fn read(name: &str) -> TensorFile {
    TensorFile::read(&fixture(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn bits(tensors: &[NamedTensor]) -> Bits {
    let of = |values: &Values| match values {
        Values::Reals(values) => values.iter().map(|value| value.to_bits().into()).collect(),
        Values::Integers(values) => values.iter().map(|value| *value as u64).collect(),
    };
    tensors.iter().map(|tensor| (tensor.name.clone(), (tensor.shape.clone(), of(&tensor.values)))).collect()
}

/// The parameters of the network in the fixtures.
fn parameters() -> Vec<Parameter> {
    let config = Config::default();
    let mut encoder = B1.of(&config);
    (encoder.sizes.dims, encoder.sizes.heads, encoder.sizes.depths) = ([4, 4, 8, 8], [1, 1, 2, 2], [1, 1, 1, 2]);
    let config = NetworkConfig { encoder: Arc::new(encoder), embed: 4, ..NetworkConfig::new(&config, 2).unwrap() };
    Network::new(&Graph::new(), &config, NetworkOptions::default()).unwrap().parameters()
}
