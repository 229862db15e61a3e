//! The method against its specification, on the f64 interpreter: who learns from which loss, what switches when, what
//! an empty mask does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tagseg::config::Config;
use tagseg::engine::graph::Tensor;
use tagseg::engine::reference::square_error;
use tagseg::method::bmp::iteration::{FLAGS, Inputs, Sizes};
use tagseg::method::bmp::{Group, Iteration, Phase, Schedule, group_of};
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
    // One scale is enough to see where gradients go.
    config.ms_scales = vec![1.0];
    config
}

/// Repeatable values in [-1, 1).
fn noise(count: usize) -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn record(config: &Config, phase: Phase) -> Iteration {
    let network = NetworkConfig::new(config, FOREGROUND);
    Iteration::record(config, &network, phase, Sizes { batch: BATCH, crop: [CROP; 2], slots: 4 }, false).unwrap()
}

fn all_on() -> Phase {
    Phase { c2s: true, s2c: true, aff: true, propagated: true }
}

fn feed(program: &mut Program, inputs: &Inputs) {
    let tags = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    program.write(&inputs.image, &noise(BATCH * 3 * CROP * CROP)).unwrap();
    program.write(&inputs.tags, &tags).unwrap();
    program.write(&inputs.classes, &Slots::new(&tags, FOREGROUND, 4).classes).unwrap();
    program.write(&inputs.boxes, &[0, 64, 0, 64, 3, 50, 0, 41]).unwrap();
    program.write(&inputs.random, &[1, 0, 0]).unwrap();
    program.write(&inputs.hyper, &[1e-3, 0.01, 0.1, 0.03].repeat(4)).unwrap();
}

/// Runs `outputs` of an iteration with freshly initialised weights, on the interpreter.
fn values(iteration: &Iteration, outputs: &[&Tensor]) -> Vec<Vec<f64>> {
    values_on("reference", iteration, outputs)
}

/// The same on any device.
fn values_on(device: &str, iteration: &Iteration, outputs: &[&Tensor]) -> Vec<Vec<f64>> {
    let mut session = tagseg::run::device::open(device).unwrap();
    for parameter in &iteration.parameters {
        session.set_state(&parameter.name, &parameter.shape, &parameter.initial(7)).unwrap();
    }
    let mut program = session.compile(&iteration.graph, outputs).unwrap();
    feed(&mut program, &iteration.inputs);
    program.run().unwrap();
    outputs.iter().map(|output| program.read(output).unwrap()).collect()
}

