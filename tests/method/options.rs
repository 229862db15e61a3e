//! Every option of a step has its effect, and no other.

use std::collections::BTreeSet;

use tagseg::Session;
use tagseg::config::{Config, DataForm};
use tagseg::data::SplitOptions;
use tagseg::engine::graph::{DType, Graph};
use tagseg::method::{Methods, Schedule};
use tagseg::parts::crf::DenseCrf;
use tagseg::parts::losses::weighted_classification_loss;

use crate::{all_on, config, loss, map, record, values};

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
    ("tests/method", &["cam.bkg", "crf.gauss", "data.form", "data.train_split", "data.upright", "model.frozen_levels"]),
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
        ("model.classifier_init=0.5", &["background", "y_c", "y_s", "seg", "cls", "c2s", "s2c", "total"]),
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
        ("optim.classifier_factor=5", &["rates"]),
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
