//! Optimisers in one call, against values computed by hand and against the op that they record.

use tagseg::engine::graph::{DType, Graph, Tensor};
use tagseg::engine::ops::adamw::{Constants, Trained, adamw};
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::optim::{AdamW, Optimiser, Sgd};
use tagseg::run::device;
use tagseg::{Result, Session};

use super::noise;

fn sessions() -> [Session; 2] {
    ["auto", "reference"].map(|name| device::open(name).unwrap())
}

/// The values of w = (1, −2) after each of two steps on Σ w², whose gradient is 2·w, the second at half the rate.
fn two_steps(session: &mut Session, record: impl Fn(&Tensor, &[Tensor]) -> Result<Optimiser>) -> Result<Vec<f64>> {
    session.set_state("w", &[2], &[1.0, -2.0])?;
    let graph = Graph::new();
    let w = graph.state("w", [2]);
    let loss = (&w * &w)?.sum(..)?;
    let mut optimiser = record(&loss, &[w])?;
    let mut program = session.compile(&graph, &[])?;
    let mut values = Vec::new();
    for step in 1..=2 {
        optimiser.write(&mut program, step)?;
        program.run()?;
        values.extend(session.state("w")?.1);
        optimiser.set_learning_rate(0.05);
    }
    Ok(values)
}

fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-5), "{got:?} instead of {want:?}");
}

/// Protects: every term of SGD, whose momentum starts at 0 and whose learning rate is an input.
#[test]
fn sgd_follows_its_formula() {
    for session in sessions() {
        let plain = two_steps(&mut session.fresh(), |loss, w| Sgd::new(0.1).step(loss, w)).unwrap();
        assert_close(&plain, &[0.8, -1.6, 0.72, -1.44]);
        // g' = 2.5·w: v = (2.5, −5), then 0.9·v + 2.5·(0.75, −1.5) = (4.125, −8.25).
        let rule = Sgd::new(0.1).momentum(0.9).weight_decay(0.5);
        let mut own = session.fresh();
        assert_close(&two_steps(&mut own, |loss, w| rule.step(loss, w)).unwrap(), &[0.75, -1.5, 0.54375, -1.0875]);
        assert_close(&own.state("w.momentum").unwrap().1, &[4.125, -8.25]);
    }
}

/// Protects: AdamW's first step is the learning rate times the sign of the gradient, whatever its size, after the
/// decay.
#[test]
fn adamw_follows_its_formula() {
    for mut session in sessions() {
        let rule = AdamW::new(0.1).weight_decay(0.5);
        let got = two_steps(&mut session, |loss, w| rule.step(loss, w)).unwrap();
        assert_close(&got[..2], &[0.85, -1.8]);
        assert_close(&session.state("w.m").unwrap().1, &[0.9 * 0.2 + 0.1 * 1.7, -0.9 * 0.4 - 0.1 * 3.6]);
    }
}

