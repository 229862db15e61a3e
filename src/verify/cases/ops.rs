//! Single ops with their gradients.

use super::Bench;
use super::trial::Trial;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::reduce::Reduction;
use crate::verify::judge::Results;

/// Runs `record` on every part of a case: a name before `.y`, with its own graph, output and gradients.
///
/// `record` gets the part's `inputs` in their order; the case may lack those that are marked with a `?`.
fn each_part(
    bench: &Bench<'_>,
    results: &mut Results,
    inputs: &[&str],
    record: impl Fn(&str, &[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    for part in bench.case.parts(".y") {
        let mut trial = Trial::new(bench.case, bench.session);
        let wanted = inputs.iter().filter_map(|input| match input.strip_suffix('?') {
            Some(optional) => bench.case.has(&format!("{part}.{optional}")).then_some(optional),
            None => Some(*input),
        });
        let stored: Vec<_> = wanted.collect();
        let tensors = stored.iter().map(|input| trial.input(&format!("{part}.{input}"))).collect::<Result<Vec<_>>>()?;
        let y = record(part, &tensors)?;
        trial.output_with_gradients(part, &y, &stored)?;
        trial.run(results)?;
    }
    Ok(())
}

/// The error for a part whose name tells no function.
fn unknown(case: &str, part: &str) -> Error {
    Error::Graph(format!("case `{case}`: no function is known for the part `{part}`"))
}

/// `op_linear`: y = x·wᵀ + b, with and without b.
pub fn linear(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x", "w", "b?"], |_, inputs| inputs[0].linear(&inputs[1], inputs.get(2)))
}

/// `op_matmul`: batched a·b, a·bᵀ, aᵀ·b.
pub fn matmul(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["a", "b"], |part, inputs| match part {
        "nn" => inputs[0].matmul(&inputs[1]),
        "nt" => inputs[0].matmul_nt(&inputs[1]),
        "tn" => inputs[0].matmul_tn(&inputs[1]),
        _ => Err(unknown("op_matmul", part)),
    })
}

/// `op_pointwise`: gelu, sigmoid, log-sigmoid, relu; also far from zero.
pub fn pointwise(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x"], |part, inputs| match part.trim_end_matches("_far") {
        "gelu" => inputs[0].gelu(),
        "sigmoid" => inputs[0].sigmoid(),
        "logsigmoid" => inputs[0].log_sigmoid(),
        "relu" => inputs[0].relu(),
        _ => Err(unknown("op_pointwise", part)),
    })
}

/// `op_layer_norm`: over the last axis.
pub fn layer_norm(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x", "gamma", "beta"], |part, inputs| {
        inputs[0].layer_norm(&inputs[1], &inputs[2], bench.case.constant(&format!("{part}/eps"))?)
    })
}

/// `op_softmax`: softmax(scale · x) over the last axis, and log-softmax over the axis that the part's name tells.
pub fn softmax(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x"], |part, inputs| match part.strip_prefix("log_axis") {
        Some(axis) => inputs[0].log_softmax(axis.parse().map_err(|_| unknown("op_softmax", part))?),
        None => inputs[0].softmax(bench.case.constant(&format!("{part}/scale"))?),
    })
}

/// `op_pooling`: global maximum, maximum over channels of the sigmoid, range 0..1 of each map.
pub fn pooling(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    for (part, record) in [("global_max", global_max as fn(&Tensor) -> Result<Tensor>), ("channel_max", channel_max)] {
        let mut trial = Trial::new(bench.case, bench.session);
        let x = trial.input(&format!("{part}.x"))?;
        trial.output_with_gradients(part, &record(&x)?, &["x"])?;
        trial.run(results)?;
    }
    let mut trial = Trial::new(bench.case, bench.session);
    let x = trial.input("unit_range.x")?;
    trial.output("unit_range.y", &unit_range(&x)?);
    trial.output("unit_range_relu.y", &unit_range(&x.offset(-1.0)?.relu()?)?);
    trial.run(results)
}

fn global_max(x: &Tensor) -> Result<Tensor> {
    x.reduce(Reduction::Max, 2..4)
}

fn channel_max(x: &Tensor) -> Result<Tensor> {
    x.sigmoid()?.reduce(Reduction::Max, 1..2)
}

fn unit_range(x: &Tensor) -> Result<Tensor> {
    let lowest = x.reduce(Reduction::Min, 2..4)?;
    let above = x.sub(&lowest)?;
    above.div(&above.reduce(Reduction::Max, 2..4)?.offset(1e-5)?)
}
