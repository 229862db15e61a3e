//! Every op, against its f64 reference. One row of `table.rs` adds all of these checks:
//!
//! - the gradient on the CPU against central differences in f64 (eps 1e-6, atol 1e-5, rtol 1e-3): alone, in
//!   mid-graph times 2.5, with a broadcast operand, and with every operand used twice;
//! - the device's forward values against the CPU's: normalised mean squared error at most 1e-10, and no element off by
//!   more than 3e-5 of the largest;
//! - the device's gradients against the CPU's: at most 1e-4 of the largest;
//! - two runs on the device: bit-identical;
//! - the last three with the kernels of software devices, those of graphics cards, and all others that a
//!   table of kernel choices can name;
//! - all of these also with every value stored in half precision that can be: then 2e-8, 4e-3 and 3e-3 of the largest.
//!
//! The first size of a row is small, for the differences; the others are odd and large enough to reach every branch.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod convolutions;
mod layers;
mod limits;
mod optimisers;
#[path = "../planned/mod.rs"]
mod planned;
mod recomputed;
mod shaders;
mod single;
mod steps;
mod table;
mod updates;

use tagseg::engine::gpu::DeviceChoice;
use tagseg::engine::graph::{DType, Graph, Storage, Tensor};
use tagseg::engine::kernel::{Class, KernelTable, Kernels, Target};
use tagseg::engine::reference::square_error;
use tagseg::run::device;
use tagseg::{Error, Result, Session};

/// The values of an operand.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// Real values around 0, differentiated.
    Normal,
    /// Real values in [0.5, 1.5], differentiated.
    Positive,
    /// Real values in [0, 1], not differentiated.
    Unit,
    /// Integers in [0, n), every fifth of them 255.
    Label(i32),
    /// Integers in [0, n).
    Index(i32),
    /// Fixed integers, repeated to the shape.
    Fixed(&'static [i32]),
}

/// One operand: its shape and values.
pub type Operand = (&'static [usize], Fill);

/// One row of the table.
pub struct Case {
    /// Op name, and variant if there are several.
    pub name: &'static str,
    /// Operand sizes; the first set is small.
    pub sizes: &'static [&'static [Operand]],
    /// Whether the op has a gradient.
    pub differentiable: bool,
    /// Records the op.
    pub build: fn(&[Tensor]) -> Result<Tensor>,
}

/// Repeatable values in [-1, 1): the golden recipe's generator, so that no two operands are alike.
fn noise(seed: u64, index: usize) -> f64 {
    let mut z =
        (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add((index as u64).wrapping_mul(0xD134_2543_DE82_EF95));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
}

fn values(operand: &Operand, seed: u64) -> Vec<f32> {
    let (shape, fill) = operand;
    let count = shape.iter().product();
    (0..count)
        .map(|index| {
            let u = noise(seed, index);
            match fill {
                Fill::Normal => (1.5 * u) as f32,
                Fill::Positive => (1.0 + 0.5 * u) as f32,
                Fill::Unit => (0.5 + 0.5 * u) as f32,
                Fill::Label(_) if index % 5 == 3 => 255.0,
                Fill::Label(n) | Fill::Index(n) => ((0.5 + 0.5 * u) * f64::from(*n)).floor() as f32,
                Fill::Fixed(list) => list[index % list.len()] as f32,
            }
        })
        .collect()
}

fn is_real(operand: &Operand) -> bool {
    matches!(operand.1, Fill::Normal | Fill::Positive | Fill::Unit)
}

fn is_differentiated(operand: &Operand) -> bool {
    matches!(operand.1, Fill::Normal | Fill::Positive)
}

/// The position of the op in the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setting {
    Alone,
    MidGraph,
    Broadcast,
    Repeated,
    /// Every value that can be is stored in half precision: operands, result, and values of the gradient.
    InHalf,
}

impl Setting {
    fn storage(self) -> Storage {
        if self == Setting::InHalf { Storage::Half } else { Storage::Whole }
    }
}

/// The recorded objective Σ y·cotangent of a case with everything needed to run it.
struct Objective {
    graph: Graph,
    operands: Vec<Tensor>,
    /// The operands with gradients.
    differentiated: Vec<Tensor>,
    shift: Tensor,
    output: Tensor,
    objective: Tensor,
}

