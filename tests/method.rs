//! The method against its specification, on the f64 interpreter: gradient routing, schedule, and
//! empty masks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use tagseg::config::{Config, DataForm};
use tagseg::data::SplitOptions;
use tagseg::engine::graph::{DType, Graph, Tensor};
use tagseg::engine::nn::{Conv2d, Mode, Scope};
use tagseg::engine::reference::square_error;
use tagseg::method::Method;
use tagseg::method::afa::Afa;
use tagseg::method::bmp::{AFF, BSP, Bmp, C2S, S2C};
use tagseg::method::groups::{DECODER, NORM, official_group_of};
use tagseg::method::{FLAGS, Inputs, Methods, Phase, Schedule, Sizes, Step, moment_names};
use tagseg::parts::crf::DenseCrf;
use tagseg::parts::encoders::{Encoder, EncoderLayers, Features, Level, LevelSize};
use tagseg::parts::losses::weighted_classification_loss;
use tagseg::parts::network::NetworkConfig;
use tagseg::parts::propagation::Slots;
use tagseg::run::eval::Model;
use tagseg::run::train::Trainer;
use tagseg::{Program, Session};

const FOREGROUND: usize = 3;
const CROP: usize = 64;
const BATCH: usize = 2;

fn config() -> Config {
    let mut config = Config::preset("nano").unwrap();
    config.train_crop = CROP;
    config.batch_global = BATCH;
    // One scale is enough to test gradient routing.
    config.ms_scales = vec![1.0];
    config
}

/// Repeatable bytes.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn record(config: &Config, phase: Phase) -> Step {
    let network = NetworkConfig::new(config, FOREGROUND).unwrap();
    let (method, sizes) = (Methods::default().of(config).unwrap(), Sizes { batch: BATCH, crop: [CROP; 2], slots: 4 });
    Step::record(&method, config, &network, &phase, sizes, false).unwrap()
}

fn all_on() -> Phase {
    [C2S, S2C, AFF, BSP].into_iter().collect()
}

fn loss<'a>(step: &'a Step, name: &str) -> &'a Tensor {
    step.losses.loss(name).unwrap()
}

fn map<'a>(step: &'a Step, name: &str) -> &'a Tensor {
    step.map(name).unwrap()
}

fn feed(program: &mut Program, inputs: &Inputs) {
    let tags = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    program.write(&inputs.images.input, &bytes(BATCH * 3 * CROP * CROP)).unwrap();
    program.write(&inputs.tags, &tags).unwrap();
    program.write(&inputs.classes, &Slots::new(&tags, FOREGROUND, 4).classes).unwrap();
    program.write(&inputs.boxes, &[0, 64, 0, 64, 3, 50, 0, 41]).unwrap();
    program.write(&inputs.random, &[1, 0, 0]).unwrap();
    program.write(&inputs.hyper, &[1e-3, 0.01, 0.1, 0.03].repeat(4)).unwrap();
}

/// Runs `outputs` of a step with freshly initialised weights, on the interpreter.
fn values(step: &Step, outputs: &[&Tensor]) -> Vec<Vec<f64>> {
    values_on("reference", step, outputs)
}

/// The same on any device.
fn values_on(device: &str, step: &Step, outputs: &[&Tensor]) -> Vec<Vec<f64>> {
    let mut session = Session::open(device).unwrap();
    for parameter in &step.parameters {
        session.set_state(&parameter.name, &parameter.shape, &parameter.initial(7)).unwrap();
    }
    let mut program = session.compile(&step.graph, outputs).unwrap();
    feed(&mut program, &step.inputs);
    program.run().unwrap();
    outputs.iter().map(|output| program.read(output).unwrap()).collect()
}

