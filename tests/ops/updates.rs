//! Ops that update states, and random numbers: what the table cannot express.

use tagseg::graph::{DType, Graph};
use tagseg::ops::adamw::{AdamW, adamw};
use tagseg::ops::random::random_uniform;
use tagseg::reference::random::{philox, uniform};
use tagseg::{Result, Session};

use super::noise;

fn sample(seed: u64, count: usize) -> Vec<f32> {
    (0..count).map(|index| noise(seed, index) as f32).collect()
}

fn open() -> Session {
    Session::open("auto").unwrap()
}

/// Runs `script` on the device twice and on the reference; the device must repeat its bits and agree with the latter.
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

/// Protects: every term of the optimiser's step, over steps, on a size that is no multiple of four.
#[test]
fn adamw_agrees_with_reference() {
    for count in [37, 1024] {
        check(1e-6, |mut session| {
            session.set_state("p", &[count], &sample(1, count))?;
            session.set_state("m", &[count], &vec![0.0; count])?;
            session.set_state("v", &[count], &vec![0.0; count])?;
            let graph = Graph::new();
            let [p, m, v] = ["p", "m", "v"].map(|name| graph.state(name, [count]));
            let (g, hyper) = (graph.input("g", [count], DType::F32), graph.input("hyper", [4], DType::F32));
            adamw(AdamW::default(), &p, &g, &m, &v, &hyper, None)?;
            let mut program = session.compile(&graph, &[])?;
            for t in 1..=4 {
                let mut gradient = sample(t + 1, count);
                gradient[0] = 0.0;
                gradient[1] *= 1e-6;
                program.write(&g, &gradient)?;
                program.write(&hyper, &AdamW::default().hyper(0.01, 0.1, t))?;
                program.run()?;
            }
            ["p", "m", "v"].iter().map(|name| Ok(session.state(name)?.1)).collect()
        });
    }
}

/// Protects: without a gradient the optimiser only decays, and by the exact factor.
#[test]
fn adamw_decays_without_gradient() {
    let mut session = open();
    for (name, value) in [("p", 2.0), ("m", 0.0), ("v", 0.0)] {
        session.set_state(name, &[5], &[value; 5]).unwrap();
    }
    let graph = Graph::new();
    let [p, m, v] = ["p", "m", "v"].map(|name| graph.state(name, [5]));
    let hyper = graph.input("hyper", [4], DType::F32);
    adamw(AdamW::default(), &p, &graph.full(0.0, [5]).unwrap(), &m, &v, &hyper, None).unwrap();
    let mut program = session.compile(&graph, &[]).unwrap();
    program.write(&hyper, &AdamW::default().hyper(0.5, 0.25, 1)).unwrap();
    program.run().unwrap();
    assert_eq!(session.state("p").unwrap().1, [1.75; 5]);
    assert_eq!(session.state("v").unwrap().1, [0.0; 5]);
}

/// Protects: states are overwritten by values computed from themselves, and read as they are at that point.
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

/// Protects: only states are updated, and none is read by the very op that updates it.
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

/// Protects: the device draws the very numbers that the host draws, for any seed, step, stream and size.
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

/// Protects: numbers are uniform, and unrelated between neighbours, streams, steps and seeds.
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

/// Protects: infinities and NaN are found by their bits, wherever they stand, and nothing else sets a flag.
#[test]
fn nonfinite_values_set_their_flag() {
    for (poison, at) in [(f32::NAN, 0), (f32::INFINITY, 36), (f32::NEG_INFINITY, 17), (f32::MAX, 5), (-0.0, 3)] {
        check(0.0, |mut session| {
            session.set_state("flags", &[3], &[0.0; 3])?;
            let graph = Graph::new();
            let x = graph.input("x", [37], DType::F32);
            let flags = graph.state("flags", [3]);
            flags.flag_nonfinite(&x, 1)?;
            let finite = x.finite()?.sum_all()?;
            let mut program = session.compile(&graph, &[&finite])?;
            let mut values = sample(3, 37);
            program.write(&x, &values)?;
            program.run()?;
            assert_eq!(session.state("flags")?.1, [0.0; 3]);
            values[at] = poison;
            program.write(&x, &values)?;
            program.run()?;
            let flagged = session.state("flags")?.1;
            let expected = if poison.is_finite() { 0.0 } else { 1.0 };
            assert_eq!(flagged, [0.0, expected, 0.0], "{poison} at {at}");
            assert_eq!(program.read(&finite)?, [37.0 - expected]);
            Ok(vec![flagged])
        });
    }
}

/// Protects: a closed gate leaves parameter and moments alone, whatever the gradient holds.
#[test]
fn a_closed_gate_keeps_the_optimiser_still() {
    check(0.0, |mut session| {
        for name in ["p", "m", "v"] {
            session.set_state(name, &[6], &sample(2, 6))?;
        }
        let graph = Graph::new();
        let [p, m, v] = ["p", "m", "v"].map(|name| graph.state(name, [6]));
        let (g, hyper) = (graph.input("g", [6], DType::F32), graph.input("hyper", [4], DType::F32));
        let gate = graph.input("gate", [1], DType::F32);
        adamw(AdamW::default(), &p, &g, &m, &v, &hyper, Some(&gate))?;
        let mut program = session.compile(&graph, &[])?;
        program.write(&g, &[f32::NAN; 6])?;
        program.write(&hyper, &AdamW::default().hyper(0.01, 0.1, 1))?;
        program.write(&gate, &[0.0_f32])?;
        program.run()?;
        let kept: Vec<_> = sample(2, 6).into_iter().map(f64::from).collect();
        for name in ["p", "m", "v"] {
            assert_eq!(session.state(name)?.1, kept, "{name}");
        }
        program.write(&g, &sample(4, 6))?;
        program.write(&gate, &[1.0_f32])?;
        program.run()?;
        assert_ne!(session.state("p")?.1, kept);
        Ok(Vec::new())
    });
}
