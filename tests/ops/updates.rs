//! Ops that update states, and random numbers: what the table cannot express.

use tagseg::engine::graph::{DType, Graph, Storage, Tensor};
use tagseg::engine::ops::adamw::{Constants, Trained, adamw};
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::ops::random::random_uniform;
use tagseg::engine::reference::random::{philox, uniform};
use tagseg::{Result, Session};

use super::noise;

pub fn sample(seed: u64, count: usize) -> Vec<f32> {
    (0..count).map(|index| noise(seed, index) as f32).collect()
}

pub fn open() -> Session {
    tagseg::run::device::open("auto").unwrap()
}

/// Runs `script` on the device twice and on the reference; the device must be bit-identical to itself and agree with
/// the latter.
fn check(tolerance: f64, script: impl Fn(Session) -> Result<Vec<Vec<f64>>>) {
    let device = open();
    let got = script(device.fresh()).unwrap();
    assert!(got == script(device).unwrap(), "two runs differ");
    let want = script(Session::open("reference").unwrap()).unwrap();
    for (slot, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_eq!(got.len(), want.len());
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            let error = (got - want).abs();
            assert!(error <= tolerance * (1.0 + want.abs()), "value {slot}[{index}] is {got}, not {want}");
        }
    }
}

/// Parameters `p0`, `p1`, … of these sizes and their moments, with values in `session`; every other one is of group 1.
fn trained(session: &mut Session, graph: &Graph, sizes: &[usize]) -> Vec<Trained> {
    let mut trained = Vec::new();
    for (index, &count) in sizes.iter().enumerate() {
        let names = ["p", "m", "v"].map(|kind| format!("{kind}{index}"));
        session.set_state(&names[0], &[count], &sample(index as u64 + 1, count)).unwrap();
        names[1..].iter().for_each(|name| session.set_state(name, &[count], &vec![0.0; count]).unwrap());
        let [param, m, v] = names.map(|name| graph.state(&name, [count]));
        trained.push(Trained { param, m, v, group: index % 2 });
    }
    trained
}

/// The values of all states whose name begins with a letter.
fn states(session: &Session, kind: char) -> Result<Vec<Vec<f64>>> {
    let names = session.state_names().into_iter().filter(|name| name.starts_with(kind));
    names.map(|name| Ok(session.state(&name)?.1)).collect()
}

/// Protects: every term of the optimiser's step, over steps, for one parameter and for many, of sizes that are not a
/// multiple of four, smaller and larger than a workgroup; each uses its own group.
#[test]
fn adamw_agrees_with_reference() {
    for sizes in [&[37][..], &[1024], &[37, 1, 256, 1025, 3, 512, 777]] {
        check(1e-6, |mut session| {
            let graph = Graph::new();
            let trained = trained(&mut session, &graph, sizes);
            let given = |(index, &count): (usize, &usize)| graph.input(&format!("g{index}"), [count], DType::F32);
            let gradients: Vec<_> = sizes.iter().enumerate().map(given).collect();
            let hyper = graph.input("hyper", [2, 4], DType::F32);
            adamw(Constants::default(), &trained, &Packed::new(&gradients)?, &hyper, None)?;
            let mut program = session.compile(&graph, &[])?;
            for t in 1..=4 {
                for gradient in &gradients {
                    let mut values = sample(t + 1, gradient.shape().len());
                    values[0] = 0.0;
                    values.iter_mut().skip(1).take(1).for_each(|value| *value *= 1e-6);
                    program.write(gradient, &values)?;
                }
                let rule = Constants::default();
                program.write(&hyper, &[rule.hyper(0.01, 0.1, t), rule.hyper(0.003, 0.0, t)].concat())?;
                program.run()?;
            }
            Ok([states(&session, 'p')?, states(&session, 'm')?, states(&session, 'v')?].concat())
        });
    }
}