/// A copy, which is not fused.
fn copied(x: &Tensor) -> Result<Tensor> {
    let len = x.shape().len();
    // Copies have one to four axes.
    match x.shape().rank() {
        1..=4 => x.pad(0, 0, x.shape()[0]),
        _ => x.reshape([len])?.pad(0, 0, len)?.reshape(x.shape().clone()),
    }
}

fn record(case: &Case, size: &[Operand], setting: Setting) -> Result<Objective> {
    let graph = Graph::new();
    let operands: Vec<_> = size
        .iter()
        .enumerate()
        .map(|(index, operand)| {
            let dtype = if is_real(operand) { DType::F32 } else { DType::I32 };
            graph.input(&format!("x{index}"), operand.0, dtype)
        })
        .collect();
    let shift = graph.input("shift", [], DType::F32);
    let placed = operands
        .iter()
        .zip(size)
        .map(|(tensor, operand)| match setting {
            Setting::MidGraph if is_differentiated(operand) => tensor.scale(0.9),
            Setting::Broadcast if is_differentiated(operand) => tensor.add(&shift),
            Setting::InHalf if is_real(operand) => graph.stored(Storage::Half, || copied(tensor)),
            _ => Ok(tensor.clone()),
        })
        .collect::<Result<Vec<_>>>()?;
    let mut output = graph.stored(setting.storage(), || (case.build)(&placed))?;
    if output.dtype() == DType::I32 {
        output = output.to_real()?;
    }
    if setting == Setting::InHalf {
        output = copied(&output)?;
    }
    let cotangent: Vec<_> = (0..output.shape().len()).map(|index| noise(99, index)).collect();
    let cotangent = graph.constant(&cotangent, output.shape().clone());
    let mut objective = output.mul(&cotangent)?.sum_all()?;
    match setting {
        Setting::MidGraph => objective = objective.scale(2.5)?,
        Setting::Repeated => {
            let again = (case.build)(&placed)?.mul(&cotangent.scale(0.3)?)?.sum_all()?;
            objective = objective.add(&again)?;
        }
        _ => {}
    }
    let real = operands.iter().zip(size).filter(|(_, operand)| is_differentiated(operand));
    let differentiated = real.map(|(tensor, _)| tensor.clone()).collect();
    Ok(Objective { graph, operands, differentiated, shift, output, objective })
}

fn feed(program: &mut tagseg::Program, recorded: &Objective, inputs: &[Vec<f64>], shift: f64) {
    for (tensor, values) in recorded.operands.iter().zip(inputs) {
        program.write(tensor, values).unwrap();
    }
    program.write(&recorded.shift, &[shift]).unwrap();
}

fn inputs_of(size: &[Operand]) -> Vec<Vec<f64>> {
    size.iter()
        .enumerate()
        .map(|(index, operand)| values(operand, index as u64).into_iter().map(f64::from).collect())
        .collect()
}

/// Central differences in f64 on the interpreter.
fn check_differences(case: &Case, setting: Setting) {
    let size = case.sizes[0];
    let recorded = record(case, size, setting).unwrap();
    let session = Session::open("reference").unwrap();
    let shift = 0.125;
    let wrt =
        if setting == Setting::Broadcast { std::slice::from_ref(&recorded.shift) } else { &recorded.differentiated };
    let gradients = recorded.graph.gradients(&recorded.objective, wrt).unwrap();
    let mut program = session.compile(&recorded.graph, &gradients.iter().collect::<Vec<_>>()).unwrap();
    let inputs = inputs_of(size);
    feed(&mut program, &recorded, &inputs, shift);
    program.run().unwrap();
    let analytic: Vec<_> = gradients.iter().map(|gradient| program.read(gradient).unwrap()).collect();

    let mut objective = session.compile(&recorded.graph, &[&recorded.objective]).unwrap();
    let mut evaluate = |inputs: &[Vec<f64>], shift: f64| {
        feed(&mut objective, &recorded, inputs, shift);
        objective.run().unwrap();
        objective.read(&recorded.objective).unwrap()[0]
    };
    let eps = 1e-6;
    let compare = |numeric: f64, analytic: f64, what: String| {
        let error = (numeric - analytic).abs();
        assert!(
            error <= 1e-5 + 1e-3 * numeric.abs(),
            "{} {setting:?}: gradient of {what} is {analytic:e}, differences give {numeric:e}",
            case.name
        );
    };
    if setting == Setting::Broadcast {
        let numeric = (evaluate(&inputs, shift + eps) - evaluate(&inputs, shift - eps)) / (2.0 * eps);
        compare(numeric, analytic[0][0], "a broadcast operand".into());
        return;
    }
    let differentiated = (0..size.len()).filter(|&index| is_differentiated(&size[index]));
    for (slot, operand) in differentiated.enumerate() {
        for element in 0..inputs[operand].len() {
            let mut moved = inputs.clone();
            moved[operand][element] += eps;
            let above = evaluate(&moved, shift);
            moved[operand][element] -= 2.0 * eps;
            let below = evaluate(&moved, shift);
            let numeric = (above - below) / (2.0 * eps);
            compare(numeric, analytic[slot][element], format!("operand {operand}[{element}]"));
        }
    }
}

