//! Misuse of a recording is an error, on a device and on the interpreter, which names the
//! tensor, its type and the offending line, which is one of this file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::sync::Arc;

use tagseg::config::Config;
use tagseg::engine::gpu::{DeviceChoice, Limits};
use tagseg::engine::graph::{DType, Graph, Op, Tensor, TensorType};
use tagseg::engine::kernel::{Launch, LaunchContext, Launches, Shader, Slot};
use tagseg::engine::nn::{Attention, Init, Linear, Scope};
use tagseg::engine::reference::Array;
use tagseg::parts::encoders::mit::{MitSizes, NANO};
use tagseg::parts::network::{Network, NetworkConfig, NetworkOptions};
use tagseg::{Error, Program, Result, Session};

fn sessions() -> [Session; 2] {
    ["auto", "reference"].map(|device| tagseg::run::device::open(device).unwrap())
}

/// Asserts that `result` is an error that names all of `parts` and a line of this file.
fn assert_misuse<T>(result: Result<T>, parts: &[&str]) {
    let text = result.err().expect("misuse is an error").to_string();
    for part in parts.iter().chain(&["at tests/misuse.rs:"]) {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

/// y = 2·x on two rows of three, and a state that it does not need.
struct Doubled {
    x: Tensor,
    half: Tensor,
    y: Tensor,
    program: Program,
}

fn doubled(session: &mut Session) -> Doubled {
    session.set_state("w", &[2], &[1.0, 2.0]).unwrap();
    let graph = Graph::new();
    let x = graph.input("x", [2, 3], DType::F32);
    let half = x.sum_keep(0).unwrap();
    let y = half.scale(2.0).unwrap();
    let program = session.compile(&graph, &[&y]).unwrap();
    Doubled { x, half, y, program }
}

/// Protects: tensors that are added to maps must have their shape, whether they are resized or not.
#[test]
fn maps_of_different_shapes_are_not_added() {
    let graph = Graph::new();
    let base = graph.input("base", [2, 4, 3, 8], DType::F32);
    for shape in [[1, 4, 3, 8], [2, 4, 3, 1], [1, 2, 2, 8], [2, 2, 2, 1]] {
        let maps = graph.input("maps", shape, DType::F32);
        assert_misuse(
            maps.resize_channels_last_onto(&base, false),
            &["resize", "needs a real base", "f32[2, 4, 3, 8]"],
        );
    }
}

#[test]
fn values_of_the_wrong_length() {
    for mut session in sessions() {
        let Doubled { x, mut program, .. } = doubled(&mut session);
        assert_misuse(program.write(&x, &[1.0; 5]), &["input `x` f32[2, 3]", "5 values"]);
        assert_misuse(session.set_state("w", &[2], &[1.0; 3]), &["state `w` f32[2]", "3 values"]);
        assert_misuse(session.set_state("w", &[3], &[1.0; 3]), &["state `w` is f32[2]", "f32[3]"]);

        let graph = Graph::new();
        let constant = graph.constant(&[1.0, 2.0], [3]);
        assert_misuse(session.compile(&graph, &[&constant]), &["constant f32[3]", "2 values"]);
        assert_misuse(session.plan(&graph, &[&constant]), &["constant f32[3]", "2 values"]);
        assert_misuse(graph.gradients(&constant.sum_all().unwrap(), &[]), &["constant f32[3]", "2 values"]);
    }
}

#[test]
fn writing_other_tensors_and_missing_inputs() {
    for mut session in sessions() {
        let Doubled { x, y, mut program, .. } = doubled(&mut session);
        assert_misuse(program.write(&y, &[1.0; 3]), &["f32[1, 3] is not an input"]);
        assert_misuse(program.run(), &["input `x` f32[2, 3] was never written"]);
        program.write(&x, &[1.0; 6]).unwrap();
        program.run().unwrap();
        assert_eq!(program.read(&y).unwrap(), [4.0; 3]);
    }
}

#[test]
fn reading_values_that_are_not_stored() {
    for mut session in sessions() {
        let Doubled { x, half, y, mut program } = doubled(&mut session);
        program.write(&x, &[1.0; 6]).unwrap();
        assert_misuse(program.read(&y), &["f32[1, 3] is read before the first run"]);
        program.run().unwrap();
        assert_misuse(program.read(&half), &["f32[1, 3] is not an output of this program"]);
        assert_eq!(program.read(&x).unwrap(), [1.0; 6]);
        let error = session.state("v").unwrap_err().to_string();
        assert!(error.contains("state `v` has no value"), "{error}");
    }
}

#[test]
fn two_parameters_of_one_name() {
    for mut session in sessions() {
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        let x = graph.input("x", [1, 4], DType::F32);
        let layer = |outputs| Linear::new(&scope.at("layer"), 4, outputs, Init::Normal(1.0), Init::Constant(0.0));
        let (first, _) = (layer(4), layer(4));
        let y = first.forward(&x).unwrap();
        let parts = ["parameter `layer.weight` f32[4, 4] already exists", "Scope::at"];
        assert_misuse(scope.initialise(&mut session, 1), &parts);
        assert_misuse(session.compile(&graph, &[&y]), &parts);

        let graph = Graph::new();
        graph.state("w", [2, 2]);
        let w = graph.state("w", [3]);
        assert_misuse(session.compile(&graph, &[&w]), &["state `w` is f32[2, 2]", "again as f32[3]"]);
    }
}

#[test]
fn nodes_of_another_graph() {
    for mut session in sessions() {
        let Doubled { x, mut program, .. } = doubled(&mut session);
        let other = Graph::new();
        let stranger = other.input("stranger", [2, 3], DType::F32);
        let parts = ["`stranger` f32[2, 3] belongs to another graph"];
        assert_misuse(program.write(&stranger, &[1.0; 6]), &parts);
        assert_misuse(program.read(&stranger), &parts);
        assert_misuse(session.compile(x.graph(), &[&stranger]), &parts);
        assert_misuse(session.plan(x.graph(), &[&stranger]), &parts);
        let loss = x.sum_all().unwrap();
        assert_misuse(loss.graph().gradients(&loss, std::slice::from_ref(&stranger)), &parts);
        assert_misuse(other.gradients(&loss, std::slice::from_ref(&stranger)), &["f32[] belongs to another graph"]);
        assert_misuse(x.add(&stranger), &["f32[2, 3] f32[2, 3]", "different graphs"]);
    }
}

#[test]
fn a_loss_that_is_not_a_scalar() {
    let graph = Graph::new();
    let x = graph.state("x", [2, 3]);
    assert_misuse(graph.gradients(&x, std::slice::from_ref(&x)), &["`x` f32[2, 3] is not a scalar", "reduce it"]);
    let cotangent = graph.input("cotangent", [3, 2], DType::F32);
    let pulled = graph.pull_back(&[(x.clone(), cotangent)], std::slice::from_ref(&x));
    assert_misuse(pulled, &["`cotangent` f32[3, 2]", "shape of `x` f32[2, 3]"]);
}

#[test]
fn a_program_without_outputs() {
    for session in sessions() {
        let graph = Graph::new();
        graph.input("x", [2, 3], DType::F32).scale(2.0).unwrap();
        assert_misuse(session.compile(&graph, &[]), &["no outputs", "updates no state"]);
        assert_misuse(session.plan(&graph, &[]), &["no outputs", "updates no state"]);
    }
}

/// Protects: a shape error is reported where it is made, with the op, the shapes and the line.
#[test]
fn operands_that_do_not_fit() {
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [2, 3], DType::F32), graph.input("b", [2, 4], DType::F32));
    assert_misuse(a.add(&b), &["add", "f32[2, 3] f32[2, 4]"]);
    assert_misuse(a.extents::<3>(), &["`a` f32[2, 3] does not have 3 axes"]);
    assert_misuse(a.matmul(&b), &["matmul", "f32[2, 3] f32[2, 4]"]);
    let huge = graph.full(1.0, [1 << 30, 1 << 30]);
    assert_misuse(huge, &["f32[1073741824, 1073741824] has more elements than any device can store"]);
}

