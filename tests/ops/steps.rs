//! Plans of whole training steps, without a device.

use tagseg::engine::gpu::{Plan, pace};
use tagseg::engine::graph::{Graph, Node};
use tagseg::engine::kernel::{Launch, Pace, Target};

use super::planned::steps;

/// Protects: the device stays responsive for a desktop. No dispatch of MiT-B1 at 512², batch 8, and beyond takes longer
/// than 100 ms on a device of 1 TFLOP/s: those that would are split.
#[test]
fn no_dispatch_is_long() {
    let mut cut = 0;
    for (settings, target) in [
        (["batch.global=8", "train.crop=512"], Target::graphics()),
        (["batch.global=8", "train.crop=512"], Target::software()),
        (["batch.global=16", "train.crop=1024"], Target::graphics()),
        (["batch.global=8", "train.crop=1024"], Target::software()),
    ] {
        let graphs = steps("voc", &settings);
        // The last phase has all losses.
        let plan = Plan::new(graphs.last().unwrap(), &[], target);
        let times = plan.times();
        let longest = times.iter().max().unwrap();
        println!(
            "voc {settings:?} for {target:?}: {} dispatches, {:.1} s and the longest {:.0} ms at 1 TFLOP/s",
            times.len(),
            times.iter().sum::<u64>() as f64 / 1e9,
            *longest as f64 / 1e6
        );
        assert!(*longest <= pace::DISPATCH, "a dispatch of {longest} ns");
        let launches = plan.steps.iter().flat_map(|step| &step.launches.list);
        let pieces = launches.filter(|launch| launch.first.is_some_and(|[row, _]| row > 0));
        cut += pieces.count();
    }
    assert!(cut > 0, "the largest products are more than 100 ms");
}

/// Protects: the same on a device that is known to be slower, as graphics units in processors and phones are.
#[test]
fn no_dispatch_is_long_on_a_slow_device() {
    let slow = Pace { operations: 50_000_000_000, bytes: 10_000_000_000 };
    let graphs = steps("voc", &["batch.global=8", "train.crop=512"]);
    let count = |pace: Pace| {
        let plan = Plan::new(graphs.last().unwrap(), &[], Target { pace, ..Target::graphics() });
        let times = plan.times();
        println!(
            "voc at {pace:?}: {} dispatches, the longest {} ms",
            times.len(),
            times.iter().max().unwrap() / 1_000_000
        );
        assert!(times.iter().all(|time| *time <= pace::DISPATCH));
        times.len()
    };
    assert!(count(slow) > count(Pace::default()));
}

/// The arithmetic of an op, counted from what it reads and writes, for the ops that do most of it.
fn arithmetic(graph: &Graph, node: &Node) -> Option<u64> {
    let op = node.op()?;
    let len = |index: usize| graph.tensor(node.inputs[index]).shape().len() as u64;
    let extent = |index: usize, axis: usize| graph.tensor(node.inputs[index]).shape()[axis] as u64;
    let results = node.ty.shape.len() as u64;
    match op.name() {
        // Every sum of b·m·n reads a row of a, b·m·k, and a column of b, b·k·n.
        "matmul" => {
            let text = format!("{op:?}");
            let number = |name: &str| {
                let rest = text.split(&format!(" {name}: ")).nth(1).unwrap();
                rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap()
            };
            assert_eq!(len(0) * results, (len(0) / number("k")) * number("k") * results);
            Some(2 * results * number("k"))
        }
        "conv2d" => Some(2 * results * extent(1, 1)),
        "conv2d_weight" => Some(2 * results * len(0) / extent(0, 3)),
        "attention" => Some(4 * len(0) * extent(1, 1)),
        "depthwise_conv2d" => Some(18 * results),
        _ => None,
    }
}

/// Protects: the cost model. What a launch declares is the arithmetic of its op, which is more than half of a step.
#[test]
fn declared_arithmetic_is_that_of_the_ops() {
    let graph = steps("voc", &["batch.global=8", "train.crop=512"]).pop().unwrap();
    let nodes = graph.nodes();
    let (mut counted, mut all) = (0, 0);
    for step in &Plan::new(&graph, &[], Target::graphics()).steps {
        let declared: u64 = step.launches.list.iter().map(|launch| launch.operations).sum();
        all += declared;
        let node = nodes.iter().zip(0..).find(|(_, place)| format!("{:?}", step.node) == format!("NodeId({place})"));
        let (node, _) = node.unwrap();
        if let Some(want) = arithmetic(&graph, node).filter(|_| node.op().is_some_and(|op| op.name() == step.name)) {
            // Pieces of a launch are rounded up.
            let pieces = step.launches.list.len() as u64;
            assert!((want..=want + pieces).contains(&declared), "{}: {declared} for {want}", step.name);
            counted += declared;
        }
    }
    assert!(2 * counted > all, "{counted} of {all} are checked");
}

/// Protects: what WebGPU grants everywhere carries the small preset and the demo.
#[test]
fn default_limits_suffice_for_the_small_preset() {
    for settings in [&[][..], &["train.crop=64"]] {
        for graph in steps("nano", settings) {
            let largest = Plan::new(&graph, &[], Target::graphics()).largest();
            assert!(largest <= 128 << 20, "nano {settings:?}: a buffer of {largest} bytes");
        }
    }
}

/// Protects: the measured choices. On software, subgroups compute most of the products, and single invocations the
/// others with tiles of 4×4, which compile fast; on graphics cards, workgroups compute the large ones.
#[test]
fn products_use_the_measured_tiles() {
    let products = |graph: &Graph, target| -> Vec<Launch> {
        let launches = Plan::new(graph, &[], target).steps.into_iter().flat_map(|step| step.launches.list);
        launches.filter(|launch| launch.operations > 0 && launch.shader.name.starts_with("matmul")).collect()
    };
    // One kernel does most of the arithmetic; the others use single invocations.
    let by_teams = |launches: Vec<Launch>, name: &str| -> Vec<Launch> {
        let (teams, alone): (Vec<_>, Vec<_>) = launches.into_iter().partition(|launch| launch.shader.name == name);
        let operations = |launches: &[Launch]| launches.iter().map(|launch| launch.operations).sum::<u64>();
        println!("{} products by {name}, {} by invocations", teams.len(), alone.len());
        assert!(operations(&teams) > operations(&alone), "{name} does most of the arithmetic");
        assert!(alone.iter().all(|launch| launch.shader.name == "matmul"));
        alone
    };
    let small = ["train.crop=128", "batch.global=2", "loss.replica_size=2"];
    for graph in steps("nano", &["train.crop=64"]).iter().chain(&steps("voc", &small)) {
        for launch in by_teams(products(graph, Target::software()), "matmul_subgroup") {
            let larger = launch.defines.iter().find(|(name, _)| ["TALL", "WIDE"].contains(name));
            assert_eq!(larger, None, "{:?}", launch.defines);
        }
    }
    let recipe = steps("voc", &[]).pop().unwrap();
    by_teams(products(&recipe, Target::graphics()), "matmul_shared");
}
