//! The whole network: every stage, the heads, the gradients of all parameters, the total loss.

use std::sync::Arc;

use super::bench::Bench;
use super::blocks::map_of;
use super::trial::Trial;
use crate::config::LossKind;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Mode, Parameter};
use crate::error::{Error, Result};
use crate::parts::encoders::mit::{Mit, MitSizes};
use crate::parts::losses;
use crate::parts::network::{Network, NetworkConfig, NetworkOptions, Outputs};
use crate::run::verify::golden::{GoldenCase, Stored, StoredValues};
use crate::run::verify::judge::Results;
use crate::run::verify::recipe;

/// Training form without dropout, which no two implementations share.
pub(super) const TRAIN: Mode = Mode::Train { random: None, part: None };

/// Sizes of a network as the cases store them: those of a MiT, and of what reads its features.
#[derive(serde::Deserialize)]
struct StoredSizes {
    #[serde(flatten)]
    encoder: MitSizes,
    embed: usize,
    classes: usize,
    drop_seg: f64,
}

/// The sizes of the case's network.
pub(super) fn sizes(case: &GoldenCase) -> Result<NetworkConfig> {
    let StoredSizes { encoder, embed, classes, drop_seg } = case.constant("config")?;
    let encoder = Arc::new(Mit { name: case.name().to_owned(), sizes: encoder });
    Ok(NetworkConfig { encoder, embed, classes, drop_seg })
}

/// Records the case's network and gives its parameters and statistics their stored values.
pub(super) fn network(bench: &Bench<'_>, trial: &mut Trial<'_>) -> Result<Network> {
    let config = sizes(bench.case)?;
    let options = NetworkOptions { features: bench.precision.features(), ..NetworkOptions::default() };
    let network = Network::new(&trial.graph, &config, options)?;
    for parameter in network.parameters() {
        let values = weight(bench, &parameter)?;
        trial.session.set_state(&parameter.name, &parameter.shape, &values)?;
    }
    Ok(network)
}

/// The value of a parameter: stored in the file that the case names, else made by the recipe, which gives the same.
pub(super) fn weight(bench: &Bench<'_>, parameter: &Parameter) -> Result<Vec<f32>> {
    let file: String = bench.case.constant("weights")?;
    match bench.set.stored_in(&file) {
        Ok(stored) => Ok(stored.reals(&parameter.name)?.to_vec()),
        Err(_) => Ok(recipe::weight(&parameter.name, bench.case.constant("weight_seed")?, &parameter.shape)),
    }
}

/// What a forward pass gives, under the names of the cases.
fn named(outputs: &Outputs) -> Result<Vec<(String, Tensor)>> {
    let features = &outputs.features;
    let mut named = Vec::new();
    for (number, level) in (1..).zip(&features.levels) {
        named.push((format!("x{number}"), map_of(level)?));
    }
    for (name, scores) in ["logits_a", "logits_b"].into_iter().zip(&features.scores) {
        named.push((name.to_owned(), scores.raw()?));
    }
    let others = [
        ("cam_small", &outputs.cam_small),
        ("seg_small", &outputs.seg_small),
        ("cls", &outputs.cls),
        ("seg", &outputs.seg),
        ("attn_pred", affinity(outputs)?),
        ("cam", &outputs.cam),
    ];
    named.extend(others.into_iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())));
    Ok(named)
}

/// The affinity of a network that predicts one.
fn affinity(outputs: &Outputs) -> Result<&Tensor> {
    outputs.affinity.as_ref().ok_or_else(|| Error::Graph("the case's network predicts no affinity".into()))
}

/// Runs the evaluation form on the input `x` and hands over what is stored under `prefix`.
fn evaluate(bench: &Bench<'_>, trial: &mut Trial<'_>, x: &str, prefix: &str, results: &mut Results) -> Result<()> {
    let network = network(bench, trial)?;
    let image = trial.input(x)?;
    for (name, tensor) in named(&network.forward(&image, &Mode::Eval)?)? {
        let name = format!("{prefix}{name}");
        if bench.case.has(&name) {
            trial.output(name, &tensor);
        }
    }
    trial.run(results)?;
    Ok(())
}

