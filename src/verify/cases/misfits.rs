//! Cases whose tensors have other ranks or extents than their runners need fail with a line, and never panic.

use std::path::Path;

use super::Bench;
use crate::config::Precision;
use crate::session::Session;
use crate::verify::golden::{GoldenSet, Stored};
use crate::verify::manifest::Role;
use crate::verify::run_case;

/// The same elements under other shapes: in one axis, behind an axis more, and with the outer two axes exchanged.
fn misfits(stored: &Stored) -> Vec<Stored> {
    let mut shapes = vec![vec![stored.shape.iter().product()], [&[1], &stored.shape[..]].concat()];
    if let [outer, inner, ..] = stored.shape[..] {
        shapes.push([&[inner, outer], &stored.shape[2..]].concat());
    }
    shapes.retain(|shape| *shape != stored.shape);
    shapes.into_iter().map(|shape| Stored { shape, values: stored.values.clone() }).collect()
}

/// Protects: whoever gives a folder of their own to `tagseg verify` learns what is wrong with it. Shapes that a runner
/// takes all the same, such as an axis more of a vector, give right results.
#[test]
fn tensors_of_other_shapes_fail_with_a_line() {
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
            let error = run_case(&Bench { set: &set, case: &case, session: &session, precision: Precision::F32 })
                .err()
                .map(|error| error.to_string());
            assert!(error.iter().all(|error| error.lines().count() == 1), "{}, {name}: {error:?}", case.name());
            tried += 1;
            refused += usize::from(error.is_some());
        }
        println!("{}: {refused} of {tried} other shapes are refused", sound.name());
        assert!(tried == 0 || refused > 0, "{} takes its inputs in any shape", sound.name());
    }
}