/// Protects: without a gradient the optimiser only decays, and by the exact factor.
#[test]
fn adamw_decays_without_gradient() {
    let mut session = open();
    let graph = Graph::new();
    let trained = trained(&mut session, &graph, &[5, 7]);
    session.set_state("p0", &[5], &[2.0; 5]).unwrap();
    let zeros = [5, 7].map(|count| graph.full(0.0, [count]).unwrap());
    let hyper = graph.input("hyper", [2, 4], DType::F32);
    adamw(Constants::default(), &trained, &Packed::new(&zeros).unwrap(), &hyper, None).unwrap();
    let mut program = session.compile(&graph, &[]).unwrap();
    program.write(&hyper, &Constants::default().hyper(0.5, 0.25, 1).repeat(2)).unwrap();
    program.run().unwrap();
    assert_eq!(session.state("p0").unwrap().1, [1.75; 5]);
    assert_eq!(session.state("v0").unwrap().1, [0.0; 5]);
}

/// Protects: an update of many parameters is one dispatch, their gradients are computed in place, and only
/// those are copied that cannot: values that occur twice, that no kernel computes, or that are read by the kernel of
/// another. The values are those of the reference in any case.
#[test]
fn gradients_are_computed_in_place() {
    check(1e-6, |mut session| {
        let graph = Graph::new();
        let sizes = [64, 300, 300, 64, 64, 64];
        let trained = trained(&mut session, &graph, &sizes);
        let (a, b) = (graph.input("a", [64], DType::F32), graph.input("b", [300], DType::F32));
        let made = [a.exp()?, b.sigmoid()?, b.relu()?];
        // A product, which is never fused, reads the first.
        let product = made[0].reshape([1, 64])?.matmul(&graph.full(0.5, [64, 64])?)?.reshape([64])?;
        let [first, second, third] = made;
        let gradients = [first, second.clone(), third, product, a.clone(), a.clone()];
        let packed = Packed::new(&gradients)?;
        let flags = graph.state("flags", [6]);
        session.set_state("flags", &[6], &[0.0; 6])?;
        flags.flag_nonfinite(&packed)?;
        let hyper = graph.input("hyper", [2, 4], DType::F32);
        adamw(Constants::default(), &trained, &packed, &hyper, None)?;
        let mut program = session.compile(&graph, &[&second])?;
        if let Some(plan) = program.plan() {
            let count = |name: &str| {
                plan.steps.iter().filter(|step| step.name == name).map(|step| step.launches.list.len()).sum::<usize>()
            };
            assert_eq!([count("pack"), count("flag_nonfinite"), count("adamw")], [3, 1, 1]);
        }
        program.write(&hyper, &Constants::default().hyper(0.01, 0.1, 1).repeat(2))?;
        for step in 0..3 {
            program.write(&a, &sample(20 + step, 64))?;
            program.write(&b, &sample(30 + step, 300))?;
            program.run()?;
        }
        assert_eq!(states(&session, 'f')?, [[0.0; 6]]);
        Ok([states(&session, 'p')?, states(&session, 'v')?, vec![program.read(&second)?]].concat())
    });
}

/// Protects: states that are moved into one buffer keep their values, and every program finds them there, whichever was
/// prepared first and however others pack them.
#[test]
fn moved_states_are_found() {
    check(1e-6, |mut session| {
        let forward = Graph::new();
        let params = [0, 1, 2].map(|index| forward.state(&format!("p{index}"), [5]));
        let sums = Tensor::concat(&params.each_ref(), 0)?.scale(2.0)?;
        let graphs = [Graph::new(), Graph::new()];
        let trained = trained(&mut session, &graphs[0], &[5, 5, 5]);
        let mut reader = session.compile(&forward, &[&sums])?;
        let mut results = Vec::new();
        reader.run()?;
        results.push(reader.read(&sums)?);
        let mut programs = Vec::new();
        for (graph, order) in graphs.iter().zip([[0, 1, 2], [2, 0, 1]]) {
            let own = order.map(|index: usize| {
                let state = |tensor: &Tensor| graph.state(&tensor.name().unwrap(), [5]);
                let Trained { param, m, v, group } = &trained[index];
                Trained { param: state(param), m: state(m), v: state(v), group: *group }
            });
            let hyper = graph.input("hyper", [2, 4], DType::F32);
            let gradients = own.each_ref().map(|own| own.param.scale(3.0).unwrap());
            adamw(Constants::default(), &own, &Packed::new(&gradients)?, &hyper, None)?;
            let mut program = session.compile(graph, &[])?;
            program.write(&hyper, &Constants::default().hyper(0.01, 0.1, 1).repeat(2))?;
            programs.push(program);
        }
        for round in 0..3 {
            for program in &mut programs {
                program.run()?;
                reader.run()?;
                results.extend([states(&session, 'p')?, states(&session, 'm')?, vec![reader.read(&sums)?]].concat());
            }
            session.set_state("p1", &[5], &sample(40 + round, 5))?;
        }
        Ok(results)
    });
}