/// Largest gradient of `loss` in each part of the network.
fn reach(config: &Config, loss: fn(&Step) -> &Tensor) -> Vec<(String, f64)> {
    let step = record(config, all_on());
    let parameters: Vec<_> = step.parameters.iter().filter(|parameter| parameter.trained).cloned().collect();
    let states: Vec<_> = parameters.iter().map(|p| step.graph.state(&p.name, p.shape.clone())).collect();
    let gradients = step.graph.gradients(loss(&step), &states).unwrap();
    let read = values(&step, &gradients.iter().collect::<Vec<_>>());
    let largest = |values: Vec<f64>| values.into_iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    parameters.into_iter().map(|p| p.name).zip(read.into_iter().map(largest)).collect()
}

fn part<'a>(reach: &'a [(String, f64)], prefix: &str) -> impl Iterator<Item = f64> + 'a {
    let prefix = prefix.to_owned();
    reach.iter().filter(move |(name, _)| name.starts_with(&prefix)).map(|(_, gradient)| *gradient)
}

fn touched(reach: &[(String, f64)], prefix: &str) -> bool {
    part(reach, prefix).any(|gradient| gradient > 0.0)
}

/// Protects: gradient routing of method.md 6.7. An untouched part gets exact zeros.
#[test]
fn each_loss_reaches_the_parts_it_should() {
    let mut config = config();
    // Freshly initialised logits rarely pass the released threshold; with this one Y_s is not empty.
    config.sigma_s = -10.0;
    type Loss = fn(&Step) -> &Tensor;
    let cases: [(&str, Loss, [bool; 4]); 4] = [
        ("cls", |it| loss(it, "cls"), [true, false, false, true]),
        ("c2s", |it| loss(it, "c2s"), [false, false, true, true]),
        ("s2c", |it| loss(it, "s2c"), [true, false, false, true]),
        ("aff", |it| loss(it, "aff"), [false, true, false, true]),
    ];
    for (name, loss, expected) in cases {
        let reach = reach(&config, loss);
        let got = ["classifier", "attn_proj", "decoder", "encoder"].map(|prefix| touched(&reach, prefix));
        assert_eq!(got, expected, "{name}: classifier, attn_proj, decoder, encoder");
        let dead = ["encoder.norm4", "encoder.block4.1.mlp", "encoder.block4.1.attn.proj"];
        if name == "aff" {
            assert!(dead.iter().all(|prefix| !touched(&reach, prefix)), "affinity ends at the last block's q and k");
            assert!(touched(&reach, "encoder.block4.1.attn.q"), "affinity flows through q");
        }
    }
}

/// Protects: after the propagation, s2c still trains the seeds and the layers that they come from, and nothing else;
/// its background is detached, whichever pass it comes from.
#[test]
fn s2c_on_the_propagated_map_reaches_the_same_parts() {
    for background in ["multi_scale", "single_scale"] {
        let mut config = config();
        config.sigma_s = -10.0;
        config.set("s2c.map=propagated").unwrap();
        config.set(&format!("bsp.bg={background}")).unwrap();
        let reach = reach(&config, |step| loss(step, "s2c"));
        let got = ["classifier", "attn_proj", "decoder", "encoder"].map(|prefix| touched(&reach, prefix));
        assert_eq!(got, [true, false, false, true], "{background}: classifier, attn_proj, decoder, encoder");
    }
}

/// Protects: on the propagated map, Y_s has background too, and a device computes the same loss and gradients of the
/// whole step as the interpreter.
#[test]
fn s2c_on_the_propagated_map_is_the_same_on_a_device() {
    let mut config = config();
    config.sigma_s = -10.0;
    config.set("s2c.map=propagated").unwrap();
    let step = record(&config, all_on());
    let wanted = ["classifier.weight", "encoder.patch_embed1.proj.weight", "decoder.linear_pred.weight"];
    let parameters: Vec<_> = step.parameters.iter().filter(|p| wanted.contains(&p.name.as_str())).cloned().collect();
    assert_eq!(parameters.len(), wanted.len());
    let gradients = step.gradients(&parameters).unwrap();
    let reads: Vec<_> = [map(&step, "y_s"), loss(&step, "s2c")].into_iter().chain(&gradients).collect();
    let (device, truth) = (values_on("auto", &step, &reads), values(&step, &reads));
    let named = |class: f64| truth[0].contains(&class);
    assert!(named(0.0) && named(255.0) && (1..=FOREGROUND).any(|class| named(class as f64)));
    for (device, truth) in device.iter().zip(&truth).skip(1) {
        // Labels depend on comparisons, which rounding may flip at single pixels.
        let error = square_error(device, truth);
        assert!(truth.iter().any(|value| *value != 0.0) && error < 1e-6, "{error}");
    }
}

