//! The examples run, and do what they say: each asserts its own result. So do the kernels of the workshop.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/add_an_op.rs"]
mod add_an_op;
#[path = "../examples/digits.rs"]
mod digits;
#[allow(dead_code, reason = "its main reads the arguments of the process; the test calls what main calls")]
#[path = "../examples/segment_image.rs"]
mod segment_image;
#[path = "../benches/workshop/steps.rs"]
mod workshop;
#[path = "../examples/xor.rs"]
mod xor;

use tagseg::Session;
use tagseg::config::Config;
use tagseg::data::Rgb8;
use tagseg::data::palette::read_index_png;
use tagseg::parts::network::NetworkConfig;
use tagseg::run::train::Trainer;
use tagseg::run::weights::Checkpoint;

#[test]
fn an_op_can_be_added_from_outside() {
    add_an_op::main().unwrap();
}

#[test]
fn two_layers_learn_xor() {
    xor::main().unwrap();
}

#[test]
fn a_small_network_reads_digits() {
    digits::main().unwrap();
}

/// Protects: the library's way from a checkpoint and a photo to a mask, and the message when it is called wrongly.
#[test]
fn one_image_is_segmented() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = Config::preset("nano").unwrap();
    let classes = ["cat", "dog"].map(String::from);
    let session = Session::open("reference").unwrap();
    let trainer = Trainer::new(&session, &config, &NetworkConfig::new(&config, 2), 2, 1).unwrap();
    let untrained = Checkpoint::take(&session, trainer.parameters(), 0, &config, &classes).unwrap();
    untrained.save(&at("net.safetensors")).unwrap();
    Rgb8::new(35, 70, (0..35 * 70 * 3).map(|place| (place % 255) as u8).collect()).write_png(&at("photo.png")).unwrap();

    let paths = [at("net.safetensors"), at("photo.png"), at("mask.png")];
    let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    segment_image::run(&[&paths[..], &["reference"]].concat()).unwrap();
    let mask = read_index_png(&at("mask.png")).unwrap();
    assert_eq!((mask.height, mask.width), (35, 70));
    assert!(mask.data.iter().all(|&value| value <= 2));
    assert!(segment_image::run(&paths[..2]).unwrap_err().to_string().contains("RUN IMAGE MASK.png"));
}

/// Protects: every kernel of the workshop, whose values are compared with the interpreter's, on tiles that fill neither
/// the last strip nor the last workgroup; but for the one that needs subgroups of eight, where there are none.
#[test]
fn the_workshop_computes_right() {
    let session = tagseg::run::device::open("auto").unwrap();
    let steps = workshop::PROBLEMS.iter().map(|problem| problem.compile(&session, 192).unwrap().len());
    let eight = session.target().is_some_and(|target| target.subgroup_products && target.subgroup == 8);
    assert_eq!(steps.sum::<usize>(), if eight { 13 } else { 12 });
}
