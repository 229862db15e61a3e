//! Single ops at the sizes of MiT-B1 on a picture of 512 × 512, stage by stage: `benches/rows.json`.
//!
//! cargo bench --bench ops -- [FILTER] [--device D] [--json]
//!
//! Times are device times, from timestamps, the median of several runs. `forward` computes the op, `both` also
//! the gradients of all its real operands. `benches/pytorch/compare.py` compares the same rows with PyTorch.

use tagseg::engine::graph::{DType, Graph, Tensor};
use tagseg::engine::ops::adamw::{Constants, Trained, adamw};
use tagseg::engine::ops::conv2d::Padding;
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::ops::par::Par;
use tagseg::run::bench::{Peak, median_time};
use tagseg::run::report::Table;
use tagseg::{Result, Session};

/// One row of the table; the meaning of the sizes depends on the op, see [`record`].
#[derive(serde::Deserialize)]
struct Row {
    name: String,
    op: String,
    size: Vec<usize>,
}

/// A recorded op.
struct Recorded {
    graph: Graph,
    output: Tensor,
    /// Real operands, filled with noise and differentiated.
    real: Vec<Tensor>,
    /// Other operands with their values.
    given: Vec<(Tensor, Vec<f32>)>,
    /// Multiplications and additions of a forward pass, if they are most of the work.
    operations: usize,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
}

fn run() -> Result<()> {
    let (mut filter, mut device, mut json) = (String::new(), "auto".to_owned(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo passes this flag to every bench.
            "--bench" => {}
            "--json" => json = true,
            "--device" => device = arguments.next().unwrap_or(device),
            _ => filter = argument,
        }
    }
    let rows: Vec<Row> = serde_json::from_str(include_str!("rows.json"))
        .map_err(|error| tagseg::Error::data("benches/rows.json", error.to_string(), "fix the file"))?;
    let mut session = tagseg::run::device::open(device.as_str())?;
    let mut measured = Vec::new();
    for row in rows.iter().filter(|row| row.name.contains(&filter)) {
        let [forward, both] = measure(&mut session, row)?;
        measured.push((row, forward, both));
    }
    if json {
        let rows = measured
            .iter()
            .map(|(row, forward, both)| serde_json::json!({ "name": row.name, "forward": forward, "both": both }));
        println!("{}", serde_json::json!({ "device": session.name(), "rows": rows.collect::<Vec<_>>() }));
        return Ok(());
    }
    let peak = Peak::measure(&session)?;
    let mut table = Table::new(["op", "size", "forward ms", "both ms", "GFLOP/s", "% of peak"]);
    for (row, forward, both) in measured {
        let operations = record(row)?.operations as f64;
        let rate = |text: String| if operations > 0.0 { text } else { "–".to_owned() };
        table.row([
            row.name.clone(),
            row.size.iter().map(usize::to_string).collect::<Vec<_>>().join(" "),
            format!("{:.3}", 1e3 * forward),
            if both > 0.0 { format!("{:.3}", 1e3 * both) } else { "–".into() },
            rate(format!("{:.2}", 1e-9 * operations / forward)),
            rate(format!("{:.0} %", 100.0 * operations / forward / peak.operations)),
        ]);
    }
    let (operations, bytes) = (1e-9 * peak.operations, 1e-9 * peak.bytes);
    print!("{}: product {operations:.1} GFLOP/s, copy {bytes:.1} GB/s\n\n{table}", session.name());
    Ok(())
}

/// Seconds of the op alone and with its gradients; 0 if it has none.
fn measure(session: &mut Session, row: &Row) -> Result<[f64; 2]> {
    let mut seconds = [0.0; 2];
    for (differentiate, seconds) in [false, true].into_iter().zip(&mut seconds) {
        let recorded = record(row)?;
        let mut outputs = vec![recorded.output.clone()];
        let mut inputs = recorded.real.clone();
        if differentiate {
            if recorded.real.is_empty() {
                break;
            }
            let cotangent = recorded.graph.input("cotangent", recorded.output.shape().clone(), DType::F32);
            let ends = [(recorded.output.clone(), cotangent.clone())];
            outputs.extend(recorded.graph.pull_back(&ends, &recorded.real)?);
            inputs.push(cotangent);
        }
        for name in ["p", "m", "v"] {
            if row.op == "adamw" {
                session.set_state(name, &row.size, &vec![0.0; row.size[0]])?;
            }
        }
        let mut program = session.compile(&recorded.graph, &outputs.iter().collect::<Vec<_>>())?;
        for input in &inputs {
            let noise: Vec<f32> = (0..input.shape().len()).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect();
            program.write(input, &noise)?;
        }
        for (input, values) in &recorded.given {
            program.write(input, values)?;
        }
        *seconds = median_time(&mut program)?;
    }
    Ok(seconds)
}