/// Protects: a loss of weight 0 gives exactly zero gradient, never a small one or NaN.
#[test]
fn a_loss_of_weight_zero_gives_exactly_zero() {
    let mut config = config();
    config.lambda = [0.0, 0.0, 0.0];
    let reach = reach(&config, |step| &step.total);
    assert!(part(&reach, "decoder").chain(part(&reach, "attn_proj")).all(|gradient| gradient == 0.0));
    assert!(touched(&reach, "classifier"));
}

/// Protects: inactive losses leave their parameters without gradient, and the total is the sum of the others.
#[test]
fn phases_decide_the_total() {
    let off = record(&config(), Phase::default());
    let [total, cls] = &values(&off, &[&off.total, loss(&off, "cls")])[..] else { unreachable!() };
    assert_eq!(total, cls);
    let on = record(&config(), all_on());
    let read = values(&on, &[&on.total, loss(&on, "cls"), loss(&on, "c2s"), loss(&on, "s2c"), loss(&on, "aff")]);
    let sum = read[1][0] + 0.7 * read[2][0] + 0.1 * read[3][0] + 0.1 * read[4][0];
    assert!((read[0][0] - sum).abs() < 1e-12);
}

/// Protects: empty masks give zero loss, zero gradient and a count per replica group (method.md 6.5).
#[test]
fn empty_masks_give_zero_and_are_counted() {
    let mut config = config();
    config.sigma_s = 1e9;
    config.sigma_c = 1e9;
    let step = record(&config, all_on());
    let read = values(
        &step,
        &[
            loss(&step, "c2s"),
            loss(&step, "s2c"),
            step.losses.empty("c2s").unwrap(),
            step.losses.empty("s2c").unwrap(),
            &step.total,
        ],
    );
    assert_eq!((read[0][0], read[1][0]), (0.0, 0.0));
    assert_eq!((read[2][0], read[3][0]), (1.0, 1.0), "one replica group of two images");
    assert!(read[4][0].is_finite());
    let c2s = reach(&config, |step| loss(step, "c2s"));
    assert!(c2s.iter().all(|(_, gradient)| *gradient == 0.0));
}

/// Protects: pseudo labels are ignored outside the picture box, and Y_c has only tagged classes (method.md 5).
#[test]
fn labels_stay_inside_the_box_and_the_tags() {
    let mut config = config();
    config.sigma_s = -10.0;
    let step = record(&config, all_on());
    let read = values(&step, &[map(&step, "y_par"), map(&step, "y_c"), map(&step, "y_s")]);
    for (name, label) in ["Y_par", "Y_c", "Y_s"].iter().zip(&read) {
        for (index, &value) in label.iter().enumerate() {
            let (image, y, x) = (index / (CROP * CROP), index / CROP % CROP, index % CROP);
            let inside = image == 0 || ((3..50).contains(&y) && x < 41);
            assert!(inside || value == 255.0, "{name} labels padding at image {image}, {y}, {x}");
            let tagged = [&[0.0, 1.0, 3.0, 255.0][..], &[0.0, 2.0, 255.0]][image];
            assert!(*name == "Y_s" || tagged.contains(&value), "{name} holds class {value} in image {image}");
        }
        assert!(label.iter().any(|&value| value != 255.0), "{name} is empty");
    }
}