/// Protects: AdamW in one call is bit-identical to the packed op with moments of zeros, over steps; moments that a
/// session already has are kept.
#[test]
fn adamw_is_the_op() {
    let shapes = [&[37][..], &[5, 7], &[256]];
    let record = |session: &mut Session, graph: &Graph| -> Result<(Vec<Tensor>, Tensor)> {
        let mut loss = graph.scalar(0.0);
        let mut parameters = Vec::new();
        for (index, shape) in shapes.iter().enumerate() {
            let count = shape.iter().product();
            let values: Vec<_> = (0..count).map(|place| noise(index as u64 + 1, place) as f32).collect();
            let name = format!("p{index}");
            session.set_state(&name, shape, &values)?;
            let parameter = graph.state(&name, *shape);
            loss = (loss + (&parameter * &parameter)?.gelu()?.sum(..)?)?;
            parameters.push(parameter);
        }
        Ok((parameters, loss))
    };
    let rule = AdamW::new(0.01).weight_decay(0.1).betas(0.8, 0.99).eps(1e-6);
    for session in sessions() {
        let (mut one, mut other) = (session.fresh(), session.fresh());
        let graph = Graph::new();
        let (parameters, loss) = record(&mut one, &graph).unwrap();
        let optimiser = rule.step(&loss, &parameters).unwrap();
        for steps in [1..=2, 3..=4] {
            let mut program = one.compile(&graph, &[]).unwrap();
            for step in steps {
                optimiser.write(&mut program, step).unwrap();
                program.run().unwrap();
            }
        }

        let graph = Graph::new();
        let (parameters, loss) = record(&mut other, &graph).unwrap();
        let mut trained = Vec::new();
        for param in &parameters {
            let [m, v] = ["m", "v"].map(|kind| format!("{}.{kind}", param.name().unwrap())).map(|name| {
                other.set_state(&name, param.shape(), &vec![0.0; param.shape().len()]).unwrap();
                graph.state(&name, param.shape().clone())
            });
            trained.push(Trained { param: param.clone(), m, v, group: 0 });
        }
        let hyper = graph.input("hyper", [1, 4], DType::F32);
        let mut constants = Constants::default();
        (constants.beta1, constants.beta2, constants.eps) = (0.8, 0.99, 1e-6);
        let gradients = Packed::new(&graph.gradients(&loss, &parameters).unwrap()).unwrap();
        adamw(constants, &trained, &gradients, &hyper, None).unwrap();
        let mut program = other.compile(&graph, &[]).unwrap();
        for step in 1..=4 {
            program.write(&hyper, &constants.hyper(0.01, 0.1, step)).unwrap();
            program.run().unwrap();
        }

        assert_eq!(one.state_names(), other.state_names());
        for name in one.state_names() {
            assert!(one.state(&name).unwrap() == other.state(&name).unwrap(), "{name} on {}", session.name());
        }
    }
}

/// Protects: training a tensor that is not a state is an error.
#[test]
fn only_states_can_be_trained() {
    let graph = Graph::new();
    let x = graph.input("x", [2], DType::F32);
    let loss = x.sum(..).unwrap();
    for result in [AdamW::new(0.1).step(&loss, std::slice::from_ref(&x)), Sgd::new(0.1).momentum(0.5).step(&loss, &[x])]
    {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("`x` f32[2] is not a state") && error.contains("optimisers.rs"), "{error}");
    }
}

/// Protects: training can move to another thread and continue there.
#[test]
fn training_moves_between_threads() {
    for mut session in sessions() {
        session.set_state("w", &[2], &[1.0, -2.0]).unwrap();
        let graph = Graph::new();
        let w = graph.state("w", [2]);
        let loss = (&w * &w).unwrap().sum(..).unwrap();
        let optimiser = Sgd::new(0.1).step(&loss, &[w]).unwrap();
        let program = session.compile(&graph, &[&loss]).unwrap();
        let moved = (graph, loss, program, session.clone());
        let there = std::thread::spawn(move || {
            let (graph, loss, mut program, session) = moved;
            optimiser.write(&mut program, 1)?;
            program.run()?;
            let mut again = session.compile(&graph, &[&loss])?;
            optimiser.write(&mut again, 2)?;
            again.run()?;
            again.read(&loss)
        });
        assert_close(&there.join().unwrap().unwrap(), &[0.64 + 4.0 * 0.64]);
        assert_close(&session.state("w").unwrap().1, &[0.64, -1.28]);
    }
}

/// Protects: a parameter that is listed twice is refused, also where its gradients are updated by different dispatches.
#[test]
fn parameters_listed_twice_are_errors() {
    let graph = Graph::new();
    let large = graph.state("large", [1 << 20]);
    let small = ["a", "b"].map(|name| graph.state(name, [3]));
    let all = small.iter().chain([&large]).map(|x| (x * x)?.sum(..)).reduce(|sum, next| sum?.add(&next?));
    let loss = all.unwrap().unwrap();
    let [a, b] = small;
    for list in [vec![a.clone(), large.clone(), a.clone()], vec![a.clone(), b.clone(), large.clone(), b.clone()]] {
        let error = AdamW::new(0.1).step(&loss, &list).unwrap_err().to_string();
        assert!(error.contains("adamw") && error.contains("used twice"), "{error}");
        let error = Sgd::new(0.1).step(&loss, &list).unwrap_err().to_string();
        assert!(error.contains("sgd") && error.contains("is listed twice"), "{error}");
    }
    assert!(AdamW::new(0.1).step(&loss, &[a, large, b]).is_ok());
}