/// Devices with different kernels against the interpreter, and against themselves; equal kernels run once.
fn check_device(case: &Case, size: &[Operand], setting: Setting, devices: &[Session]) {
    let recorded = record(case, size, setting).unwrap();
    let mut outputs = vec![recorded.output.clone()];
    if case.differentiable {
        let gradients = || recorded.graph.gradients(&recorded.objective, &recorded.differentiated).unwrap();
        outputs.extend(recorded.graph.stored(setting.storage(), gradients));
    }
    let run = |session: &Session| {
        let mut program = session.compile(&recorded.graph, &outputs.iter().collect::<Vec<_>>()).unwrap();
        feed(&mut program, &recorded, &inputs_of(size), 0.0);
        let mut read = || {
            program.run().unwrap();
            outputs.iter().map(|output| program.read(output).unwrap()).collect::<Vec<_>>()
        };
        (read(), read())
    };
    let (want, _) = run(&Session::open("reference").unwrap());
    let mut launched = Vec::new();
    for device in devices {
        let plan = device.plan(&recorded.graph, &outputs.iter().collect::<Vec<_>>()).unwrap().unwrap();
        let launches: Vec<_> = plan.steps.into_iter().map(|step| step.launches).collect();
        if launched.contains(&launches) {
            continue;
        }
        launched.push(launches);
        let (got, again) = run(device);
        assert!(got == again, "{} {size:?} {setting:?}: two runs differ", case.name);
        compare_runs(case, size, setting, &got, &want);
    }
}

/// Forward values, then gradients, of a device and of the interpreter. If both round to halves, a value that
/// f32 and f64 round in different directions differs by a whole step, 2⁻¹⁰ of it: these are few, but noticeable.
fn compare_runs(case: &Case, size: &[Operand], setting: Setting, got: &[Vec<f64>], want: &[Vec<f64>]) {
    let (forward, gradient) = if setting == Setting::InHalf { (2e-8, 3e-3) } else { (1e-10, 1e-4) };
    let error = square_error(&got[0], &want[0]);
    assert!(
        error <= forward,
        "{} {size:?} {setting:?}: normalised squared error {error:e} of the forward values",
        case.name
    );
    let worst = worst_error(&got[0], &want[0]);
    assert!(
        worst <= if setting == Setting::InHalf { 4e-3 } else { 3e-5 },
        "{} {size:?} {setting:?}: an element is off by {worst:e} of the largest",
        case.name
    );
    for (slot, (got, want)) in got[1..].iter().zip(&want[1..]).enumerate() {
        let largest = want.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let worst = got.iter().zip(want).fold(0.0, |worst: f64, (got, want)| worst.max((got - want).abs()));
        assert!(
            worst <= gradient * largest.max(1e-30),
            "{} {size:?} {setting:?}: gradient {slot} is off by {worst:e} where the largest is {largest:e}",
            case.name
        );
    }
}

/// The largest error of an element, as a share of the largest element.
pub fn worst_error(got: &[f64], want: &[f64]) -> f64 {
    let largest = want.iter().fold(1e-30, |largest: f64, value| largest.max(value.abs()));
    got.iter().zip(want).fold(0.0, |worst: f64, (got, want)| worst.max((got - want).abs())) / largest
}

fn selected() -> Vec<Case> {
    // `TAGSEG_OP=softmax cargo test --test ops` runs the rows whose names contain it, while working on one op.
    let wish = std::env::var("TAGSEG_OP").unwrap_or_default();
    let cases: Vec<_> = table::cases().into_iter().filter(|case| case.name.contains(&wish)).collect();
    assert!(!cases.is_empty(), "unknown op `{wish}`");
    cases
}

