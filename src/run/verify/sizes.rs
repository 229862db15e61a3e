//! The runners read every size from the case: cases of other sizes run on the interpreter and then, with
//! its results as the stored ones, on the device.

use std::path::Path;

use serde_json::json;

use super::cases::{Bench, runner};
use super::golden::{GoldenCase, GoldenSet, Stored, StoredValues};
use super::judge::{Results, Rounding, judge};
use super::manifest::{ElementType, Role};
use super::recipe;
use crate::config::Precision;
use crate::engine::session::Session;
use crate::parts::images::{MEAN, STD};

/// A change of a constant: its JSON pointer and value.
type Constant = (&'static str, serde_json::Value);

/// Changes the inputs of the case `name` of `tests/golden` to `inputs` and constants to `constants`, runs it on the
/// interpreter, and checks that the device agrees.
fn check(name: &str, inputs: Vec<(&str, Stored)>, shapes: &[(&str, &[usize])], constants: Vec<Constant>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let set = GoldenSet::open(&folder).unwrap();
    let mut case = set.cases().iter().find(|case| case.name() == name).unwrap().clone();
    for (pointer, value) in constants {
        *case.spec.constants.pointer_mut(pointer).unwrap() = value;
    }
    // These cases have too few steps for the stored results of the last one.
    case.spec.tensors.retain(|tensor, _| !tensor.starts_with("step19."));
    for (input, stored) in inputs {
        set_tensor(&mut case, input, stored);
    }
    for (tensor, shape) in shapes {
        let zeros = vec![0.0; shape.iter().product()];
        set_tensor(&mut case, tensor, Stored { shape: shape.to_vec(), values: StoredValues::F32(zeros) });
    }

    let mut results = Results::default();
    let reference = Session::open("reference").unwrap();
    runner(name).unwrap()(
        &Bench { set: &set, case: &case, session: &reference, precision: Precision::F32 },
        &mut results,
    )
    .unwrap();
    for tensor in results.names() {
        let (shape, values) = results.get(&tensor).unwrap();
        let stored = match case.spec.tensors.get(&tensor).map(|spec| spec.dtype) {
            None => continue,
            Some(ElementType::F32) => StoredValues::F32(values.iter().map(|&value| value as f32).collect()),
            Some(ElementType::I32) => StoredValues::I32(values.iter().map(|&value| value as i32).collect()),
        };
        set_tensor(&mut case, &tensor, Stored { shape: shape.to_vec(), values: stored });
    }

    let mut results = Results::default();
    let device = crate::run::device::open("auto").unwrap();
    runner(name).unwrap()(&Bench { set: &set, case: &case, session: &device, precision: Precision::F32 }, &mut results)
        .unwrap();
    let judgement = judge(&case, &results, Rounding::Single).unwrap();
    assert!(judgement.faults.is_empty(), "{name}: {:?}", judgement.faults);
    assert!(judgement.compared > 5, "{name} compares {} tensors", judgement.compared);
}

/// Replaces a tensor of the case; one that is compared gets the limits of f32: 1e-4 of its largest value, and a
/// twentieth of all label elements of these small maps.
fn set_tensor(case: &mut GoldenCase, name: &str, stored: Stored) {
    let spec = case.spec.tensors.get_mut(name).unwrap();
    spec.shape = stored.shape.clone();
    match &mut spec.role {
        Role::Output(tolerance) | Role::Grad(tolerance) => {
            let largest = stored.to_f64().into_iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            tolerance.atol.constant = 1e-4 * largest + 1e-6;
        }
        Role::Label { max_mismatch_fraction } => *max_mismatch_fraction = 0.05,
        _ => {}
    }
    case.set_tensor(name, stored);
}

fn reals(name: &str, shape: &[usize], c: f64, a: f64) -> Stored {
    let values = recipe::uniform(name, 7, c, a, shape.iter().product());
    Stored { shape: shape.to_vec(), values: StoredValues::F32(values) }
}

/// Pixels as network input, offset by half a grey level so that they are recovered in any precision.
fn pictures(shape: &[usize; 4]) -> Stored {
    let plane = shape[2] * shape[3];
    let pixels = recipe::integers("sizes/x", 7, 256, shape.iter().product());
    let values = pixels.iter().enumerate().map(|(index, pixel)| {
        let channel = index / plane % 3;
        ((f64::from(*pixel) + 0.5 - MEAN[channel]) / STD[channel]) as f32
    });
    Stored { shape: shape.to_vec(), values: StoredValues::F32(values.collect()) }
}

/// Tags of `images` with the given classes each.
fn tags(images: &[&[usize]], foreground: usize) -> Stored {
    let tag = |classes: &&[usize], class: usize| f32::from(u8::from(classes.contains(&class)));
    let values = images.iter().flat_map(|classes| (0..foreground).map(move |class| tag(classes, class)));
    Stored { shape: vec![images.len(), foreground], values: StoredValues::F32(values.collect()) }
}

fn integers(shape: &[usize], values: &[i32]) -> Stored {
    Stored { shape: shape.to_vec(), values: StoredValues::I32(values.to_vec()) }
}

#[test]
fn pseudo_labels_of_another_size() {
    let image = pictures(&[3, 3, 72, 56]);
    let boxes = integers(&[3, 4], &[0, 72, 0, 56, 3, 50, 11, 48, 20, 90, 0, 37]);
    let inputs = vec![("x", image), ("cls_label", tags(&[&[1], &[0, 2, 5, 9], &[3, 4]], 10)), ("img_box", boxes)];
    check("nano_pseudo_labels", inputs, &[], vec![("/radius", json!(2)), ("/scales", json!([1.0, 0.75]))]);
}

#[test]
fn thresholds_of_another_size() {
    let boxes = integers(&[1, 4], &[7, 80, 2, 33]);
    let inputs = vec![
        ("cam", reals("sizes/cam", &[1, 6, 80, 48], 0.5, 0.5)),
        ("seg", reals("sizes/seg", &[1, 7, 80, 48], 0.0, 2.0)),
        ("cls_label", tags(&[&[0, 3, 4, 5]], 6)),
        ("img_box", boxes),
        ("affinity", reals("sizes/affinity", &[1, 15, 15], 0.5, 0.5)),
    ];
    let constants = vec![("/radius", json!(2)), ("/walk_power", json!(3)), ("/walk_bkg", json!(0.4))];
    check("thresholds_and_walk", inputs, &[("walk_grid", &[1, 6, 5, 3])], constants);
}

#[test]
fn a_trajectory_of_another_size() {
    let image = pictures(&[2, 3, 64, 80]);
    let boxes = integers(&[2, 4], &[0, 64, 0, 80, 5, 60, 9, 70]);
    let inputs = vec![("x", image), ("cls_label", tags(&[&[1, 7], &[4]], 10)), ("img_box", boxes)];
    let constants =
        vec![("/recipe/warm_c2s", json!(0)), ("/recipe/warm_s2c", json!(0)), ("/recipe/warm_bsp", json!(1))];
    check("trajectory", inputs, &[("loss_terms", &[3, 5])], constants);
}