/// Protects: AdamW updates exactly the groups that train, and frozen norms keep their values (method.md 7.2).
#[test]
fn frozen_groups_never_change() {
    let mut config = config();
    config.optim_norm_lr_factor = 0.0;
    let step = record(&config, Phase::default());
    step.update().unwrap();
    let mut session = Session::open("reference").unwrap();
    for parameter in &step.parameters {
        session.set_state(&parameter.name, &parameter.shape, &parameter.initial(7)).unwrap();
        for name in moment_names(&parameter.name) {
            session.set_state(&name, &parameter.shape, &vec![0.0; parameter.shape.len()]).unwrap();
        }
    }
    let flags = step.trained().unwrap().len() + 1;
    session.set_state(FLAGS, &[flags], &vec![0.0; flags]).unwrap();
    let mut program = session.compile(&step.graph, &[]).unwrap();
    feed(&mut program, &step.inputs);
    program.run().unwrap();
    let encoder = tagseg::parts::encoders::find(&config).unwrap();
    for parameter in step.parameters.iter().filter(|parameter| parameter.trained) {
        let (_, after) = session.state(&parameter.name).unwrap();
        let before: Vec<_> = parameter.initial(7).into_iter().map(f64::from).collect();
        let zero = before.iter().all(|&value| value == 0.0);
        match official_group_of(&parameter.name, &*encoder, &config) {
            NORM => assert_eq!(after, before, "{} is frozen", parameter.name),
            // Without gradient the decoder only decays, which does not change zeros.
            DECODER if zero => assert_eq!(after, before),
            _ => assert_ne!(after, before, "{} is trained", parameter.name),
        }
    }
}

/// What is read of a step: maps and losses, and what an update goes by, in the order in which they depend on each other.
fn reads(config: &Config) -> Vec<(&'static str, Vec<f64>)> {
    const MAPS: [&str; 4] = ["background", "y_par", "y_c", "y_s"];
    const LOSSES: [&str; 4] = ["cls", "c2s", "s2c", "aff"];
    let step = record(config, all_on());
    let maps = MAPS.map(|name| (name, map(&step, name)));
    let losses = LOSSES.map(|name| (name, loss(&step, name)));
    let tensors = [&maps[..], &[("seg", &step.outputs.seg)], &losses, &[("total", &step.total)]].concat();
    let given = values(&step, &tensors.iter().map(|(_, tensor)| *tensor).collect::<Vec<_>>());
    let mut all: Vec<_> = tensors.iter().map(|(name, _)| *name).zip(given).collect();
    let encoder = tagseg::parts::encoders::find(config).unwrap();
    let schedule = Schedule::new(&Methods::default().of(config).unwrap(), config, &encoder);
    all.push(("rates", [0, 3, 70, 900].iter().flat_map(|&n| schedule.hypers(n)).collect()));
    step.update().unwrap();
    // The constants of the update are no values of the graph.
    let text = format!("{:?}", step.graph);
    let constants = text.split("Constants {").skip(1).filter_map(|rest| rest.split('}').next());
    let update = constants.collect::<BTreeSet<_>>().into_iter().collect::<String>();
    all.push(("update", update.bytes().map(f64::from).collect()));
    all
}

/// Options that no value of a step shows, with the file of tests that holds each.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("tests/data", &["data.scale", "data.flip", "data.long_side"]),
    (
        "tests/cli",
        &["batch.global", "train.crop", "train.iters", "train.save_every", "train.eval_every", "train.log_every"],
    ),
    ("tests/cli", &["test.scales", "test.flip", "test.fuse", "test.long_side", "train.keep", "seed", "model.start"]),
    ("tests/cli", &["train.tensorboard"]),
    ("tests/memory.rs", &["train.precision", "batch.micro"]),
    ("tests/training.rs", &["batch.ranks"]),
    ("tests/ranks", &["train.rank_timeout"]),
    ("tests/data", &["data.balance"]),
    ("tests/resume", &["train.patience"]),
    ("tests/crf.rs", &["crf.iterations", "crf.bilateral"]),
    ("tests/config.rs", &["schedule.n_c2s", "schedule.n_s2c", "schedule.n_bsp", "train.memory", "propagation"]),
    ("tests/method.rs", &["crf.gauss", "data.form", "data.train_split", "data.upright", "model.frozen_levels"]),
    // Only evaluations read it, and no test of theirs changes it yet.
    ("", &["cam.bkg"]),
];

