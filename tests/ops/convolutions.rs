//! Convolutions that share the conversion of their weight.

use tagseg::engine::graph::{DType, Graph, Storage, Tensor};
use tagseg::engine::ops::conv2d::Taps;
use tagseg::{Result, Session};

use super::updates::{open, sample};

/// Asserts that `shared` and `own` give the same values and the same gradients of the weight, on either engine, where
/// `build` records a convolution by the taps and one by the weight, of a state of 3×3 taps or a function of an input.
fn alike(build: impl Fn(&Graph, &Tensor, &Tensor, &Taps) -> Result<[Tensor; 2]>) {
    for of_state in [true, false] {
        for mut session in [open(), Session::open("reference").unwrap()] {
            let graph = Graph::new();
            let x = graph.input("x", [1, 5, 4, 4], DType::F32);
            let given = graph.input("given", [4, 4, 3, 3], DType::F32);
            session.set_state("w", &[4, 4, 3, 3], &sample(3, 144)).unwrap();
            let weight = if of_state { graph.state("w", [4, 4, 3, 3]) } else { given.scale(1.1).unwrap() };
            let [shared, own] = build(&graph, &x, &weight, &Taps::new(&weight)).unwrap();
            let mut outputs = vec![shared, own];
            for index in 0..2 {
                let loss = outputs[index].mul(&outputs[index]).unwrap().sum_all().unwrap();
                outputs.extend(graph.gradients(&loss, std::slice::from_ref(&weight)).unwrap());
            }
            let mut program = session.compile(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap();
            program.write(&x, &sample(1, 80)).unwrap();
            if !of_state {
                program.write(&given, &sample(2, 144)).unwrap();
            }
            program.run().unwrap();
            let [shared, own, by_taps, by_weight] = [0, 1, 2, 3].map(|index| program.read(&outputs[index]).unwrap());
            assert_eq!(shared, own);
            assert_eq!(by_taps, by_weight);
            assert!(by_taps.iter().any(|slope| slope.abs() > 0.1), "the gradient is lost");
        }
    }
}

/// Protects: a weight that was first used where no gradient passes has one elsewhere.
#[test]
fn taps_used_first_without_gradient_have_one() {
    alike(|graph, x, weight, taps| {
        graph.without_gradient(|| x.conv2d_with(taps, None, 1, 1))?;
        Ok([x.conv2d_with(taps, None, 1, 1)?, x.conv2d(weight, None, 1, 1)?])
    });
}

/// Protects: a weight that was first used among features of half precision is not rounded elsewhere.
#[test]
fn taps_used_first_in_half_precision_are_whole() {
    alike(|graph, x, weight, taps| {
        graph.stored(Storage::Half, || x.conv2d_with(taps, None, 2, 1))?;
        Ok([x.conv2d_with(taps, None, 1, 1)?, x.conv2d(weight, None, 1, 1)?])
    });
}

/// Protects: a convolution after an update of the weight has the new one; one before it, the old one.
#[test]
fn taps_follow_updates_of_the_weight() {
    for mut session in [open(), Session::open("reference").unwrap()] {
        let graph = Graph::new();
        let x = graph.input("x", [1, 5, 4, 4], DType::F32);
        session.set_state("w", &[4, 4, 3, 3], &sample(3, 144)).unwrap();
        let weight = graph.state("w", [4, 4, 3, 3]);
        let taps = Taps::new(&weight);
        let before = [x.conv2d_with(&taps, None, 1, 1).unwrap(), x.conv2d(&weight, None, 1, 1).unwrap()];
        weight.assign(&weight.scale(-0.5).unwrap()).unwrap();
        let after = [x.conv2d_with(&taps, None, 1, 1).unwrap(), x.conv2d(&weight, None, 1, 1).unwrap()];
        let outputs = [&before[0], &before[1], &after[0], &after[1]];
        let mut program = session.compile(&graph, &outputs).unwrap();
        program.write(&x, &sample(1, 80)).unwrap();
        program.run().unwrap();
        let [before, old, after, new] = outputs.map(|output| program.read(output).unwrap());
        assert_eq!(before, old);
        assert_eq!(after, new);
        assert_ne!(before, after);
    }
}
