//! Where f32 decides: what a device computes exactly, or rounds, the interpreter decides alike in f64.

use tagseg::engine::graph::{DType, Graph, Tensor};
use tagseg::engine::nn::{BatchNorm, Mode, Scope};
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::ops::par::Par;
use tagseg::{Program, Session};

use super::updates::open;

/// Runs what `build` records of states on a device and on the interpreter, and returns the outputs of each.
fn both(states: &[(&str, &[f32])], build: impl Fn(&[Tensor]) -> Vec<Tensor>) -> [Vec<Vec<f64>>; 2] {
    [open(), Session::open("reference").unwrap()].map(|mut session| {
        let graph = Graph::new();
        let states: Vec<_> = states
            .iter()
            .map(|(name, values)| {
                session.set_state(name, &[values.len()], values).unwrap();
                graph.state(name, [values.len()])
            })
            .collect();
        let outputs = build(&states);
        let mut program = session.compile(&graph, &outputs.iter().collect::<Vec<_>>()).unwrap();
        program.run().unwrap();
        read(&program, &outputs)
    })
}

fn read(program: &Program, outputs: &[Tensor]) -> Vec<Vec<f64>> {
    outputs.iter().map(|output| program.read(output).unwrap()).collect()
}

/// Protects: a quotient by a number, and a mean, that are integers are exact on either engine, so that what truncates
/// or compares them agrees.
#[test]
fn whole_quotients_are_exact() {
    for divisor in 1..200_usize {
        let c = divisor as f64;
        let values: Vec<_> = (0..64).map(|k| ((k - 31) * divisor as i32) as f32).collect();
        let want: Vec<_> = (0..64).map(|k| f64::from(k - 31)).collect();
        let given = both(&[("x", &values), ("ones", &vec![3.0; divisor])], |x| {
            let quotient = (&x[0] / c).unwrap();
            let truncated = quotient.to_integer().unwrap();
            vec![quotient, truncated, x[1].mean(0).unwrap(), x[1].mean_all().unwrap()]
        });
        for given in given {
            assert_eq!(given[..2], [want.clone(), want.clone()], "divided by {c}");
            assert_eq!(given[2..], [[3.0], [3.0]], "of {c}");
        }
    }
}

/// Protects: other quotients, by numbers of any size, and their gradients.
#[test]
fn quotients_agree_with_reference() {
    for c in [0.1, -0.7, 3.0, 0.25, -4096.0, 1e-30, 1e30, 2f64.powi(-126), 2f64.powi(127)] {
        let values: Vec<_> = (0..37).map(|k| (k as f32 - 17.5) * 0.37 * (c.abs().min(1.0) as f32)).collect();
        let [device, reference] = both(&[("x", &values)], |x| {
            let y = (&x[0] / c).unwrap();
            let gradient = x[0].graph().gradients(&(&y * 3.0).unwrap().sum_all().unwrap(), &x[..1]).unwrap().remove(0);
            vec![y, gradient]
        });
        for (got, want) in device.iter().flatten().zip(reference.iter().flatten()) {
            assert!((got - want).abs() <= 1e-6 * want.abs() + 1e-37, "{got} for {want}, divided by {c}");
        }
    }
}