/// `nano_forward`, `nano2_forward`: every stage in evaluation form; where cotangents are stored, also the gradients of
/// all parameters: in training form where its results are stored too, else in evaluation form.
pub fn forward(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let pictures = bench.case.parts("x").into_iter().filter(|part| part.is_empty() || part.ends_with('.'));
    for part in pictures {
        let x = format!("{part}x");
        evaluate(bench, &mut Trial::new(bench.case, bench.session), &x, &format!("{part}eval."), results)?;
        if !bench.case.has(&format!("cot.{part}cls")) {
            continue;
        }
        let mut trial = Trial::new(bench.case, bench.session);
        let network = network(bench, &mut trial)?;
        let trains = bench.case.has(&format!("{part}train.seg_small"));
        let outputs = network.forward(&trial.input(&x)?, if trains { &TRAIN } else { &Mode::Eval })?;
        if trains {
            trial.output(format!("{part}train.seg_small"), &outputs.seg_small);
        }
        let with_cotangent = |(name, _): &(String, Tensor)| bench.case.has(&format!("cot.{part}{name}"));
        let outputs = named(&outputs)?.into_iter().filter(with_cotangent);
        let outputs: Vec<_> = outputs.map(|(name, tensor)| (format!("{part}{name}"), tensor)).collect();
        let sources: Vec<_> = trained(&trial, &network, &format!("{part}grad."));
        trial.gradients(&outputs, &sources)?;
        trial.run(results)?;
        statistics(bench, &trial, &format!("{part}train."), results)?;
    }
    Ok(())
}

/// The trained parameters of a network with `prefix` before their names.
fn trained(trial: &Trial<'_>, network: &Network, prefix: &str) -> Vec<(String, Tensor)> {
    let parameters = network.parameters().into_iter().filter(|parameter| parameter.trained);
    parameters
        .map(|Parameter { name, shape, .. }| (format!("{prefix}{name}"), trial.graph.state(&name, shape)))
        .collect()
}

/// Hands over the running statistics of the decoder where they are stored.
pub(super) fn statistics(bench: &Bench<'_>, trial: &Trial<'_>, prefix: &str, results: &mut Results) -> Result<()> {
    for statistic in ["running_mean", "running_var"] {
        let name = format!("{prefix}{statistic}_after");
        if bench.case.has(&name) {
            trial.collect_state(&format!("decoder.linear_fuse.bn.{statistic}"), &name, results)?;
        }
    }
    Ok(())
}

/// `nano_eps_probe`: the evaluation form with a residual stream so small that the epsilons of the norms show.
pub fn eps_probe(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let mut trial = Trial::new(bench.case, bench.session);
    let divided: Vec<String> = bench.case.constant("divided_by_1024")?;
    let network = network(bench, &mut trial)?;
    for parameter in network.parameters().iter().filter(|parameter| divided.contains(&parameter.name)) {
        let values: Vec<_> = weight(bench, parameter)?.into_iter().map(|value| value / 1024.0).collect();
        trial.session.set_state(&parameter.name, &parameter.shape, &values)?;
    }
    let image = trial.input("x")?;
    for (name, tensor) in named(&network.forward(&image, &Mode::Eval)?)? {
        if bench.case.has(&name) {
            trial.output(name, &tensor);
        }
    }
    trial.run(results)?;
    Ok(())
}

