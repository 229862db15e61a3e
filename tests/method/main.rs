//! The method against its specification, on the f64 interpreter: gradient routing, pseudo labels and empty masks;
//! its options and encoders from outside in files of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod encoder;
mod options;

use tagseg::config::Config;
use tagseg::engine::graph::Tensor;
use tagseg::engine::reference::square_error;
use tagseg::method::bmp::{AFF, BSP, C2S, S2C};
use tagseg::method::groups::{DECODER, NORM, official_group_of};
use tagseg::method::{FLAGS, Inputs, Methods, Phase, Sizes, Step, moment_names};
use tagseg::parts::network::NetworkConfig;
use tagseg::parts::propagation::Slots;
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