/// Protects: options that reach other places than a step of BMP.
#[test]
fn options_reach_their_place() {
    let config = config();
    let mut changed = config.clone();
    for setting in ["crf.gauss=[2.0, 5.0]", "data.train_split=other", "data.upright=true", "data.form=yolo"] {
        changed.set(setting).unwrap();
    }
    assert_eq!(DenseCrf::new(&changed), DenseCrf { gauss: [2.0, 5.0], ..DenseCrf::new(&config) });
    let splits = SplitOptions::new(&changed, false, false);
    assert_eq!((splits.train_split, splits.upright, splits.form), ("other", true, DataForm::Yolo));
}

/// Protects: the levels that `model.frozen_levels` names are not trained, and everything behind them is.
#[test]
fn frozen_levels_are_not_trained() {
    let mut config = config();
    config.set("model.frozen_levels=2").unwrap();
    let trained: Vec<_> = record(&config, all_on()).trained().unwrap().into_iter().map(|one| one.name).collect();
    for (part, trains) in [
        ("encoder.patch_embed1.", false),
        ("encoder.block2.", false),
        ("encoder.patch_embed3.", true),
        ("encoder.block4.", true),
        ("decoder.", true),
        ("classifier.", true),
    ] {
        assert_eq!(trained.iter().any(|name| name.starts_with(part)), trains, "{part}");
    }
    config.set("model.frozen_levels=5").unwrap();
    let text = Methods::default().check(&config).unwrap_err().to_string();
    assert!(text.contains("`model.frozen_levels`") && text.contains("use at most 4"), "{text}");
}

/// Protects: every option of the method is carried out. Each moves what it names and what follows from that, and nothing
/// else; everything stays finite. An option that is not among these is held by a test elsewhere.
#[test]
fn every_option_has_its_effect() {
    const CASES: &[(&str, &[&str])] = &[
        ("model.backbone=mit_b0", &["background", "y_par", "y_c", "y_s", "seg", "cls", "c2s", "s2c", "aff", "total"]),
        (
            "model.strides=[4, 2, 2, 2]",
            &["background", "y_par", "y_c", "y_s", "seg", "cls", "c2s", "s2c", "aff", "total"],
        ),
        ("model.embed_dim=32", &["background", "y_c", "y_s", "seg", "c2s", "s2c", "total"]),
        ("model.pooling=gap", &["cls", "total"]),
        ("cls.pos_weight=3", &["cls", "total"]),
        ("ofd.mode=off", &["background", "y_c", "y_s", "seg", "c2s", "s2c", "total"]),
        ("ofd.mode=paper", &["background", "y_c", "y_s", "seg", "c2s", "s2c", "total"]),
        ("ms.mode=eval", &["background", "y_c", "c2s", "total"]),
        ("ms.scales=[1.0, 1.5]", &["background", "y_par", "y_c", "c2s", "aff", "total"]),
        ("bsp.bg=single_scale", &["background", "y_c", "c2s", "total"]),
        ("par.iters=3", &["y_par", "y_c", "c2s", "aff", "total"]),
        ("par.dilations=[1, 2]", &["y_par", "y_c", "c2s", "aff", "total"]),
        ("par.w1=0.6", &["y_par", "y_c", "c2s", "aff", "total"]),
        ("par.w2=0.3", &["y_par", "y_c", "c2s", "aff", "total"]),
        ("cam.high=0.7", &["y_par", "aff", "total"]),
        ("cam.low=0.2", &["y_par", "aff", "total"]),
        ("sigma_c=0.8", &["y_c", "c2s", "total"]),
        ("sigma_c.renormalise=true", &["y_c", "c2s", "total"]),
        ("sigma_s=0.5", &["y_s", "s2c", "total"]),
        ("sigma_s.domain=prob", &["y_s", "s2c", "total"]),
        ("ys.filter_by_labels=true", &["y_s", "s2c", "total"]),
        ("ys.source=multi_scale", &["y_s", "s2c", "total"]),
        ("c2s.kind=ce", &["c2s", "total"]),
        ("s2c.kind=bce", &["s2c", "total"]),
        ("s2c.map=propagated", &["y_s", "s2c", "total"]),
        ("aff.label=y_c", &["aff", "total"]),
        ("aff.radius=1", &["aff", "total"]),
        ("lambda=[0.5, 0.2, 0.3]", &["total"]),
        ("loss.replica_size=1", &["c2s", "s2c", "aff", "total"]),
        ("method.name=afa", &["y_c", "c2s", "total"]),
        ("optim.lr=0.01", &["rates"]),
        ("optim.head_factor=3", &["rates"]),
        ("optim.norm_lr_factor=0.5", &["rates"]),
        ("optim.weight_decay=0.5", &["rates"]),
        ("optim.beta1=0.8", &["rates", "update"]),
        ("optim.beta2=0.99", &["rates", "update"]),
        ("optim.eps=0.001", &["update"]),
        ("optim.power=0.5", &["rates"]),
        ("optim.warmup_iters=7", &["rates"]),
        ("optim.warmup_ratio=0.1", &["rates"]),
    ];
    let mut base = config();
    base.sigma_s = 0.3;
    let plain = reads(&base);
    let mut wrong = Vec::new();
    for (setting, moves) in CASES {
        let mut changed = base.clone();
        changed.set(setting).unwrap();
        Methods::default().check(&changed).unwrap();
        let changed = reads(&changed);
        let moved: Vec<_> =
            plain.iter().zip(&changed).filter(|(one, other)| one.1 != other.1).map(|(one, _)| one.0).collect();
        if moved != *moves {
            wrong.push(format!("        (\"{setting}\", &{moved:?}),"));
        }
        let total = changed.iter().find(|(name, _)| *name == "total").unwrap();
        assert!(total.1[0].is_finite(), "{setting}");
    }
    assert!(wrong.is_empty(), "these move other values than expected:\n{}", wrong.join("\n"));
    let held = |name: &str| {
        let own = CASES.iter().any(|(setting, _)| setting.split('=').next() == Some(name));
        own || ELSEWHERE.iter().any(|(_, names)| names.contains(&name))
    };
    let missing: Vec<_> = Config::options().iter().map(|option| option.name).filter(|name| !held(name)).collect();
    assert!(missing.is_empty(), "no test holds {missing:?}");
}

