//! The memory of a training step, which is planned without a device.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tagseg::config::{Config, Precision, S2cMap};
use tagseg::engine::gpu::Plan;
use tagseg::engine::graph::Graph;
use tagseg::engine::kernel::Target;
use tagseg::method::bmp::{AFF, BSP, C2S, S2C};
use tagseg::method::{Methods, Phase, Schedule, Sizes, Step};
use tagseg::parts::network::NetworkConfig;
use tagseg::parts::propagation::Slots;
use tagseg::run::report::memory_table;

/// A training step of the recipe at MiT-B1, 512², batch 8, with all losses active.
fn voc_step(precision: Precision) -> Graph {
    let mut config = Config::preset("voc").unwrap();
    config.train_precision = precision;
    step(config)
}

fn step(config: Config) -> Graph {
    step_in(config, &all())
}

/// The last phase of the schedule.
fn all() -> Phase {
    [C2S, S2C, AFF, BSP].into_iter().collect()
}

fn step_in(config: Config, phase: &Phase) -> Graph {
    let (method, network) = (Methods::default().of(&config).unwrap(), NetworkConfig::new(&config, 20).unwrap());
    let sizes = Sizes { batch: config.batch_global, crop: [config.train_crop; 2], slots: Slots::width_for(5) };
    let step = Step::record(&method, &config, &network, phase, sizes, true).unwrap();
    step.update().unwrap();
    step.graph
}

/// Protects: what the README says of the recipe's memory, to the digit.
#[test]
fn the_voc_step_takes_what_the_readme_says() {
    let readme = include_str!("../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let gibibytes = |precision| {
        let plan = Plan::new(&voc_step(precision), &[], Target::graphics());
        format!("{:.1}", plan.bytes() as f64 / f64::from(1 << 30))
    };
    let [whole, mixed] = [Precision::F32, Precision::Mixed].map(gibibytes);
    let sentence = format!("a step of `voc` takes {mixed} GiB instead of {whole}.");
    assert!(readme.contains(&sentence), "the README lacks: {sentence}");
}

/// Protects: a step for photographs of 256², eight at a time, takes less than 1.5 GiB, and what docs/photos.md says.
#[test]
fn the_photos_step_takes_what_its_page_says() {
    let mut photos = Config::preset("photos").unwrap();
    photos.train_crop = 256;
    let (method, network) = (Methods::default().of(&photos).unwrap(), NetworkConfig::new(&photos, 6).unwrap());
    let sizes = Sizes { batch: 8, crop: [256; 2], slots: Slots::width_for(5) };
    let step = Step::record(&method, &photos, &network, &[C2S, S2C, BSP].into_iter().collect(), sizes, true).unwrap();
    step.update().unwrap();
    let bytes = Plan::new(&step.graph, &[], Target::software()).bytes();
    assert!(bytes < 3 << 29);
    let sentence = format!("{} MiB at 256²", bytes.div_ceil(1 << 20));
    assert!(include_str!("../docs/photos.md").contains(&sentence), "docs/photos.md lacks: {sentence}");
}

/// Protects: the recipe trains with room to spare on a card of 6 GiB, with every map that s2c may have, and every adapter
/// binds every buffer: those with no more than WebGPU grants, too.
#[test]
fn the_voc_step_fits_six_gibibytes_and_any_adapter() {
    let mut propagated = Config::preset("voc").unwrap();
    propagated.s2c_map = S2cMap::Propagated;
    for graph in [voc_step(Precision::F32), step(propagated)] {
        for target in [Target::graphics(), Target::software()] {
            let plan = Plan::new(&graph, &[], target);
            println!("{}", memory_table(&plan));
            assert!(plan.bytes() <= 5 << 30, "{}", memory_table(&plan));
            assert!(plan.largest() <= 128 << 20, "{}", memory_table(&plan));
        }
    }
}

/// Protects: no earlier phase takes more memory than the last. The passes for labels update the running statistics even
/// if their labels are not used yet, which must not keep their features alive.
#[test]
fn no_phase_takes_more_than_the_last() {
    let config = Config::preset("voc").unwrap();
    let encoder = NetworkConfig::new(&config, 20).unwrap().encoder;
    let schedule = Schedule::new(&Methods::default().of(&config).unwrap(), &config, &encoder);
    let bytes = |phase: &Phase| Plan::new(&step_in(config.clone(), phase), &[], Target::graphics()).bytes();
    let last = bytes(&all());
    for phase in schedule.phases() {
        println!("{phase:?}: {} MiB", bytes(&phase) >> 20);
        assert!(bytes(&phase) <= last, "{phase:?}");
    }
}

/// Protects: under a limit, values are recomputed until the plan is within it, the same ones every time; a limit that
/// cannot be met is refused with both numbers.
#[test]
fn a_limit_is_kept_or_refused() {
    let graph = voc_step(Precision::F32);
    let limit = 7 << 29;
    let plan = Plan::within(&graph, &[], Target::graphics(), limit).unwrap();
    println!("{}", memory_table(&plan));
    assert!(plan.bytes() <= limit, "{}", memory_table(&plan));
    let nodes = |plan: &Plan| plan.steps.iter().map(|step| step.node).collect::<Vec<_>>();
    let again = Plan::within(&graph, &[], Target::graphics(), limit).unwrap();
    assert_eq!(nodes(&plan), nodes(&again));
    assert!(plan.steps.len() > Plan::new(&graph, &[], Target::graphics()).steps.len(), "nothing was recomputed");

    let error = Plan::within(&graph, &[], Target::graphics(), 1 << 28).unwrap_err().to_string();
    println!("{error}");
    for part in ["the plan needs", "256.0 MiB", "train.memory"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

/// Protects: with micro-batches, gradients recompute values too if micro-batches alone are not enough for a limit.
#[test]
fn micro_batches_are_within_a_limit() {
    let mut config = Config::preset("voc").unwrap();
    config.batch_micro = 2;
    let (graph, limit) = (step(config), 1200 << 20);
    let free = Plan::new(&graph, &[], Target::graphics());
    let plan = Plan::within(&graph, &[], Target::graphics(), limit).unwrap();
    assert!(plan.bytes() <= limit && limit < free.bytes(), "{}", memory_table(&plan));
}

/// Protects: half precision saves memory and bandwidth: features take half of both.
#[test]
fn half_precision_saves_memory_and_bandwidth() {
    let measure = |precision| {
        let plan = Plan::new(&voc_step(precision), &[], Target::graphics());
        let moved: u64 = plan.steps.iter().flat_map(|step| &step.traffic).sum();
        println!("{precision}: {} MiB planned, {} MiB moved\n{}", plan.bytes() >> 20, moved >> 20, memory_table(&plan));
        assert_eq!(plan.half.is_empty(), precision == Precision::F32);
        (plan.bytes(), moved)
    };
    let (whole, mixed) = (measure(Precision::F32), measure(Precision::Mixed));
    assert!(4 * mixed.0 < 3 * whole.0 && 4 * mixed.1 < 3 * whole.1, "{mixed:?} for {whole:?}");
}
