//! Memory limits, under which the gradient recomputes values.

use tagseg::engine::graph::{DType, Graph, Storage, Tensor};
use tagseg::{Result, Session};

use super::updates::{open, sample};

/// Checks that the value that `record` makes of these operands, inputs named x and y and states, has the same bits
/// under all memory limits that can be kept, at least one of which recomputes something, and is that of the
/// interpreter.
fn check_limits(operands: &[(&str, &[usize])], record: impl Fn(&Graph, &[Tensor]) -> Result<Tensor>) {
    let values = |mut session: Session, share: u64| {
        let graph = Graph::new();
        let mut tensors = Vec::new();
        for (seed, (name, shape)) in (1..).zip(operands) {
            tensors.push(match name.starts_with(['x', 'y']) {
                true => graph.input(name, *shape, DType::F32),
                false => graph.state(name, *shape),
            });
            if !tensors[tensors.len() - 1].is_input() {
                session.set_state(name, shape, &sample(seed, shape.iter().product())).unwrap();
            }
        }
        let output = record(&graph, &tensors).unwrap();
        let mut bytes = 0;
        if let Some(plan) = session.plan(&graph, &[&output]).unwrap() {
            graph.limit_memory(plan.bytes() * share / 100);
            bytes = session.plan(&graph, &[&output]).ok()??.bytes();
        }
        let mut program = session.compile(&graph, &[&output]).unwrap();
        for (seed, tensor) in (1..).zip(&tensors).filter(|(_, tensor)| tensor.is_input()) {
            program.write(tensor, &sample(seed, tensor.shape().len())).unwrap();
        }
        program.run().unwrap();
        Some((bytes, program.read(&output).unwrap()))
    };
    let (_, want) = values(Session::open("reference").unwrap(), 100).unwrap();
    let (most, whole) = values(open(), 100).unwrap();
    let largest = want.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    assert!(whole.iter().zip(&want).all(|(got, want)| (got - want).abs() <= 4e-3 * largest));
    let limited: Vec<_> = (30..100).filter_map(|share| values(open(), share)).collect();
    assert!(limited.iter().any(|(bytes, _)| *bytes < most), "no limit can be kept");
    assert!(limited.iter().all(|(_, values)| *values == whole), "a limit changes values");
}

/// A number for which much memory is needed while it is computed, so that recomputing what is kept meanwhile saves
/// some.
fn much_memory(x: &Tensor) -> Result<Tensor> {
    x.softmax(-1)?.softmax(-1)?.softmax(-1)?.sum_all()
}

/// Protects: a view of a state that is recomputed for two gradients has the value from before an update between them.
#[test]
fn views_that_are_recomputed_keep_the_old_values_of_states() {
    let (m, n) = (4096, 64);
    check_limits(&[("w", &[n]), ("x1", &[m, n]), ("x2", &[m, n])], |graph, tensors| {
        let [w, x1, x2] = tensors else { unreachable!("three operands") };
        let shown = w.reshape([1, n])?;
        let losses = [shown.mul(x1)?.exp()?.sum_all()?, shown.mul(x2)?.exp()?.sum_all()?];
        let seen = losses[0].add(&losses[1])?.add(&much_memory(x1)?)?;
        let first = graph.gradients(&losses[0], std::slice::from_ref(w))?.remove(0);
        w.assign(&w.sub(&first.scale(0.1)?)?)?;
        graph.gradients(&losses[1], std::slice::from_ref(w))?.remove(0).add(&seen)
    });
}

/// Protects: where recomputing leaves a value with one reader, that reader's kernel still loads what is stored in half
/// precision by `vec4`.
#[test]
fn recomputed_values_are_fused_only_where_halves_are_loaded() {
    check_limits(&[("x", &[4096, 8]), ("w", &[8, 8]), ("b", &[2]), ("y", &[16384, 2])], |graph, tensors| {
        let [x, w, b, y] = tensors else { unreachable!("four operands") };
        let hidden = graph.stored(Storage::Half, || x.linear(w, None)?.reshape([16384, 2])?.exp())?;
        let loss = hidden.add(b)?.mul(y)?.sum_all()?;
        let seen = loss.add(&much_memory(y)?)?;
        graph.gradients(&loss, std::slice::from_ref(w))?.remove(0).add(&seen)
    });
}