/// Protects: strides other than the released ones, finer and coarser, with different grids at every stage: the
/// device agrees with the interpreter, including labels and all four losses.
#[test]
fn other_strides_work_on_a_device() {
    for (strides, tokens) in [([4, 2, 2, 2], 4), ([2, 2, 2, 1], 64), ([4, 1, 2, 1], 64)] {
        let mut config = config();
        config.model_strides = strides;
        config.ms_scales = vec![1.0, 1.5];
        config.sigma_s = 0.0;
        Methods::default().check(&config).unwrap();
        let step = record(&config, all_on());
        assert_eq!(step.outputs.affinity.as_ref().unwrap().shape()[..], [BATCH, tokens, tokens]);
        let reads = [
            loss(&step, "cls"),
            loss(&step, "c2s"),
            loss(&step, "s2c"),
            loss(&step, "aff"),
            &step.outputs.seg,
            map(&step, "seeds"),
        ];
        let (device, truth) = (values_on("auto", &step, &reads), values(&step, &reads));
        for (name, (device, truth)) in
            ["cls", "c2s", "s2c", "aff", "seg", "seeds"].iter().zip(device.iter().zip(&truth))
        {
            let error = square_error(device, truth);
            // Labels depend on comparisons, which rounding may flip at single pixels.
            let limit = if ["c2s", "s2c", "aff"].contains(name) { 1e-6 } else { 1e-9 };
            assert!(truth.iter().any(|value| *value != 0.0) && error < limit, "{strides:?} {name}: {error}");
        }
    }
}