/// `nano_total_loss`: all four losses with given labels, their weighted sum, and its gradients.
pub fn total_loss(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let mut trial = Trial::new(case, bench.session);
    let network = network(bench, &mut trial)?;
    let image = trial.input("x")?;
    let [batch, ..]: [usize; 4] = image.extents()?;
    let outputs = network.forward(&image, &TRAIN)?;
    let mut label = |name: &str| trial.input(name)?.to_real();
    let cls = losses::classification_loss(&outputs.cls, &label("cls_label")?)?;
    let (c2s, _) = losses::c2s_loss(&outputs.seg_small, &label("y_c")?, LossKind::Bce, batch)?;
    let (s2c, _) = losses::s2c_loss(&outputs.cam_small, &label("y_s")?, 1, LossKind::Ce, batch)?;
    let aff = losses::affinity_loss(affinity(&outputs)?, &label("aff_label")?, batch)?;
    let mut total = cls.clone();
    for (loss, weight) in [(&c2s, "lambda_1"), (&s2c, "lambda_2"), (&aff, "lambda_3")] {
        total = total.add(&loss.scale(case.constant(weight)?)?)?;
    }
    for (name, loss) in [("cls", &cls), ("c2s", &c2s), ("s2c", &s2c), ("aff", &aff), ("total", &total)] {
        trial.output(format!("loss.{name}"), loss);
    }
    let (names, parameters): (Vec<_>, Vec<_>) = trained(&trial, &network, "grad.").into_iter().unzip();
    for (name, gradient) in names.into_iter().zip(trial.graph.gradients(&total, &parameters)?) {
        trial.output(name, &gradient);
    }
    trial.run(results)?;
    Ok(())
}

/// `mit_b1_forward`: a published size at full width, with weights and cotangents from the recipe; of every gradient its
/// norm and a few elements.
pub fn mit_b1(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    evaluate(bench, &mut Trial::new(case, bench.session), "x", "eval.", results)?;

    let mut trial = Trial::new(case, bench.session);
    let network = network(bench, &mut trial)?;
    let outputs = network.forward(&trial.input("x")?, &TRAIN)?;
    trial.output("train.seg_small", &outputs.seg_small);
    let (mut pairs, mut objective) = (Vec::new(), trial.graph.scalar(0.0));
    for (name, output) in named(&outputs)? {
        if !["cls", "seg", "attn_pred", "cam"].contains(&&name[..]) {
            continue;
        }
        let cotangent = cotangent(&mut trial, &format!("b1/cot.{name}"), &output);
        objective = objective.add(&output.mul(&cotangent)?.sum_all()?)?;
        pairs.push((output, cotangent));
    }
    trial.output("train.objective", &objective);
    gradients_in_brief(bench, &mut trial, &pairs, results)
}

/// Runs a recording and hands over, besides its outputs, the gradients of Σ output · cotangent over `pairs` with respect
/// to all parameters in the case's order: of each its norm and a few elements.
pub(super) fn gradients_in_brief(
    bench: &Bench<'_>,
    trial: &mut Trial<'_>,
    pairs: &[(Tensor, Tensor)],
    results: &mut Results,
) -> Result<()> {
    let case = bench.case;
    let order: Vec<String> = case.constant("parameter_order")?;
    let shapes: Vec<Vec<usize>> = case.constant("parameter_shapes")?;
    let parameters: Vec<_> =
        order.iter().zip(&shapes).map(|(name, shape)| trial.graph.state(name, &shape[..])).collect();
    let gradients = trial.graph.pull_back(pairs, &parameters)?;
    gradients.iter().for_each(|gradient| trial.observe(gradient));
    let program = trial.run(results)?;

    let (mut norms, mut samples, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let [_, sampled] = case.extents("grad_sample_index")?;
    let indices = case.integers("grad_sample_index")?.chunks(sampled);
    for ((gradient, indices), name) in gradients.iter().zip(indices).zip(&order) {
        let values = program.read(gradient)?;
        norms.push(norm(&values));
        samples.extend(indices.iter().map(|&index| values[index as usize % values.len()]));
        weights.push(norm(&trial.session.state(name)?.1));
    }
    results.set("grad_norms", &[norms.len()], norms);
    results.set("grad_samples", &[order.len(), sampled], samples);
    if case.has("weight_norms") {
        results.set("weight_norms", &[weights.len()], weights);
    }
    Ok(())
}

/// The cotangent of an output that the recipe makes by its name.
pub(super) fn cotangent(trial: &mut Trial<'_>, name: &str, output: &Tensor) -> Tensor {
    let values = recipe::uniform(name, trial.case.spec.seed, 0.0, 1.0, output.shape().len());
    trial.given(name, Stored { shape: output.shape().to_vec(), values: StoredValues::F32(values) })
}

/// √Σ x²
pub(super) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}