/// Largest gradient of `loss` in each part of the network.
fn reach(config: &Config, loss: fn(&Iteration) -> &Tensor) -> Vec<(String, f64)> {
    let iteration = record(config, all_on());
    let parameters: Vec<_> = iteration.parameters.iter().filter(|parameter| parameter.trained).cloned().collect();
    let states: Vec<_> = parameters.iter().map(|p| iteration.graph.state(&p.name, p.shape.clone())).collect();
    let gradients = iteration.graph.gradients(loss(&iteration), &states).unwrap();
    let read = values(&iteration, &gradients.iter().collect::<Vec<_>>());
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

/// Protects: gradient routing of spec 6.7. An untouched part gets exact zeros.
#[test]
fn each_loss_reaches_the_parts_it_should() {
    let mut config = config();
    // Freshly initialised logits rarely pass the released threshold; with this one Y_s is not empty.
    config.sigma_s = -10.0;
    type Loss = fn(&Iteration) -> &Tensor;
    let cases: [(&str, Loss, [bool; 4]); 4] = [
        ("cls", |it| &it.losses.cls, [true, false, false, true]),
        ("c2s", |it| &it.losses.c2s, [false, false, true, true]),
        ("s2c", |it| &it.losses.s2c, [true, false, false, true]),
        ("aff", |it| &it.losses.aff, [false, true, false, true]),
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

/// Protects: behind the propagation s2c still teaches the seeds and what they come from, and nothing else; its background
/// is detached, whichever pass it is of.
#[test]
fn s2c_on_the_propagated_map_reaches_the_same_parts() {
    for background in ["multi_scale", "single_scale"] {
        let mut config = config();
        config.sigma_s = -10.0;
        config.set("s2c.map=propagated").unwrap();
        config.set(&format!("bsp.bg={background}")).unwrap();
        let reach = reach(&config, |iteration| &iteration.losses.s2c);
        let got = ["classifier", "attn_proj", "decoder", "encoder"].map(|prefix| touched(&reach, prefix));
        assert_eq!(got, [true, false, false, true], "{background}: classifier, attn_proj, decoder, encoder");
    }
}

/// Protects: on the propagated map Y_s names background too, and a device computes the loss and the gradients of the whole
/// step that the interpreter does.
#[test]
fn s2c_on_the_propagated_map_is_the_same_on_a_device() {
    let mut config = config();
    config.sigma_s = -10.0;
    config.set("s2c.map=propagated").unwrap();
    let iteration = record(&config, all_on());
    let wanted = ["classifier.weight", "encoder.patch_embed1.proj.weight", "decoder.linear_pred.weight"];
    let parameters: Vec<_> =
        iteration.parameters.iter().filter(|p| wanted.contains(&p.name.as_str())).cloned().collect();
    assert_eq!(parameters.len(), wanted.len());
    let gradients = iteration.gradients(&parameters).unwrap();
    let reads: Vec<_> = [&iteration.labels.y_s, &iteration.losses.s2c].into_iter().chain(&gradients).collect();
    let (device, truth) = (values_on("auto", &iteration, &reads), values(&iteration, &reads));
    let named = |class: f64| truth[0].contains(&class);
    assert!(named(0.0) && named(255.0) && (1..=FOREGROUND).any(|class| named(class as f64)));
    for (device, truth) in device.iter().zip(&truth).skip(1) {
        // Labels are decided by comparisons, which a rounding may turn at single pixels.
        let error = square_error(device, truth);
        assert!(truth.iter().any(|value| *value != 0.0) && error < 1e-6, "{error}");
    }
}

/// Protects: a loss of weight 0 gives exactly zero gradient, never a small one or NaN.
#[test]
fn a_loss_of_weight_zero_gives_exactly_zero() {
    let mut config = config();
    config.lambda = [0.0, 0.0, 0.0];
    let reach = reach(&config, |iteration| &iteration.total);
    assert!(part(&reach, "decoder").chain(part(&reach, "attn_proj")).all(|gradient| gradient == 0.0));
    assert!(touched(&reach, "classifier"));
}

/// Protects: losses that are off leave their parameters without gradient, and the rest of the total is the rest.
#[test]
fn phases_decide_the_total() {
    let off = record(&config(), Phase { c2s: false, s2c: false, aff: false, propagated: false });
    let [total, cls] = &values(&off, &[&off.total, &off.losses.cls])[..] else { unreachable!() };
    assert_eq!(total, cls);
    let on = record(&config(), all_on());
    let losses = &on.losses;
    let read = values(&on, &[&on.total, &losses.cls, &losses.c2s, &losses.s2c, &losses.aff]);
    let sum = read[1][0] + 0.7 * read[2][0] + 0.1 * read[3][0] + 0.1 * read[4][0];
    assert!((read[0][0] - sum).abs() < 1e-12);
}

/// Protects: empty masks give zero loss, zero gradient and a count per replica group (spec 6.5).
#[test]
fn empty_masks_give_zero_and_are_counted() {
    let mut config = config();
    config.sigma_s = 1e9;
    config.sigma_c = 1e9;
    let iteration = record(&config, all_on());
    let losses = &iteration.losses;
    let read = values(&iteration, &[&losses.c2s, &losses.s2c, &losses.c2s_empty, &losses.s2c_empty, &iteration.total]);
    assert_eq!((read[0][0], read[1][0]), (0.0, 0.0));
    assert_eq!((read[2][0], read[3][0]), (1.0, 1.0), "one replica group of two images");
    assert!(read[4][0].is_finite());
    let c2s = reach(&config, |iteration| &iteration.losses.c2s);
    assert!(c2s.iter().all(|(_, gradient)| *gradient == 0.0));
}

/// Protects: pseudo labels are ignored outside the picture box, and Y_c holds only tagged classes (spec 5).
#[test]
fn labels_stay_inside_the_box_and_the_tags() {
    let mut config = config();
    config.sigma_s = -10.0;
    let iteration = record(&config, all_on());
    let labels = &iteration.labels;
    let read = values(&iteration, &[&labels.y_par, &labels.y_c, &labels.y_s]);
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

/// Protects: AdamW updates exactly the groups that train, and frozen norms keep their values (spec 7.2).
#[test]
fn frozen_groups_never_change() {
    let mut config = config();
    config.optim_norm_lr_factor = 0.0;
    let iteration = record(&config, Phase { c2s: false, s2c: false, aff: false, propagated: false });
    iteration.update(&config).unwrap();
    let mut session = Session::open("reference").unwrap();
    for parameter in &iteration.parameters {
        session.set_state(&parameter.name, &parameter.shape, &parameter.initial(7)).unwrap();
        for name in tagseg::method::bmp::iteration::moment_names(&parameter.name) {
            session.set_state(&name, &parameter.shape, &vec![0.0; parameter.shape.len()]).unwrap();
        }
    }
    let flags = iteration.trained(&Schedule::new(&config)).len() + 1;
    session.set_state(FLAGS, &[flags], &vec![0.0; flags]).unwrap();
    let mut program = session.compile(&iteration.graph, &[]).unwrap();
    feed(&mut program, &iteration.inputs);
    program.run().unwrap();
    for parameter in iteration.parameters.iter().filter(|parameter| parameter.trained) {
        let (_, after) = session.state(&parameter.name).unwrap();
        let before: Vec<_> = parameter.initial(7).into_iter().map(f64::from).collect();
        let zero = before.iter().all(|&value| value == 0.0);
        match group_of(&parameter.name) {
            Group::Norm => assert_eq!(after, before, "{} is frozen", parameter.name),
            // Without gradient the decoder only decays, which leaves zeros alone.
            Group::Decoder if zero => assert_eq!(after, before),
            _ => assert_ne!(after, before, "{} is trained", parameter.name),
        }
    }
}

/// What an option is expected to move, as values of one iteration.
type Reads = fn(&Iteration) -> Vec<&Tensor>;

/// Protects: every option of the method is carried out. Each moves what it names, and everything stays finite.
#[test]
fn every_option_moves_what_it_names() {
    let cls: Reads = |it| vec![&it.losses.cls];
    let seg: Reads = |it| vec![&it.outputs.seg];
    let passes: Reads = |it| vec![&it.scales.passes[0].parts[0].seg_small];
    let y_par: Reads = |it| vec![&it.labels.y_par];
    let y_c: Reads = |it| vec![&it.labels.y_c];
    let y_s: Reads = |it| vec![&it.labels.y_s];
    let c2s: Reads = |it| vec![&it.losses.c2s];
    let s2c: Reads = |it| vec![&it.losses.s2c];
    let aff: Reads = |it| vec![&it.losses.aff];
    let cases = [
        ("model.strides=[4, 2, 2, 2]", cls),
        ("model.pooling=gap", cls),
        ("ofd.mode=off", seg),
        ("ofd.mode=paper", seg),
        ("ms.mode=eval", passes),
        ("ms.scales=[1.0, 1.5]", y_par),
        ("propagation=afa", y_c),
        ("bsp.bg=single_scale", y_c),
        ("par.iters=3", y_c),
        ("sigma_c=0.8", y_c),
        ("sigma_c.renormalise=true", y_c),
        ("sigma_s=0.5", y_s),
        ("sigma_s.domain=prob", y_s),
        ("ys.filter_by_labels=true", y_s),
        ("ys.source=multi_scale", y_s),
        ("c2s.kind=ce", c2s),
        ("s2c.kind=bce", s2c),
        ("s2c.map=propagated", s2c),
        ("aff.label=y_c", aff),
        ("aff.radius=1", aff),
        ("loss.replica_size=1", c2s),
    ];
    let mut base = config();
    base.sigma_s = 0.3;
    let plain = record(&base, all_on());
    for (setting, reads) in cases {
        let mut changed = base.clone();
        changed.set(setting).unwrap();
        changed.validate().unwrap();
        let changed = record(&changed, all_on());
        let (before, after) = (values(&plain, &reads(&plain)), values(&changed, &reads(&changed)));
        // Not `assert_ne!`, which would print whole maps.
        assert!(before != after, "{setting} changes nothing");
        assert!(values(&changed, &[&changed.total])[0][0].is_finite(), "{setting}");
    }
}

/// Protects: strides other than the released ones, finer and coarser, with grids of their own at every stage: the device
/// computes what the interpreter does, labels and all four losses included.
#[test]
fn other_strides_work_on_a_device() {
    for (strides, tokens) in [([4, 2, 2, 2], 4), ([2, 2, 2, 1], 64), ([4, 1, 2, 1], 64)] {
        let mut config = config();
        config.model_strides = strides;
        config.ms_scales = vec![1.0, 1.5];
        config.sigma_s = 0.0;
        config.validate().unwrap();
        let iteration = record(&config, all_on());
        assert_eq!(iteration.outputs.affinity.shape()[..], [BATCH, tokens, tokens]);
        let Iteration { losses, outputs, scales, inputs, .. } = &iteration;
        let seeds = scales.seeds(0..BATCH, &inputs.classes).unwrap();
        let reads = [&losses.cls, &losses.c2s, &losses.s2c, &losses.aff, &outputs.seg, &seeds];
        let (device, truth) = (values_on("auto", &iteration, &reads), values(&iteration, &reads));
        for (name, (device, truth)) in
            ["cls", "c2s", "s2c", "aff", "seg", "seeds"].iter().zip(device.iter().zip(&truth))
        {
            let error = square_error(device, truth);
            // Labels are decided by comparisons, which a rounding may turn at single pixels.
            let limit = if ["c2s", "s2c", "aff"].contains(name) { 1e-6 } else { 1e-9 };
            assert!(truth.iter().any(|value| *value != 0.0) && error < limit, "{strides:?} {name}: {error}");
        }
    }
}

/// Protects: without the tags' filter Y_s may name absent classes, with it never (spec 5.3, 11 row 13).
#[test]
fn a_filtered_y_s_holds_only_tagged_classes() {
    let mut config = config();
    config.sigma_s = -10.0;
    config.ys_filter_by_labels = true;
    let iteration = record(&config, all_on());
    let label = &values(&iteration, &[&iteration.labels.y_s])[0];
    for (image, tagged) in [[1.0, 3.0, 255.0].as_slice(), &[2.0, 255.0]].into_iter().enumerate() {
        let own = &label[image * CROP * CROP..][..CROP * CROP];
        assert!(own.iter().all(|value| tagged.contains(value)), "image {image}");
    }
}

/// Protects: the affinity loss of one half everywhere tends to one half (spec 16).
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