/// Protects: without the filter by tags, Y_s may have absent classes, with it never (method.md 5.3, 11 row 13).
#[test]
fn a_filtered_y_s_has_only_tagged_classes() {
    let mut config = config();
    config.sigma_s = -10.0;
    config.ys_filter_by_labels = true;
    let step = record(&config, all_on());
    let label = &values(&step, &[map(&step, "y_s")])[0];
    for (image, tagged) in [[1.0, 3.0, 255.0].as_slice(), &[2.0, 255.0]].into_iter().enumerate() {
        let own = &label[image * CROP * CROP..][..CROP * CROP];
        assert!(own.iter().all(|value| tagged.contains(value)), "image {image}");
    }
}

/// Protects: the affinity loss of one half everywhere tends to one half (method.md 16).
#[test]
fn affinity_loss_of_undecided_pairs_is_one_half() {
    let graph = tagseg::engine::graph::Graph::new();
    let affinity = graph.full(0.5, [2, 64, 64]).unwrap();
    let labels: Vec<_> = (0..2 * 64 * 64).map(|index| f64::from(u8::from(index % 3 == 0))).collect();
    let loss = tagseg::parts::losses::affinity_loss(&affinity, &graph.constant(&labels, [2, 64, 64]), 2).unwrap();
    let mut program = Session::open("reference").unwrap().compile(&graph, &[&loss]).unwrap();
    program.run().unwrap();
    let loss = program.read(&loss).unwrap()[0];
    assert!((loss - 0.5).abs() < 1e-3 && loss < 0.5, "{loss}");
}

/// Two convolutions: an encoder of two levels, without attention, which says that it is random or that it is not.
#[derive(Debug)]
struct TwoConvolutions {
    random: bool,
}

/// Its layers.
struct Layers([Conv2d; 2]);

impl Encoder for TwoConvolutions {
    fn name(&self) -> &str {
        "two_convolutions"
    }

    fn levels(&self) -> Vec<LevelSize> {
        vec![LevelSize { channels: 8, stride: 4 }, LevelSize { channels: 12, stride: 8 }]
    }

    fn smallest_side(&self) -> usize {
        8
    }

    fn widest(&self, [height, width]: [usize; 2]) -> usize {
        8 * height.div_ceil(4) * width.div_ceil(4)
    }

    fn is_random(&self) -> bool {
        self.random
    }

    fn level_of(&self, parameter: &str) -> usize {
        usize::from(parameter.contains(".second."))
    }

    fn record(&self, scope: &Scope) -> tagseg::Result<Box<dyn EncoderLayers>> {
        let first = Conv2d::new(&scope.at("first"), 3, 8, 3, 4, 1);
        Ok(Box::new(Layers([first, Conv2d::new(&scope.at("second"), 8, 12, 3, 2, 1)])))
    }
}

impl EncoderLayers for Layers {
    fn forward(&self, image: &Tensor, _: &Mode) -> tagseg::Result<Features> {
        let Layers([first, second]) = self;
        let fine = first.forward(image)?.gelu()?;
        let coarse = second.forward(&fine)?.gelu()?;
        Ok(Features { levels: vec![Level::of_map(&fine)?, Level::of_map(&coarse)?], scores: Vec::new() })
    }
}