/// Protects: what overflows in f32 is infinite on the interpreter, too: in `finite`, in flags, and in states.
#[test]
fn overflow_is_found_on_both() {
    let given = [open(), Session::open("reference").unwrap()].map(|mut session| {
        let graph = Graph::new();
        session.set_state("x", &[2, 4], &[1e30, 1.0, -1e30, 3e38, 1.0, 2.0, 3.0, 4.0]).unwrap();
        session.set_state("flags", &[3], &[0.0; 3]).unwrap();
        session.set_state("kept", &[2, 4], &[0.0; 8]).unwrap();
        let (x, kept) = (graph.state("x", [2, 4]), graph.state("kept", [2, 4]));
        let square = x.mul(&x).unwrap();
        kept.assign(&x.scale(1e9).unwrap()).unwrap();
        let tensors = [square.clone(), x.scale(0.5).unwrap(), x.sum(0).unwrap().scale(2.0).unwrap()];
        graph.state("flags", [3]).flag_nonfinite(&Packed::new(&tensors).unwrap()).unwrap();
        let scope = Scope::root(&graph);
        let norm = BatchNorm::new(&scope, 4);
        norm.forward(std::slice::from_ref(&x), &Mode::Train { random: None, part: None }).unwrap();
        scope.initialise(&mut session, 1).unwrap();
        let outputs = [square.finite().unwrap()];
        let mut program = session.compile(&graph, &[&outputs[0]]).unwrap();
        program.run().unwrap();
        let state = |name: &str| session.state(name).unwrap().1;
        let kept = state("kept").into_iter().map(|value| f64::from(u8::from(value.is_finite()))).collect();
        let moved = state("running_var").into_iter().map(|value| f64::from(u8::from(value != 1.0))).collect();
        [read(&program, &outputs).remove(0), state("flags"), kept, moved]
    });
    let want = [
        vec![0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        vec![1.0, 0.0, 1.0],
        vec![0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        vec![0.0, 1.0, 0.0, 0.0],
    ];
    for given in given {
        assert_eq!(given, want);
    }
}

/// Protects: a number that f32 does not hold is the same one in constants, in states and in inputs, and is not larger
/// than itself.
#[test]
fn numbers_that_f32_rounds_are_equal() {
    for session in [open(), Session::open("reference").unwrap()] {
        let mut session = session;
        let values = [0.1, 0.7, 1.3, -2.9];
        session.set_state("w", &[4], &values.map(|value| value as f32)).unwrap();
        let graph = Graph::new();
        let (w, x) = (graph.state("w", [4]), graph.input("x", [4], DType::F32));
        let constant = graph.constant(&values, [4]);
        let outputs = [
            w.equal(&constant).unwrap(),
            x.equal(&constant).unwrap(),
            x.at_least(&w).unwrap(),
            w.at_least(&constant).unwrap(),
            w.greater(&x).unwrap(),
            constant.greater(&w).unwrap(),
            graph.scalar(1e39).finite().unwrap(),
            graph.scalar(1e-50).select(&w, &graph.scalar(5.0)).unwrap(),
        ];
        let mut program = session.compile(&graph, &outputs.each_ref()).unwrap();
        program.write(&x, &values).unwrap();
        program.run().unwrap();
        let (yes, no, five) = (vec![1.0; 4], vec![0.0; 4], vec![5.0; 4]);
        let want = [&yes, &yes, &yes, &yes, &no, &no, &vec![0.0], &five].map(Vec::clone);
        assert_eq!(read(&program, &outputs), want);
    }
}

/// Protects: NaN has an integer, and the same one on either engine; so have infinities.
#[test]
fn integers_of_no_numbers_are_defined() {
    let values = [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::INFINITY, f32::NEG_INFINITY, -2.5, 1e20];
    // One lane, and four.
    for count in [values.len(), 4] {
        for given in both(&[("x", &values[..count])], |x| vec![x[0].to_integer().unwrap()]) {
            let want = [0.0, 0.0, 0.0, 2_147_483_520.0, -2_147_483_648.0, -2.0, 2_147_483_520.0];
            assert_eq!(given[0], want[..count]);
        }
    }
}

/// Protects: a picture that is said to be larger than its image is all of it, on either engine.
#[test]
fn pictures_are_cut_to_their_image() {
    let values: Vec<_> = (0..60).map(|index| (index * 7 % 11) as f32 / 11.0).collect();
    let mask: Vec<_> = (0..80).map(|index| (index * 5 % 13) as f32 / 13.0).collect();
    let dilations = [1, 2];
    let mut given = Vec::new();
    for mut session in [open(), Session::open("reference").unwrap()] {
        session.set_state("image", &[1, 4, 5, 3], &values).unwrap();
        session.set_state("mask", &[1, 4, 5, 4], &mask).unwrap();
        let graph = Graph::new();
        let (image, mask) = (graph.state("image", [1, 4, 5, 3]), graph.state("mask", [1, 4, 5, 4]));
        let (extent, classes) = (graph.input("extent", [1, 2], DType::I32), graph.input("classes", [1, 4], DType::I32));
        let par = Par { dilations: dilations.to_vec(), ..Par::default() };
        let weights = image.par_weights(&extent, &par).unwrap();
        let refined = mask.par_step(&weights, &extent, &classes, &dilations).unwrap();
        let loss = refined.mul(&refined).unwrap().sum_all().unwrap();
        let gradient = graph.gradients(&loss, std::slice::from_ref(&mask)).unwrap().remove(0);
        let outputs = [weights, refined, gradient];
        let mut program = session.compile(&graph, &outputs.each_ref()).unwrap();
        program.write(&classes, &[0, 1, 2, -1]).unwrap();
        for size in [[4, 5], [4, 9], [i32::MAX, 1 << 20]] {
            program.write(&extent, &size).unwrap();
            program.run().unwrap();
            given.push(read(&program, &outputs));
        }
    }
    for group in given.chunks(3) {
        assert!(group[0] == group[1] && group[0] == group[2]);
    }
    for (got, want) in given[0].iter().flatten().zip(given[3].iter().flatten()) {
        assert!((got - want).abs() < 1e-5, "{got} for {want}");
    }
}