/// Protects: invalid sizes of a network are refused when its layers are recorded, also those of a single layer.
#[test]
fn a_network_of_impossible_sizes() {
    let nano = Config::preset("nano").unwrap();
    let sound = || NetworkConfig::new(&nano, 2).unwrap();
    let encoder = |change: fn(&mut MitSizes)| {
        let mut encoder = NANO.of(&nano);
        change(&mut encoder.sizes);
        NetworkConfig { encoder: Arc::new(encoder), ..sound() }
    };
    let refusal = |config: NetworkConfig| {
        Network::new(&Graph::new(), &config, NetworkOptions::default()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(Network::new(&Graph::new(), &sound(), NetworkOptions::default()).is_ok());
    assert!(refusal(encoder(|sizes| sizes.heads = [1, 3, 1, 1])).contains("not divisible by 3 heads"));
    assert!(refusal(encoder(|sizes| sizes.heads = [1, 0, 1, 1])).contains("sizes above 0"));
    assert!(refusal(NetworkConfig { classes: 1, ..sound() }).contains("two classes"));
    assert!(refusal(encoder(|sizes| sizes.drop_path = 1.0)).contains("rates below 1"));
    for (channels, heads) in [(8, 0), (0, 1), (8, 3)] {
        let attention = Attention::new(&Scope::root(&Graph::new()), channels, heads, 1);
        let text = attention.map(|_| ()).unwrap_err().to_string();
        assert!(text.contains(&format!("{channels} channels are not divisible by {heads} heads")), "{text}");
    }
}

/// Protects: a state without a value is named, and the interpreter never invents one.
#[test]
fn a_state_without_a_value() {
    for session in sessions() {
        let graph = Graph::new();
        let w = graph.state("w", [2]).scale(2.0).unwrap();
        let run = || -> Result<()> { session.compile(&graph, &[&w])?.run() };
        let text = run().unwrap_err().to_string();
        assert!(text.contains("state `w` has no value"), "{text}");
    }
}

/// y = x with a kernel of this text.
#[derive(Debug)]
struct Copy(&'static str);

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let shader = Shader { name: "copy", source: Cow::Borrowed(self.0) };
        Launch::new(shader, context.output.shape.len(), 1).bind(&[Slot::Input(0), Slot::Output]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].clone()]
    }
}

