//! Runs the examples, each of which checks its own result, and the kernels of the workshop.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/add_an_op.rs"]
mod add_an_op;
#[path = "../examples/digits.rs"]
mod digits;
#[allow(dead_code, reason = "its main trains for minutes; the test calls what main calls")]
#[path = "../examples/own_method.rs"]
mod own_method;
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
use tagseg::data::shapes::{ShapesOptions, generate};
use tagseg::parts::network::NetworkConfig;
use tagseg::run::eval::{Model, Protocol, ScoreOptions, score_run};
use tagseg::run::page::{PageOptions, page};
use tagseg::run::record::{Record, read_records};
use tagseg::run::train::{Resume, ResumeOptions, TrainOptions, Trainer, run};
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

/// Protects: segmenting a photo with a checkpoint through the library, and the message for wrong arguments.
#[test]
fn one_image_is_segmented() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = Config::preset("nano").unwrap();
    let classes = ["cat", "dog"].map(String::from);
    let session = Session::open("reference").unwrap();
    let trainer = Trainer::new(&session, &config, &NetworkConfig::new(&config, 2).unwrap(), 2, 1).unwrap();
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

/// Protects: every kernel of the workshop, whose values are compared with the interpreter's, on sizes that fill neither
/// the last strip nor the last workgroup; except the one that needs subgroups of eight, if the device has none.
#[test]
fn the_workshop_computes_correctly() {
    let session = tagseg::run::device::open("auto").unwrap();
    let steps = workshop::PROBLEMS.iter().map(|problem| problem.compile(&session, 192).unwrap().len());
    let eight = session.target().is_some_and(|target| target.subgroup_products && target.subgroup == 8);
    assert_eq!(steps.sum::<usize>(), if eight { 13 } else { 12 });
}

/// The tensors of a run's newest checkpoint, training states included, as bits.
fn bits(folder: &std::path::Path) -> Vec<(String, Vec<u32>)> {
    let checkpoint = Checkpoint::open(folder).unwrap().checkpoint;
    let states = checkpoint.training.unwrap().states;
    let all = checkpoint.tensors.into_iter().chain(states);
    all.map(|(name, (_, values))| (name, values.iter().map(|value| value.to_bits()).collect())).collect()
}

/// Protects: a user's method trains like the built-in ones. A run that was stopped and resumed is bit-identical to one
/// that was not; record, scores and page have the names that the method declares; without the method, each of these
/// reports what is missing.
#[test]
fn a_users_method_is_trained_resumed_scored_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let few = ShapesOptions { train: 12, val: 2, size: 64, ..ShapesOptions::default() };
    generate(&folder.path().join("data"), &few).unwrap();
    let options = |name: &str| -> TrainOptions {
        let mut options = own_method::options(folder.path(), name, 8, "auto").unwrap();
        let settings =
            ["batch.global=4", "batch.micro=2", "train.log_every=3", "train.eval_every=8", "schedule.n_c2s=3"];
        for setting in settings {
            options.config.set(setting).unwrap();
        }
        options
    };
    let whole = options("whole");
    run(&whole).unwrap();
    let parts = options("parts");
    parts.stop.ask();
    assert_eq!(run(&parts).unwrap().stopped, Some(1));
    let without = Resume::open(&parts.out).unwrap().run(&ResumeOptions::default()).unwrap_err().to_string();
    assert!(without.contains("`method.name`: unknown method `cam`") && !without.contains('\n'), "{without}");
    let methods = own_method::methods();
    let resumed = ResumeOptions { methods: methods.clone(), ..ResumeOptions::default() };
    assert_eq!(Resume::open(&parts.out).unwrap().run(&resumed).unwrap().stopped, None);
    assert!(bits(&whole.out) == bits(&parts.out), "weights, moments, statistics and recorded values");

    let records = read_records(parts.out.join("metrics.jsonl")).unwrap();
    let names = |record: &Record| -> Vec<String> {
        let names = |list: &mut dyn Iterator<Item = &str>| list.map(String::from).collect();
        match record {
            Record::Step(step) => names(&mut step.loss.iter().map(|(name, _)| name)),
            Record::Eval(record) => names(&mut record.eval.miou.iter().map(|(name, _)| name)),
        }
    };
    assert!(records.iter().any(|record| names(record) == ["total", "cls", "seg"]));
    assert!(records.iter().any(|record| names(record) == ["seg", "cam", "label"]));

    let score = ScoreOptions {
        network: parts.out.clone(),
        data: parts.data.clone(),
        split: "val".into(),
        device: "auto".into(),
        skip_broken: false,
        protocol: Protocol::Train,
        crf: false,
        assignments: Vec::new(),
        methods: methods.clone(),
    };
    let (_, scored) = score_run(&score, &()).unwrap();
    let titles: Vec<_> = scored.scores.maps.iter().map(|map| map.title.as_str()).collect();
    assert_eq!(titles, ["segmentation", "seeds", "label"]);
    assert!(Model::load(&parts.out, "auto").err().unwrap().to_string().contains("unknown method `cam`"));
    let (report, _) = page(&PageOptions {
        run: parts.out.clone(),
        data: parts.data.clone(),
        out: folder.path().join("report.html"),
        device: "auto".into(),
        title: "Plain CAM".into(),
        summary: String::new(),
        facts: Vec::new(),
        methods,
    })
    .unwrap();
    let html = std::fs::read_to_string(report).unwrap();
    for name in ["<span>Label</span>", "<figcaption>label</figcaption>", "\nseg ", "<dd>cam</dd>"] {
        assert!(html.contains(name), "`{name}` is missing on the page");
    }
}
