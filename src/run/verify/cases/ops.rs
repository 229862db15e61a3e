//! Single ops with their gradients.

use super::bench::Bench;
use super::trial::{Trial, channels_first, channels_last};
use crate::config::LossKind;
use crate::engine::graph::Tensor;
use crate::error::{Error, Result};
use crate::parts::{losses, seeds};
use crate::run::verify::judge::Results;

/// Runs `record` on every part of a case: a name before `.y`, with its own graph, output and gradients.
///
/// `record` gets the part's `inputs` in their order; those marked with a `?` are optional.
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

/// The error for a part with an unknown name.
fn unknown(case: &str, part: &str) -> Error {
    Error::Graph(format!("case `{case}`: unknown part `{part}`"))
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

/// `op_softmax`: softmax(scale · x) over the last axis, and log-softmax over the axis in the part's name.
pub fn softmax(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x"], |part, inputs| match part.strip_prefix("log_axis") {
        Some(axis) => inputs[0].log_softmax(axis.parse().map_err(|_| unknown("op_softmax", part))?),
        None => inputs[0].softmax_scaled(bench.case.constant(&format!("{part}/scale"))?),
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
    trial.output("unit_range.y", &seeds::normalise_map(&x)?);
    trial.output("unit_range_relu.y", &seeds::normalise_map(&x.offset(-1.0)?.relu()?)?);
    trial.run(results)?;
    Ok(())
}

fn global_max(x: &Tensor) -> Result<Tensor> {
    x.max_keep(2..4)
}

fn channel_max(x: &Tensor) -> Result<Tensor> {
    x.sigmoid()?.max_keep(1)
}

/// `op_conv2d`: dense and depth-wise convolutions of every size that the network has. Maps are \[B, C, H, W\] in the
/// file and channels-last in the engine.
pub fn conv2d(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x", "w", "b?"], |part, inputs| {
        let size = |name: &str| bench.case.constant::<usize>(&format!("{part}/{name}"));
        let (x, weight, bias) = (channels_last(&inputs[0])?, &inputs[1], inputs.get(2));
        let y = match (size("groups")?, bias) {
            (1, bias) => x.conv2d(weight, bias, size("stride")?, size("padding")?)?,
            (_, Some(bias)) => x.depthwise_conv2d(weight, bias, size("stride")?, 1, size("padding")?)?,
            _ => return Err(unknown("op_conv2d", part)),
        };
        channels_first(&y)
    })
}

/// `op_batch_norm`: training form with the statistics of the batch, evaluation form with the running ones.
pub fn batch_norm(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let (eps, momentum): (f64, f64) = (bench.case.constant("eps")?, bench.case.constant("momentum")?);
    for part in ["train", "eval"] {
        let mut trial = Trial::new(bench.case, bench.session);
        let input = |trial: &mut Trial<'_>, name: &str| trial.input(&format!("{part}.{name}"));
        let x = channels_last(&input(&mut trial, "x")?)?;
        let (gamma, beta) = (input(&mut trial, "gamma")?, input(&mut trial, "beta")?);
        let (mean, variance) = (input(&mut trial, "running_mean")?, input(&mut trial, "running_var")?);
        let [channels] = gamma.extents()?;
        let rows = [mean.reshape([1, channels])?, variance.reshape([1, channels])?];
        let running = Tensor::concat(&[&rows[0], &rows[1]], 0)?;
        let statistics = if part == "train" {
            let statistics = x.batch_statistics()?;
            // The running variance is updated with the unbiased one.
            let count = (x.shape().len() / channels) as f64;
            let gains = trial.graph.constant(&[momentum, momentum * count / (count - 1.0)], [2, 1]);
            let moved = running.scale(1.0 - momentum)?.add(&statistics.mul(&gains)?)?;
            trial.output("train.running_mean_after", &moved.slice(0, 0..1)?.reshape([channels])?);
            trial.output("train.running_var_after", &moved.slice(0, 1..2)?.reshape([channels])?);
            statistics
        } else {
            running
        };
        let y = channels_first(&x.batch_norm(&statistics, &gamma, &beta, eps)?)?;
        trial.output_with_gradients(part, &y, &["x", "gamma", "beta"])?;
        trial.run(results)?;
    }
    Ok(())
}

/// `op_bilinear`: resampling by size with both conventions, and by factor.
pub fn bilinear(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    each_part(bench, results, &["x"], |part, inputs| {
        match bench.case.constant::<Option<f64>>(&format!("{part}/scale_factor"))? {
            Some(factor) => inputs[0].resize_by_factor(factor),
            None => inputs[0].resize(
                bench.case.constant(&format!("{part}/size"))?,
                bench.case.constant(&format!("{part}/align_corners"))?,
            ),
        }
    })
}

/// `op_losses`: the four losses of the method and the plain cross-entropy, normalised over the whole batch.
pub fn losses(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    for part in bench.case.parts(".loss") {
        let mut trial = Trial::new(bench.case, bench.session);
        let x = trial.input(&format!("{part}.x"))?;
        let target = trial.input(&format!("{part}.{}", if part == "margin" { "target" } else { "label" }))?;
        let label = target.to_real()?;
        // All images are one group.
        let batch = x.shape().first().copied().unwrap_or_default();
        let loss = match part {
            "margin" => losses::classification_loss(&x, &target)?,
            "c2s" => losses::c2s_loss(&x, &label, LossKind::Bce, batch)?.0,
            "s2c" => losses::s2c_loss(&x, &label, 1, LossKind::Ce, batch)?.0,
            "aff" => losses::affinity_loss(&x, &label, batch)?,
            "ce" => {
                let labelled = trial.graph.scalar(255.0).greater(&label)?.sum_all()?;
                x.cross_entropy_map(&target, 0)?.sum_all()?.div(&labelled)?
            }
            _ => return Err(unknown("op_losses", part)),
        };
        trial.output(format!("{part}.loss"), &loss);
        let gradient = &trial.graph.gradients(&loss, &[x])?[0];
        trial.output(format!("grad.{part}.x"), gradient);
        trial.run(results)?;
    }
    Ok(())
}
