//! Cases with unsuitable tensors or constants fail with a one-line error, and never panic.

use std::path::Path;

use serde_json::Value;

use super::cases::Bench;
use super::golden::{GoldenCase, GoldenSet, Stored};
use super::manifest::Role;
use super::runner::run_case;
use crate::config::Precision;
use crate::engine::session::Session;

/// The same elements under other shapes: in one axis, behind an axis more, and with the outer two axes exchanged.
fn misfits(stored: &Stored) -> Vec<Stored> {
    let mut shapes = vec![vec![stored.shape.iter().product()], [&[1], &stored.shape[..]].concat()];
    if let [outer, inner, ..] = stored.shape[..] {
        shapes.push([&[inner, outer], &stored.shape[2..]].concat());
    }
    shapes.retain(|shape| *shape != stored.shape);
    shapes.into_iter().map(|shape| Stored { shape, values: stored.values.clone() }).collect()
}

/// What is wrong with a case, which must be one line.
fn refusal(set: &GoldenSet, case: &GoldenCase, session: &Session) -> Option<String> {
    let error = run_case(&Bench { set, case, session, precision: Precision::F32 }).err()?.to_string();
    assert_eq!(error.lines().count(), 1, "{}: {error}", case.name());
    Some(error)
}

/// Where the numbers and the lists of constants are.
fn places(at: &str, value: &Value) -> Vec<String> {
    let inside = |value, name: &dyn std::fmt::Display| places(&format!("{at}/{name}"), value);
    let mut places: Vec<_> = match value {
        Value::Array(list) => list.iter().enumerate().flat_map(|(index, value)| inside(value, &index)).collect(),
        Value::Object(named) => return named.iter().flat_map(|(name, value)| inside(value, name)).collect(),
        Value::Number(_) => Vec::new(),
        _ => return Vec::new(),
    };
    places.push(at.to_owned());
    places
}

/// Protects: `tagseg verify` with an unsuitable folder reports what is wrong with it. Shapes that a runner
/// accepts nevertheless, such as a vector with an additional axis, give correct results.
#[test]
fn tensors_of_other_shapes_fail_with_one_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let set = GoldenSet::open(&folder).unwrap();
    let session = Session::open("reference").unwrap();
    for sound in set.cases() {
        let inputs = sound.spec.tensors.iter().filter(|(_, spec)| spec.role == Role::Input);
        let misfits = inputs
            .flat_map(|(name, _)| misfits(sound.tensor(name).unwrap()).into_iter().map(move |misfit| (name, misfit)));
        let (mut tried, mut refused) = (0, 0);
        for (name, misfit) in misfits {
            let mut case = sound.clone();
            case.set_tensor(name, misfit);
            let error = refusal(&set, &case, &session);
            tried += 1;
            refused += usize::from(error.is_some());
        }
        println!("{}: {refused} of {tried} other shapes are refused", sound.name());
        assert!(tried == 0 || refused > 0, "{} takes its inputs in any shape", sound.name());
    }
}

/// Protects: the same of constants, each 0 or an empty list. Some of them are valid, such as for a threshold. Excluded
/// is the trajectory, which has the constants of other cases and takes twenty steps per try.
#[test]
fn invalid_constants_never_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let set = GoldenSet::open(&folder).unwrap();
    let session = Session::open("reference").unwrap();
    for sound in set.cases().iter().filter(|case| case.name() != "trajectory") {
        let places = places("", &sound.spec.constants);
        let refusals = places.iter().filter_map(|place| {
            let mut case = sound.clone();
            let value = case.spec.constants.pointer_mut(place).unwrap();
            *value = if value.is_array() { Value::Array(Vec::new()) } else { Value::from(0) };
            refusal(&set, &case, &session)
        });
        let refused = refusals.count();
        println!("{}: {refused} of {} invalid constants are refused", sound.name(), places.len());
        assert!(refused > 0 || sound.spec.constants.get("config").is_none(), "{}: accepts any network", sound.name());
    }
}