/// Protects: a state may take the value of another although both are in one buffer.
#[test]
fn packed_states_are_assigned_to_one_another() {
    check(1e-6, |mut session| {
        let graph = Graph::new();
        let own = trained(&mut session, &graph, &[6, 6]);
        let hyper = graph.input("hyper", [2, 4], DType::F32);
        let gradients = Packed::new(&[own[0].param.scale(2.0)?, own[1].param.exp()?])?;
        adamw(Constants::default(), &own, &gradients, &hyper, None)?;
        own[0].param.assign(&own[1].param)?;
        let mut program = session.compile(&graph, &[])?;
        program.write(&hyper, &Constants::default().hyper(0.01, 0.1, 1).repeat(2))?;
        program.run()?;
        program.run()?;
        let params = states(&session, 'p')?;
        assert_eq!(params[0], params[1]);
        Ok(params)
    });
}

/// Protects: a state can be updated with its own value.
#[test]
fn a_state_can_be_its_own_gradient() {
    check(1e-6, |mut session| {
        let graph = Graph::new();
        let own = trained(&mut session, &graph, &[6]);
        let hyper = graph.input("hyper", [2, 4], DType::F32);
        adamw(Constants::default(), &own, &Packed::new(&[own[0].param.clone()])?, &hyper, None)?;
        let mut program = session.compile(&graph, &[])?;
        program.write(&hyper, &Constants::default().hyper(0.01, 0.1, 1).repeat(2))?;
        program.run()?;
        program.run()?;
        states(&session, 'p')
    });
}

/// Protects: inconsistent operands are an error when recording or preparing, never a wrong update.
#[test]
fn wrong_updates_are_errors() {
    let mut session = open();
    let graph = Graph::new();
    let own = trained(&mut session, &graph, &[6, 6, 6]);
    let hyper = graph.input("hyper", [2, 4], DType::F32);
    let gradients = Packed::new(&own.iter().map(|own| own.param.exp().unwrap()).collect::<Vec<_>>()).unwrap();
    let rule = Constants::default();
    let error =
        |trained: &[Trained], hyper: &Tensor| adamw(rule, trained, &gradients, hyper, None).unwrap_err().to_string();
    let other = |change: fn(&mut Trained)| {
        let mut own = own.clone();
        change(&mut own[1]);
        own
    };
    assert!(error(&other(|own| own.group = 2), &hyper).contains("no group 2"));
    assert!(error(&other(|own| own.m = own.param.exp().unwrap()), &hyper).contains("is not a state"));
    assert!(error(&other(|own| own.v = own.m.clone()), &hyper).contains("used twice"));
    assert!(error(&other(|own| own.v = own.m.reshape([2, 3]).unwrap()), &hyper).contains("the same shape"));
    assert!(error(&own, &graph.input("flat", [4], DType::F32)).contains("four values per group"));
    assert!(error(&[&own[..], &own[..1]].concat(), &hyper).contains("no gradient"));
    assert!(Packed::new(&[graph.input("i", [3], DType::I32)]).is_err());
    assert!(graph.state("flags", [2]).flag_nonfinite(&gradients).is_err());

    adamw(rule, &own[..2], &gradients, &hyper, None).unwrap();
    adamw(rule, &own[1..], &gradients, &hyper, None).unwrap();
    let error = session.compile(&graph, &[]).err().unwrap().to_string();
    assert!(error.contains("some with others"), "{error}");
}