/// Protects: an encoder without attention and with other levels. The network has no affinity head, BMP trains without
/// its affinity loss and evaluates without the walk, and an affinity loss is refused with the reason.
#[test]
fn an_encoder_without_attention_trains() {
    let mut config = config();
    let encoder: Arc<dyn Encoder> = Arc::new(TwoConvolutions { random: false });
    let text = Bmp.check(&config, &*encoder).unwrap_err().to_string();
    for part in ["`lambda`", "weight 0.1", "`two_convolutions` has no attention scores", "set its third entry to 0"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    config.lambda = [0.7, 0.1, 0.0];
    Bmp.check(&config, &*encoder).unwrap();
    assert!(Afa.check(&config, &*encoder).unwrap_err().to_string().contains("`two_convolutions` does not have"));

    let method: Arc<dyn Method> = Arc::new(Bmp);
    let network = NetworkConfig { encoder, embed: 8, classes: FOREGROUND + 1, drop_seg: 0.1 };
    let sizes = Sizes { batch: BATCH, crop: [CROP; 2], slots: 4 };
    let step = Step::record(&method, &config, &network, &all_on(), sizes, false).unwrap();
    assert!(step.parameters.iter().all(|parameter| !parameter.name.starts_with("attn_proj")));
    assert_eq!(step.columns().losses, ["cls", "c2s", "s2c"]);
    let total = values(&step, &[&step.total])[0][0];
    assert!(total.is_finite() && total > 0.0);
    step.update().unwrap();

    let session = Session::open("reference").unwrap();
    Trainer::with_method(&session, &method, &config, &network, 2, 1).unwrap();
    let model = Model::new(&session, &config, &network, &method, &["a", "b", "c"].map(String::from));
    let mut view = model.view(1, [32, 40], Some(2)).unwrap();
    let seen = view.look(&bytes(3 * 32 * 40), &[1.0, 0.0, 1.0], &[0, 32, 0, 40]).unwrap();
    let names: Vec<_> = seen.maps.iter().map(|map| map.info.name).collect();
    assert_eq!(names, ["seed", "cam", "y_c", "y_s"]);
}

/// Protects: an encoder that is not random computes the features of the images once, for the differentiable pass and for
/// the labels; losses, labels and gradients are those of two passes.
#[test]
fn features_are_shared_with_the_labels() {
    let mut config = config();
    config.lambda = [0.7, 0.1, 0.0];
    let method: Arc<dyn Method> = Arc::new(Bmp);
    let sizes = Sizes { batch: BATCH, crop: [CROP; 2], slots: 4 };
    let results = [true, false].map(|random| {
        let encoder: Arc<dyn Encoder> = Arc::new(TwoConvolutions { random });
        let network = NetworkConfig { encoder, embed: 8, classes: FOREGROUND + 1, drop_seg: 0.1 };
        let step = Step::record(&method, &config, &network, &all_on(), sizes, false).unwrap();
        let parameters = step.trained().unwrap();
        let maps = step.maps.iter().map(|(_, map)| map.clone());
        let mut read = vec![step.total.clone()];
        read.extend(maps.chain(step.gradients(&parameters).unwrap()));
        values(&step, &read.iter().collect::<Vec<_>>())
    });
    let [separate, shared] = &results;
    for (index, (one, other)) in separate.iter().zip(shared).enumerate() {
        let close = one.iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0));
        assert!(close && one.len() == other.len(), "value {index} differs");
    }
}

/// Protects `cls.pos_weight` by its definition, mean of −[w·t·log σ(x) + (1 − t)·log σ(−x)], and the plain loss for 1.
#[test]
fn present_tags_are_weighted() {
    let graph = Graph::new();
    let (logits, tags) = (graph.input("x", [1, 4], DType::F32), graph.input("t", [1, 4], DType::F32));
    let weighted = weighted_classification_loss(&logits, &tags, 3.0).unwrap();
    let plain = weighted_classification_loss(&logits, &tags, 1.0).unwrap();
    let mut program = Session::open("reference").unwrap().compile(&graph, &[&weighted, &plain]).unwrap();
    let (x, t) = ([0.5_f64, -1.0, 2.0, 0.0], [1.0_f64, 1.0, 0.0, 0.0]);
    program.write(&logits, &x).unwrap();
    program.write(&tags, &t).unwrap();
    program.run().unwrap();
    let log_sigmoid = |x: f64| -(1.0 + (-x).exp()).ln();
    let expected = |w: f64| {
        let terms = x.iter().zip(t).map(|(x, t)| -(w * t * log_sigmoid(*x) + (1.0 - t) * log_sigmoid(-x)));
        terms.sum::<f64>() / 4.0
    };
    for (tensor, weight) in [(&weighted, 3.0), (&plain, 1.0)] {
        let value = program.read(tensor).unwrap()[0];
        assert!((value - expected(weight)).abs() < 1e-6, "{weight}: {value} and not {}", expected(weight));
    }
}