/// Protects: a kernel that does not parse or is not valid is refused in one line, with its name, what is wrong with it
/// and where, and a remedy, rather than with the compiler's whole output.
#[test]
fn kernels_that_are_refused() {
    let session = tagseg::run::device::open("auto").unwrap();
    let refusals = [
        ("@compute @workgroup_size(1) fn main( { }", "expected identifier, found \"{\""),
        ("@compute @workgroup_size(1) fn main() { let x: f32 = 1u; }", "expected to be `f32`, but got `u32`"),
    ];
    for (text, why) in refusals {
        let graph = Graph::new();
        let x = graph.input("x", [4], DType::F32);
        let y = Tensor::record(Copy(text), &[&x]).unwrap();
        let error = session.compile(&graph, &[&y]).err().expect("misuse is an error");
        assert!(matches!(error, Error::Device { .. }), "{error:?}");
        let text = error.to_string();
        for part in ["refuses kernel copy: ", why, "at wgsl:1:", "; update the driver"] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
        assert!(text.lines().count() == 1 && !text.contains('│'), "{text}");
    }
}

/// Protects: a shape with more elements than can be counted is an error, wherever it is given, and never a panic.
#[test]
fn shapes_that_are_too_large() {
    const SIDE: usize = 1 << 33;
    for mut session in sessions() {
        let part = "more elements than any device can store";
        let graph = Graph::new();
        let x = graph.input("x", [SIDE, SIDE], DType::F32);
        assert_misuse(session.compile(&graph, &[&x.gelu().unwrap()]), &["input `x` f32[8589934592, 8589934592]", part]);
        // Later errors report the first one.
        assert_misuse(x.reshape([SIDE]), &["input `x`", part]);
        let graph = Graph::new();
        let w = graph.state("w", [SIDE, SIDE]);
        assert_misuse(session.compile(&graph, &[&w]), &["state `w`", part]);
        let graph = Graph::new();
        assert_misuse(session.compile(&graph, &[&graph.constant(&[], [SIDE, SIDE])]), &["a constant"]);
        assert_misuse(graph.full(1.0, [SIDE, SIDE]), &["a constant"]);
        assert_misuse(Graph::new().full(1.0, [SIDE, SIDE]), &["expand", part]);
        assert_misuse(Graph::new().scalar(1.0).reshape([SIDE, SIDE]), &["reshape", "a different number of elements"]);
        assert_misuse(session.set_state("w", &[SIDE, SIDE], &[]), &["state `w`", part]);
    }
}