/// Protects: states are overwritten by values computed from themselves, and read with their values at that point.
#[test]
fn assignments_agree_with_reference() {
    check(1e-6, |mut session| {
        session.set_state("running", &[2, 5], &sample(1, 10))?;
        session.set_state("history", &[3, 7], &sample(2, 21))?;
        let graph = Graph::new();
        let (running, history) = (graph.state("running", [2, 5]), graph.state("history", [3, 7]));
        let (batch, values) = (graph.input("batch", [2, 5], DType::F32), graph.input("values", [7], DType::F32));
        let row = graph.input("row", [1], DType::I32);
        let before = running.scale(2.0)?;
        running.assign(&running.scale(0.9)?.add(&batch.scale(0.1)?)?)?;
        let after = running.scale(2.0)?;
        history.write_row(&values, &row)?;
        let mut program = session.compile(&graph, &[&before, &after])?;
        for (step, row_of_step) in [2, 0, 3, -1].into_iter().enumerate() {
            program.write(&batch, &sample(10 + step as u64, 10))?;
            program.write(&values, &sample(20 + step as u64, 7))?;
            program.write(&row, &[row_of_step])?;
            program.run()?;
        }
        Ok(vec![
            session.state("running")?.1,
            session.state("history")?.1,
            program.read(&before)?,
            program.read(&after)?,
        ])
    });
}

/// Protects: only states are updated, and none is read by the op that updates it.
#[test]
fn updates_of_other_values_are_errors() {
    let graph = Graph::new();
    let (state, input) = (graph.state("s", [3]), graph.input("x", [3], DType::F32));
    assert!(input.assign(&state).is_err());
    assert!(input.scale(2.0).unwrap().assign(&state).is_err());
    assert!(state.assign(&state).is_err());
    assert!(state.assign(&graph.input("y", [4], DType::F32)).is_err());
}

/// Protects: the generator is Philox 4x32-10, by its authors' known answers.
#[test]
fn philox_gives_the_known_answers() {
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    let answer = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
    assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), answer);
}

/// Protects: the device draws the same numbers as the host, for any seed, step, stream and size.
#[test]
fn random_numbers_are_the_same_on_host_and_device() {
    let device = open();
    let graph = Graph::new();
    let key = graph.input("key", [3], DType::I32);
    let streams = [13, 1, 4096].map(|count| random_uniform(&key, [count]).unwrap());
    let mut program = device.compile(&graph, &streams.iter().collect::<Vec<_>>()).unwrap();
    for (low, high, step) in [(1, 0, 0), (-7, 123_456_789, 20_000), (i32::MIN, i32::MAX, -1)] {
        program.write(&key, &[low, high, step]).unwrap();
        program.run().unwrap();
        let seed = u64::from(low as u32) | u64::from(high as u32) << 32;
        for (stream, tensor) in (1..).zip(&streams) {
            let want: Vec<_> =
                (0..tensor.shape().len()).map(|index| uniform(seed, step as u32, stream, index)).collect();
            assert!(program.read(tensor).unwrap() == want, "stream {stream}, step {step}");
        }
    }
}

/// Protects: numbers are uniform, and independent between neighbours, streams, steps and seeds.
#[test]
fn random_numbers_are_uniform_and_independent() {
    const COUNT: usize = 1 << 16;
    let draw = |seed, step, stream| -> Vec<f64> { (0..COUNT).map(|i| uniform(seed, step, stream, i)).collect() };
    let centered = |values: &[f64]| -> Vec<f64> { values.iter().map(|value| value - 0.5).collect() };
    // Standard errors of a mean of COUNT values; five of them are one chance in two million.
    let near = |got: f64, want: f64, deviation: f64, what: &str| {
        let limit = 5.0 * deviation / (COUNT as f64).sqrt();
        assert!((got - want).abs() < limit, "{what}: {got}, not {want} ± {limit}");
    };
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / COUNT as f64;

    let base = draw(1, 5, 1);
    assert!(base.iter().all(|value| (0.0..1.0).contains(value)));
    near(mean(&mut base.iter().copied()), 1.0 / 2.0, (1.0_f64 / 12.0).sqrt(), "mean");
    near(mean(&mut base.iter().map(|u| u * u)), 1.0 / 3.0, (4.0_f64 / 45.0).sqrt(), "second moment");
    near(mean(&mut base.iter().map(|u| u.powi(3))), 1.0 / 4.0, (9.0_f64 / 112.0).sqrt(), "third moment");
    // Chi squared over 256 bins has mean 255 and deviation 22.6.
    let mut bins = [0.0; 256];
    base.iter().for_each(|u| bins[(u * 256.0) as usize] += 1.0);
    let expected = COUNT as f64 / 256.0;
    let chi: f64 = bins.iter().map(|bin| (bin - expected).powi(2) / expected).sum();
    assert!((140.0..370.0).contains(&chi), "chi squared {chi}");

    let base = centered(&base);
    for lag in [1, 2, 3, 4, 64] {
        let product = mean(&mut (0..COUNT).map(|i| base[i] * base[(i + lag) % COUNT]));
        near(product, 0.0, 1.0 / 12.0, &format!("correlation at lag {lag}"));
    }
    let others = [
        ("another seed", 2, 5, 1),
        ("another high word", 1 | 1 << 32, 5, 1),
        ("the next step", 1, 6, 1),
        ("the next stream", 1, 5, 2),
        ("step and stream exchanged", 1, 1, 5),
    ];
    for (what, seed, step, stream) in others {
        let other = centered(&draw(seed, step, stream));
        near(mean(&mut base.iter().zip(&other).map(|(a, b)| a * b)), 0.0, 1.0 / 12.0, what);
    }
}