fn record(row: &Row) -> Result<Recorded> {
    let graph = Graph::new();
    let at = |index: usize| row.size[index];
    let real = |name: &str, shape: &[usize]| graph.input(name, shape, DType::F32);
    let x = |shape: &[usize]| real("x", shape);
    let mut given = Vec::new();
    let (output, real, operations) = match row.op.as_str() {
        "matmul" => {
            let (a, b) = (real("a", &[at(0), at(1)]), real("b", &[at(1), at(2)]));
            (a.matmul(&b)?, vec![a, b], 2 * at(0) * at(1) * at(2))
        }
        "linear" => {
            let (x, w, b) = (x(&[at(0), at(1)]), real("w", &[at(2), at(1)]), real("b", &[at(2)]));
            (x.linear(&w, Some(&b))?, vec![x, w, b], 2 * at(0) * at(1) * at(2))
        }
        "conv" => {
            let (x, w) = (x(&row.size[..4]), real("w", &[at(4), at(3), at(5), at(5)]));
            let b = real("b", &[at(4)]);
            let y = x.conv2d(&w, Some(&b), at(6), at(7))?;
            let operations = 2 * y.shape().len() * at(3) * at(5) * at(5);
            (y, vec![x, w, b], operations)
        }
        "depthwise" => {
            // Batch, height, width, channels, kernel, stride, dilation; padded as TensorFlow's SAME.
            let (x, kernel, stride, dilation) = (x(&row.size[..4]), at(4), at(5), at(6));
            let (w, b) = (real("w", &[at(3), 1, kernel, kernel]), real("b", &[at(3)]));
            let padding = Padding::same([at(1), at(2)], kernel, stride, dilation);
            let y = x.depthwise_conv2d(&w, &b, stride, dilation, padding)?;
            let operations = 2 * kernel * kernel * y.shape().len();
            (y, vec![x, w, b], operations)
        }
        "attention" => {
            let (q, k) = (real("q", &[at(0), at(1), at(3)]), real("k", &[at(0), at(2), at(3)]));
            let v = real("v", &[at(0), at(2), at(3)]);
            let scale = ((at(3) / at(4)) as f64).powf(-0.5);
            let y = q.attention_scores(&k, at(4))?.softmax_scaled(scale)?.attention_values(&v)?;
            (y, vec![q, k, v], 4 * at(0) * at(1) * at(2) * at(3))
        }
        "softmax" => {
            let x = x(&row.size);
            (x.softmax(-1)?, vec![x], 0)
        }
        "layer_norm" => {
            let (x, gamma, beta) = (x(&row.size), real("gamma", &[at(1)]), real("beta", &[at(1)]));
            (x.layer_norm(&gamma, &beta, 1e-6)?, vec![x, gamma, beta], 0)
        }
        "gelu" => {
            let x = x(&row.size);
            (x.gelu()?, vec![x], 0)
        }
        "resize" => {
            let x = x(&row.size[..4]);
            (x.resize_channels_last([at(4), at(5)], false)?, vec![x], 0)
        }
        "margin" => {
            let logits = x(&row.size);
            let label = graph.input("label", [at(0), at(2), at(3)], DType::I32);
            let values = (0..label.shape().len()).map(|i| (i / 64 % at(1)) as f32).collect();
            given.push((label.clone(), values));
            (logits.margin_map(&label, 0)?, vec![logits], 0)
        }
        "par" => {
            let (batch, height, width, valid) = (at(0), at(1), at(2), at(3));
            let slots = valid.next_multiple_of(4);
            let picture = real("picture", &[batch, height, width, 3]);
            let masks = real("masks", &[batch, height, width, slots]);
            let extent = graph.input("extent", [batch, 2], DType::I32);
            let classes = graph.input("classes", [batch, slots], DType::I32);
            let noise = |n: usize| (0..n).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect::<Vec<_>>();
            given.push((picture.clone(), noise(picture.shape().len())));
            given.push((masks.clone(), noise(masks.shape().len())));
            given.push((extent.clone(), [height as f32, width as f32].repeat(batch)));
            let slot = |slot: usize| if slot < valid { slot as f32 } else { -1.0 };
            given.push((classes.clone(), (0..slots).map(slot).collect::<Vec<_>>().repeat(batch)));
            let par = Par::default();
            let weights = picture.par_weights(&extent, &par)?;
            let step = |masks: Tensor, _| masks.par_step(&weights, &extent, &classes, &par.dilations);
            ((0..at(4)).try_fold(masks, step)?, vec![], 0)
        }
        "adamw" => {
            let [p, m, v] = ["p", "m", "v"].map(|name| graph.state(name, &row.size[..]));
            let (g, hyper) = (real("g", &row.size), real("hyper", &[1, 4]));
            given.push((g.clone(), vec![1e-3; at(0)]));
            given.push((hyper.clone(), Constants::default().hyper(1e-3, 1e-2, 1).map(|value| value as f32).to_vec()));
            let trained = Trained { param: p.clone(), m, v, group: 0 };
            adamw(Constants::default(), &[trained], &Packed::new(&[g])?, &hyper, None)?;
            (p, vec![], 0)
        }
        other => {
            let reason = format!("unknown op `{other}`");
            return Err(tagseg::Error::data("benches/rows.json", reason, "use one of the names in benches/ops.rs"));
        }
    };
    Ok(Recorded { graph, output, real, given, operations })
}