/// Protects: a factor that is none is an error where it is recorded.
#[test]
fn factors_that_are_none() {
    let graph = Graph::new();
    let x = graph.input("x", [1, 4, 5, 3], DType::F32);
    for factor in [0.0, -0.5, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
        assert_misuse(x.resize_by_factor(factor), &["resize", "f32[1, 4, 5, 3]", "empty"]);
        assert_misuse(x.resize_channels_last_by_factor(factor), &["resize", "empty"]);
    }
}

/// Protects: an input of integers takes integers, on either engine; others are an error that names the value.
#[test]
fn integers_that_are_none() {
    for session in sessions() {
        let graph = Graph::new();
        let x = graph.input("x", [3], DType::I32);
        let mut program = session.compile(&graph, &[&x.to_real().unwrap()]).unwrap();
        assert_misuse(program.write(&x, &[1.0, 1.7, 2.0]), &["input `x` i32[3]", "integers", "1.7"]);
        assert_misuse(program.write(&x, &[1.0_f32, f32::NAN, 2.0]), &["NaN"]);
        assert_misuse(program.write(&x, &[1.0, 3e9, 2.0]), &["3000000000"]);
        program.write(&x, &[1.0, -2.0, 2_147_483_647.0]).unwrap();
        assert_eq!(program.read(&x).unwrap(), [1.0, -2.0, 2_147_483_647.0]);
    }
}

/// Protects: an empty tensor is a value: sums over nothing are 0, products of nothing are the bias, and what has no
/// value is refused where it is recorded.
#[test]
fn empty_tensors_are_values() {
    for mut session in sessions() {
        session.set_state("nothing", &[3, 0], &[]).unwrap();
        let graph = Graph::new();
        let nothing = graph.state("nothing", [3, 0]);
        let x = graph.input("x", [0, 4], DType::F32);
        let bias = graph.constant(&[1.0, 2.0], [2]);
        let weight = graph.constant(&[], [2, 0]);
        let outputs = [
            nothing.sum(1).unwrap(),
            nothing.linear(&weight, Some(&bias)).unwrap(),
            nothing.matmul_nt(&weight).unwrap(),
            x.exp().unwrap(),
            x.pad(0, 1, 2).unwrap(),
            x.sum_all().unwrap(),
        ];
        let mut all = outputs.to_vec();
        all.extend(graph.gradients(&outputs[5], std::slice::from_ref(&nothing)).unwrap());
        let mut program = session.compile(&graph, &all.iter().collect::<Vec<_>>()).unwrap();
        program.write(&x, &[0.0; 0]).unwrap();
        program.run().unwrap();
        let want = [vec![0.0; 3], [1.0, 2.0].repeat(3), vec![0.0; 6], vec![], vec![0.0; 8], vec![0.0], vec![]];
        for (output, want) in all.iter().zip(want) {
            assert_eq!(program.read(output).unwrap(), want, "{output:?} on {}", session.name());
        }
        assert_eq!(session.state("nothing").unwrap(), (vec![3, 0], vec![]));
        assert_misuse(nothing.max(1), &["reduce", "f32[3, 0]", "hold nothing"]);
        assert_misuse(nothing.mean(1), &["reduce", "f32[3, 0]", "mean of nothing"]);
        assert_misuse(x.batch_statistics(), &["batch_statistics", "f32[0, 4]"]);
    }
}

/// Protects: a state for which there is no room is an error where it is set, and the session goes on.
#[test]
fn states_that_do_not_fit() {
    let choice = DeviceChoice::named("auto").limits(Limits::Default);
    let mut session = tagseg::run::device::open(choice).unwrap();
    let values = vec![0.0; (128 << 18) + 1];
    let error = session.set_state("w", &[values.len()], &values).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Memory { .. }) && text.contains("`w` takes 128.0 MiB"), "{text}");
    assert!(session.state_names().is_empty());
    session.set_state("w", &[2], &[1.0, 2.0]).unwrap();
    assert_eq!(session.state("w").unwrap().1, [1.0, 2.0]);
}