/// Protects: infinities and NaN are found by their bits, at any position, in one tensor or among several, and set only
/// the flag of their tensor.
#[test]
fn nonfinite_values_set_their_flag() {
    for (poison, at) in [(f32::NAN, 0), (f32::INFINITY, 36), (f32::NEG_INFINITY, 17), (f32::MAX, 5), (-0.0, 3)] {
        for many in [false, true] {
            check(0.0, |mut session| {
                let graph = Graph::new();
                let x = graph.input("x", [37], DType::F32);
                let others = [1, 300, 7].map(|count| graph.full(1.0, [count]).unwrap());
                let values = if many { [&others[..], &[x.neg()?], &others[..2]].concat() } else { vec![x.clone()] };
                let (count, own) = (values.len(), if many { 3 } else { 0 });
                session.set_state("flags", &[count], &vec![0.0; count])?;
                let flags = graph.state("flags", [count]);
                flags.flag_nonfinite(&Packed::new(&values)?)?;
                let finite = x.finite()?.sum_all()?;
                let mut program = session.compile(&graph, &[&finite])?;
                let mut values = sample(3, 37);
                program.write(&x, &values)?;
                program.run()?;
                assert_eq!(session.state("flags")?.1, vec![0.0; count]);
                values[at] = poison;
                program.write(&x, &values)?;
                program.run()?;
                let flagged = session.state("flags")?.1;
                let mut expected = vec![0.0; count];
                expected[own] = if poison.is_finite() { 0.0 } else { 1.0 };
                assert_eq!(flagged, expected, "{poison} at {at}");
                assert_eq!(program.read(&finite)?, [37.0 - expected[own]]);
                Ok(vec![flagged])
            });
        }
    }
}

/// Protects: with a closed gate, parameters and moments do not change, whatever the gradients are.
#[test]
fn a_closed_gate_stops_the_optimiser() {
    check(0.0, |mut session| {
        let graph = Graph::new();
        let trained = trained(&mut session, &graph, &[6, 300]);
        let gradients = [6, 300].map(|count| graph.input(&format!("g{count}"), [count], DType::F32));
        let (hyper, gate) = (graph.input("hyper", [2, 4], DType::F32), graph.input("gate", [1], DType::F32));
        adamw(Constants::default(), &trained, &Packed::new(&gradients)?, &hyper, Some(&gate))?;
        let mut program = session.compile(&graph, &[])?;
        let all = |session: &Session| -> Result<Vec<_>> {
            Ok([states(session, 'p')?, states(session, 'm')?, states(session, 'v')?].concat())
        };
        let before = all(&session)?;
        program.write(&gradients[0], &[f32::NAN; 6])?;
        program.write(&gradients[1], &[1.0_f32; 300])?;
        program.write(&hyper, &Constants::default().hyper(0.01, 0.1, 1).repeat(2))?;
        program.write(&gate, &[0.0_f32])?;
        program.run()?;
        assert_eq!(all(&session)?, before);
        program.write(&gradients[0], &sample(4, 6))?;
        program.write(&gate, &[1.0_f32])?;
        program.run()?;
        assert!(all(&session)?.iter().zip(&before).all(|(after, before)| after != before));
        Ok(Vec::new())
    });
}