/// Protects: every gradient rule, by differences in f64, in four settings.
#[test]
fn gradients_agree_with_differences() {
    for case in selected().iter().filter(|case| case.differentiable) {
        for setting in [Setting::Alone, Setting::MidGraph, Setting::Broadcast, Setting::Repeated] {
            check_differences(case, setting);
        }
    }
}

/// Every choice of kernels: those of the built-in table for both classes of devices, all others that a table may name,
/// all with workgroup memory, those that replace cooperative matrices, and subgroups with wide tiles.
fn targets() -> Vec<Target> {
    let mut targets = vec![Target::software(), Target::graphics()];
    targets.extend(Target::graphics().every().unwrap());
    targets.push(Kernels::SHARED.into());
    targets.push(Target { cooperative_products: false, half_products: false, ..Kernels::COOPERATIVE.into() });
    targets.push(Target { cooperative_products: false, ..Kernels::COOPERATIVE.into() });
    targets.push(Kernels::SUBGROUPS.into());
    targets
}

/// Protects: every shader against its reference, on odd sizes, forward and gradient, and its repeatability; in the
/// variants for software and, on any adapter, in those for hardware. If the device has no cooperative matrices, of f32 or
/// of halves, the log says so, and only the kernels that replace them are tested.
#[test]
fn device_agrees_with_reference() {
    let kernels = Some(KernelTable::of("", Kernels::COOPERATIVE));
    let open = |choice: DeviceChoice| device::open(choice).unwrap_or_else(|error: Error| panic!("{error}"));
    let (device, cooperative) = (open("auto".into()), open(DeviceChoice::default().kernels(kernels)));
    let on = |target: &Target| match target.cooperative_products || target.half_products {
        true => cooperative.fresh(),
        false => device.fresh(),
    };
    // A driver may round halves in another way than the reference.
    let card = open(DeviceChoice::default().class(Class::Gpu));
    let exact = card.target().is_some_and(|target| target.builtin_halves);
    println!("{}", if exact { "halves are converted in both ways" } else { "left out: functions that convert halves" });
    let targets =
        targets().into_iter().map(|target| Target { builtin_halves: target.builtin_halves && exact, ..target });
    let devices: Vec<_> = targets.map(|target| on(&target).aimed_at(target)).collect();
    let mut failures = Vec::new();
    for case in selected() {
        for size in case.sizes {
            for setting in [Setting::Alone, Setting::InHalf] {
                let check = std::panic::AssertUnwindSafe(|| check_device(&case, size, setting, &devices));
                if std::panic::catch_unwind(check).is_err() {
                    failures.push(format!("{} {size:?} {setting:?}", case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of the checks failed:\n{}", failures.len(), failures.join("\n"));
}

/// Protects: an op without a gradient fails when the gradient is recorded, and is never a silent zero.
#[test]
fn missing_gradients_are_errors() {
    for case in selected().iter().filter(|case| !case.differentiable) {
        let recorded = record(case, case.sizes[0], Setting::Alone).unwrap();
        if !recorded.differentiated.is_empty() {
            let error =
                recorded.graph.gradients(&recorded.objective, &recorded.differentiated).unwrap_err().to_string();
            assert!(error.contains("has no gradient"), "{}: {error}", case.name);
        }
    }
}

/// Protects: operands of other ranks are a one-line error, or are accepted, and never cause a panic.
#[test]
fn operands_of_other_ranks_are_refused() {
    let mut taken = Vec::new();
    for case in table::cases() {
        let size = case.sizes[0];
        for wrong in 0..size.len() {
            let shape = size[wrong].0;
            for other in [vec![shape.iter().product()], [&[1], shape].concat()] {
                let graph = Graph::new();
                let operands = size.iter().enumerate().map(|(index, operand)| {
                    let dtype = if is_real(operand) { DType::F32 } else { DType::I32 };
                    let shape = if index == wrong { &other[..] } else { operand.0 };
                    graph.input(&format!("x{index}"), shape, dtype)
                });
                let error = (case.build)(&operands.collect::<Vec<_>>()).err().map(|error| error.to_string());
                assert!(error.iter().all(|error| error.lines().count() == 1), "{}: {error:?}", case.name);
                if error.is_none() {
                    taken.push(format!("{} {wrong} {other:?}", case.name));
                }
            }
        }
    }
    let expected: Vec<_> = TAKEN.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(taken == expected, "other calls are taken than expected:\n{}", taken.join("\n"));
}

/// Calls with an operand of another rank that are right: row, operand, and its shape.
const TAKEN: &str = include_str!("taken.txt");