/// Protects: an axis that is not there is an error with the caller's line, whichever end it is counted from.
#[test]
fn axes_that_do_not_exist() {
    let graph = Graph::new();
    let x = graph.input("x", [2, 3], DType::F32);
    for axis in [2, -3] {
        let part = format!("axis {axis} is out of range for 2 axes");
        let all = [
            x.softmax(axis),
            x.log_softmax(axis),
            x.sum(axis),
            x.mean([0, axis]),
            x.arg_max(axis),
            x.slice(axis, 0..1),
            x.pad(axis, 0, 4),
            x.flip(axis),
            x.permute(&[0, axis]),
            Tensor::concat(&[&x, &x], axis),
        ];
        all.into_iter().for_each(|result| assert_misuse(result, &[&part, "f32[2, 3]", "tests/misuse.rs"]));
    }
    assert_misuse(x.max([1, -1]), &["axis 1 is given twice"]);
    assert_misuse(x.permute(&[1, -1]), &["[1, 1] is not a permutation of its axes"]);
}

/// Protects: an operator's error names the line of the operator.
#[test]
fn operators_name_their_line() {
    let graph = Graph::new();
    let [x, y] = [[2, 3], [4, 5]].map(|shape| graph.input("x", shape, DType::F32));
    let line = line!() + 1;
    let error = (&x + &y).unwrap_err().to_string();
    assert!(error.contains(&format!("tests/misuse.rs:{line}:")) && error.starts_with("add"), "{error}");
}

/// Protects: a program refuses to read what it does not need, what was recorded after it, what was never written and
/// what has no value, alike on both backends; an input that was recorded later is ignored, as any that is not needed.
#[test]
fn values_that_a_program_does_not_have() {
    for mut session in sessions() {
        let Doubled { x, mut program, .. } = doubled(&mut session);
        let graph = x.graph();
        assert_misuse(program.read(&x), &["input `x` f32[2, 3] was never written"]);
        let w = graph.state("w", [2]);
        assert_misuse(program.read(&w), &["does not need `w` f32[2]"]);
        let later = graph.input("later", [3], DType::F32);
        program.write(&later, &[1.0; 3]).unwrap();
        assert_misuse(program.read(&later), &["does not need `later` f32[3]"]);
        program.write(&x, &[1.0; 6]).unwrap();
        program.run().unwrap();

        let update = w.assign(&w.scale(2.0).unwrap()).unwrap();
        let read = update.scale(2.0).unwrap();
        assert_misuse(session.compile(graph, &[&read]), &["scale", "takes an update of a state, which has no value"]);
        assert_misuse(session.plan(graph, &[&read]), &["takes an update of a state"]);
        let mut program = session.compile(graph, &[&update]).unwrap();
        program.write(&x, &[1.0; 6]).unwrap();
        program.run().unwrap();
        assert_misuse(program.read(&update), &["is an update and has no value"]);
        assert_eq!(program.read(&w).unwrap(), [2.0, 4.0]);
    }
}

/// Protects: a state of another shape than the program's is refused on both backends.
#[test]
fn a_state_of_another_shape() {
    for mut session in sessions() {
        session.set_state("w", &[2], &[1.0, 2.0]).unwrap();
        let graph = Graph::new();
        let y = graph.state("w", [3]).scale(2.0).unwrap();
        let error = session.compile(&graph, &[&y]).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("state `w` is f32[2], but the program needs f32[3]"), "{error}");
    }
}