/// Protects: a view of a state has the value from before an update that follows it, on both backends, for any reader:
/// an op, another view, a fused chain, an output, or a node after a hoisted update.
#[test]
fn views_keep_the_old_values_of_states() {
    check(1e-6, |mut session| {
        session.set_state("w", &[2, 3], &sample(3, 6))?;
        session.set_state("other", &[6], &sample(4, 6))?;
        let graph = Graph::new();
        let (w, other) = (graph.state("w", [2, 3]), graph.state("other", [6]));
        let old = w.detach()?;
        let flat = old.reshape([6])?;
        // Its only reader follows the update, so a fused kernel would read too late.
        let chained = w.reshape([6])?.scale(3.0)?;
        w.assign(&w.scale(2.0)?)?;
        let between = w.reshape([3, 2])?;
        let change = w.sub(&old)?;
        let chained = chained.offset(1.0)?;
        w.assign(&w.offset(1.0)?)?;
        let product = between.matmul(&w)?;
        // Hoisting the label moves an update before readers of the old value.
        let before = other.reshape([2, 3])?;
        let late = before.mul(&w)?.exp()?;
        other.assign(&other.neg()?)?;
        let label = other.scale(5.0)?;
        label.hoist();
        let outputs = [old, flat, chained, between, change, product, late, label, before];
        let mut program = session.compile(&graph, &outputs.each_ref())?;
        for _ in 0..2 {
            program.run()?;
        }
        let mut values = outputs.iter().map(|output| program.read(output)).collect::<Result<Vec<_>>>()?;
        values.extend([session.state("w")?.1, session.state("other")?.1]);
        Ok(values)
    });
}

/// Protects: views are not copied if their state is not updated before they are read.
#[test]
fn views_that_are_read_in_time_are_not_copied() {
    let mut session = open();
    session.set_state("w", &[2, 3], &[1.0; 6]).unwrap();
    let graph = Graph::new();
    let w = graph.state("w", [2, 3]);
    let doubled = w.reshape([3, 2]).unwrap().scale(2.0).unwrap();
    w.assign(&doubled.reshape([2, 3]).unwrap()).unwrap();
    let shown = w.reshape([6]).unwrap().exp().unwrap();
    assert_eq!(session.plan(&graph, &[&shown]).unwrap().unwrap().dispatches(), 3);
}

/// Protects: gradients end at what is recorded without gradient, and only there.
#[test]
fn gradients_end_where_none_is_recorded() {
    check(0.0, |mut session| {
        session.set_state("w", &[3], &[1.0, -2.0, 4.0])?;
        let graph = Graph::new();
        let w = graph.state("w", [3]);
        let constant = graph.without_gradient(|| w.mul(&w))?;
        let objective = constant.mul(&w)?.add(&w.mul(&w)?)?.sum_all()?;
        let gradient = graph.gradients(&objective, std::slice::from_ref(&w))?.remove(0);
        let mut program = session.compile(&graph, &[&gradient])?;
        program.run()?;
        let found = program.read(&gradient)?;
        // w² as a constant, and the 2w of a product with a gradient.
        assert_eq!(found, [3.0, 0.0, 24.0]);
        Ok(vec![found])
    });
}

/// Protects: where features are halves, a weight is rounded to half precision in products without gradient, and in no
/// other; once for all of them, and again after an update.
#[test]
fn weights_are_rounded_in_products_without_gradient() {
    const SIDE: usize = 16;
    const THIRD: f32 = 1.0 / 3.0;
    // The nearest half.
    const ROUNDED: f64 = 0.333_251_953_125;
    for (features, halves) in [(Storage::Half, true), (Storage::Whole, false)] {
        check(0.0, |mut session| {
            session.set_state("w", &[SIDE, SIDE, 1, 1], &[THIRD; SIDE * SIDE])?;
            let graph = Graph::new();
            let x = graph.input("x", [SIDE, SIDE], DType::F32);
            let w = graph.state("w", [SIDE, SIDE, 1, 1]);
            let rows = || w.reshape([SIDE, SIDE]);
            let (first, second, third) = graph.stored(features, || {
                let x = x.scale(1.0)?;
                let first = x.linear(&rows()?, None)?;
                let second = graph.without_gradient(|| x.linear(&rows()?, None)?.add(&x.linear(&rows()?, None)?))?;
                w.assign(&w.scale(2.0)?)?;
                Ok::<_, tagseg::Error>((first, second, graph.without_gradient(|| x.linear(&rows()?, None))?))
            })?;
            let rounded = graph.nodes().iter().filter(|node| node.storage == Storage::HalfWeight).count();
            assert_eq!(rounded, if halves { 2 } else { 0 });
            let outputs = [first, second, third];
            let mut program = session.compile(&graph, &outputs.each_ref())?;
            let unit: Vec<_> = (0..SIDE * SIDE).map(|at| f64::from(u8::from(at % (SIDE + 1) == 0))).collect();
            program.write(&x, &unit)?;
            program.run()?;
            let seen = outputs.iter().map(|output| program.read(output)).collect::<Result<Vec<_>>>()?;
            let in_use = if halves { ROUNDED } else { f64::from(THIRD) };
            for (values, want) in seen.iter().zip([f64::from(THIRD), 2.0 * in_use, 2.0 * in_use]) {
                assert!(values.iter().all(|&value| value == want), "{features:?}: {values:?}, not {want}");
            }
            Ok(seen)
        });
    }
}