/// Protects: no op takes integers for real numbers, in any operand, nor does a gradient.
#[test]
fn integers_are_not_taken_for_real_numbers() {
    let graph = Graph::new();
    let real = |shape: &[usize]| graph.state(&format!("real {shape:?}"), shape);
    let integers = |shape: &[usize]| graph.input("integers", shape, DType::I32);
    let x = real(&[2, 3]);
    for (gamma, beta) in [(integers(&[3]), real(&[3])), (real(&[3]), integers(&[3]))] {
        assert_misuse(x.layer_norm(&gamma, &beta, 1e-5), &["layer_norm", "i32[3]"]);
    }
    // Also where nothing is to be done.
    assert_misuse(integers(&[]).sum(..), &["reduce", "takes real values"]);
    assert_misuse(integers(&[]).max_keep(..), &["reduce", "takes real values"]);
    let map = integers(&[1, 4, 4, 2]);
    assert_misuse(map.resize([4, 2], true), &["resize", "takes real maps"]);
    assert_misuse(map.resize_by_factor(1.0), &["resize", "takes real maps"]);
    assert_misuse(map.resize_channels_last([4, 4], false), &["resize", "takes real maps"]);
    assert_misuse(map.resize_channels_last_by_factor(1.0), &["resize", "takes real maps"]);
    assert_misuse(map.resize_channels_last_onto(&real(&[1, 4, 4, 2]), false), &["resize", "takes real maps"]);
    assert_misuse(real(&[1, 4, 4, 2]).resize_channels_last_onto(&map, false), &["resize", "needs a real base"]);
    let image = real(&[1, 4, 4, 2]);
    assert_misuse(image.depthwise_conv2d(&real(&[2, 1, 3, 3]), &integers(&[2]), 1, 1, 1), &["real bias"]);
    assert_misuse(image.depthwise_conv2d(&integers(&[2, 1, 3, 3]), &real(&[2]), 1, 1, 1), &["real taps"]);
    let pulled = graph.pull_back(&[(x.softmax(-1).unwrap(), integers(&[2, 3]))], std::slice::from_ref(&x));
    assert_misuse(pulled, &["`integers` i32[2, 3] is not real"]);
    let maps = real(&[1, 2, 3, 3]);
    for first in [1 << 32, usize::MAX] {
        assert_misuse(maps.gather_slots(&integers(&[1, 4]), first), &["beyond the integers of 32 bits"]);
        assert_misuse(real(&[1, 3, 3, 4]).scatter_slots(&integers(&[1, 4]), 2, first), &["beyond the integers"]);
        assert_misuse(maps.cross_entropy_map(&integers(&[1, 3, 3]), first), &["beyond the integers"]);
    }
}

/// Protects: a bias has one element for each output, in one axis.
#[test]
fn a_bias_of_another_shape() {
    let graph = Graph::new();
    let (x, weight) = (graph.state("x", [2, 3]), graph.state("w", [4, 3]));
    for shape in [&[1, 4][..], &[4, 1], &[2, 2], &[1], &[]] {
        let bias = graph.state(&format!("b{shape:?}"), shape);
        assert_misuse(x.linear(&weight, Some(&bias)), &["linear", "needs a bias [out]"]);
    }
}

/// Protects: gradients pass through empty parts: of a concatenation, a slice and a pad.
#[test]
fn gradients_pass_through_empty_tensors() {
    for mut session in sessions() {
        session.set_state("a", &[2, 3], &[1.0; 6]).unwrap();
        session.set_state("z", &[0, 4], &[]).unwrap();
        let graph = Graph::new();
        let (a, z) = (graph.state("a", [2, 3]), graph.state("z", [0, 4]));
        let none = a.slice(0, 1..1).unwrap();
        let joined = Tensor::concat(&[&a, &none], 0).unwrap().sum_all().unwrap();
        let padded = z.pad(0, 1, 2).unwrap().sum_all().unwrap();
        let gradients = [
            graph.gradients(&joined, std::slice::from_ref(&a)).unwrap().remove(0),
            graph.gradients(&padded, std::slice::from_ref(&z)).unwrap().remove(0),
        ];
        let mut program = session.compile(&graph, &[&gradients[0], &gradients[1], &none, &padded]).unwrap();
        program.run().unwrap();
        assert_eq!(program.read(&gradients[0]).unwrap(), [1.0; 6]);
        assert_eq!(program.read(&gradients[1]).unwrap(), [0.0; 0]);
        assert_eq!(program.read(&none).unwrap(), [0.0; 0]);
        assert_eq!(program.read(&padded).unwrap(), [0.0]);
    }
}