/// Protects: a weight that cannot be rounded, of another graph or of integers, is refused as in other products.
#[test]
fn wrong_weights_are_errors_without_gradient() {
    let (graph, other) = (Graph::new(), Graph::new());
    let x = graph.stored(Storage::Half, || graph.input("x", [2, 8], DType::F32).scale(1.0)?.exp()).unwrap();
    let weights = [other.state("w", [4, 8]), graph.input("w", [4, 8], DType::I32)];
    for (weight, reason) in weights.iter().zip(["different graphs", "real"]) {
        let of = weight.graph();
        let record = || of.stored(Storage::Half, || x.linear(weight, None));
        let error = of.without_gradient(record).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

/// Protects: an output that is a view of an input or of a state keeps its value until the next run, whatever is written
/// meanwhile, also of integers that no real number holds.
#[test]
fn outputs_that_are_views_keep_their_values() {
    check(0.0, |mut session| {
        session.set_state("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
        let graph = Graph::new();
        let (x, n) = (graph.input("x", [2, 2], DType::F32), graph.input("n", [2], DType::I32));
        let w = graph.state("w", [2, 2]);
        let outputs = [x.reshape([4])?, w.detach()?.reshape([4])?, n.reshape([1, 2])?, x.reshape([4])?.detach()?];
        let mut program = session.compile(&graph, &outputs.each_ref())?;
        program.write(&x, &[1.0, 2.0, 3.0, 4.0])?;
        program.write(&n, &[f64::from((1 << 24) + 1), -7.0])?;
        program.run()?;
        program.write(&x, &[5.0; 4])?;
        program.write(&n, &[0.0; 2])?;
        session.set_state("w", &[2, 2], &[9.0; 4])?;
        let values = outputs.iter().map(|output| program.read(output)).collect::<Result<Vec<_>>>()?;
        assert_eq!(values[..2], [[1.0, 2.0, 3.0, 4.0]; 2]);
        assert_eq!(values[2], [f64::from((1 << 24) + 1), -7.0]);
        assert_eq!(program.read(&x)?, [5.0; 4]);
        Ok(values)
    });
}

/// Protects: a weight that is rounded for products without gradient is that of the view, also if its state was updated
/// between the two.
#[test]
fn old_views_of_weights_are_rounded_without_gradient() {
    check(1e-6, |mut session| {
        session.set_state("w", &[4, 8], &[0.5; 32])?;
        let graph = Graph::new();
        let x = graph.input("x", [4, 8], DType::F32);
        let w = graph.state("w", [4, 8]);
        let old = w.detach()?;
        w.assign(&w.scale(2.0)?)?;
        let outputs = graph.stored(Storage::Half, || {
            let x = x.scale(1.0)?;
            graph.without_gradient(|| Ok([x.linear(&old, None)?, x.linear(&w, None)?]))
        })?;
        let mut program = session.compile(&graph, &outputs.each_ref())?;
        program.write(&x, &[1.0; 32])?;
        program.run()?;
        let values = outputs.iter().map(|output| program.read(output)).collect::<Result<Vec<_>>>()?;
        assert_eq!(values, [vec![4.0; 16], vec![8.0; 16]]);
        Ok(values)
    });
}
