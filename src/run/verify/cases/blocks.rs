//! Blocks of the network with their gradients, each with its parameters under the names of the checkpoints.

use super::bench::Bench;
use super::trial::{Trial, channels_first, channels_last};
use crate::engine::graph::Tensor;
use crate::engine::nn::{Attention, Block, Grid, MixFfn, Mode, Scope, Scores};
use crate::error::{Error, Result};
use crate::parts::decoder::{Decoder, DecoderSizes};
use crate::parts::encoders::mit::PatchEmbed;
use crate::parts::encoders::{Features, Level};
use crate::parts::network;
use crate::run::verify::golden::GoldenCase;
use crate::run::verify::judge::Results;

/// Separates the part from the names of its parameters: `sr4.w.encoder.block1.0.attn.q.weight`.
const WEIGHTS: &str = ".w.";

/// A part of a block's case: its graph, its input, and its parameters as states.
struct Part<'a> {
    name: &'a str,
    trial: Trial<'a>,
    parameters: Vec<(String, Tensor)>,
}

impl<'a> Part<'a> {
    /// Makes the part's parameters states of the graph.
    fn new(bench: &Bench<'a>, name: &'a str) -> Result<Self> {
        let mut trial = Trial::new(bench.case, bench.session);
        let prefix = format!("{name}{WEIGHTS}");
        let mut parameters = Vec::new();
        for stored in bench.case.names().filter(|stored| stored.starts_with(&prefix)) {
            parameters.push((format!("grad.{stored}"), trial.state(&stored[prefix.len()..], stored)?));
        }
        Ok(Part { name, trial, parameters })
    }

    /// The place in the tree of names above the parameter that ends in `leaf`, as in `encoder.block1.0.attn`.
    fn scope(&self, leaf: &str) -> Result<Scope> {
        let prefix = format!("grad.{}{WEIGHTS}", self.name);
        let path = self.parameters.iter().find_map(|(name, _)| name.strip_prefix(&prefix)?.strip_suffix(leaf));
        Ok(Scope::root(&self.trial.graph).at(path.ok_or_else(|| self.lacks(leaf))?))
    }

    /// The first parameter whose name ends in `leaf`.
    fn parameter(&self, leaf: &str) -> Result<&Tensor> {
        let found = self.parameters.iter().find(|(name, _)| name.ends_with(leaf));
        found.map(|(_, parameter)| parameter).ok_or_else(|| self.lacks(leaf))
    }

    fn lacks(&self, leaf: &str) -> Error {
        Error::Graph(format!("part `{}` has no parameter that ends in `{leaf}`", self.name))
    }

    /// The constant `name` of this part.
    fn size(&self, name: &str) -> Result<usize> {
        self.trial.case.constant(&format!("{}/{name}", self.name))
    }

    fn grid(&self) -> Result<Grid> {
        Ok(Grid { height: self.size("height")?, width: self.size("width")? })
    }

    /// The stored tensor `name` of this part as an input.
    fn input(&mut self, name: &str) -> Result<Tensor> {
        self.trial.input(&format!("{}.{name}", self.name))
    }

    /// Makes the results `outputs`, and the gradients of all parameters and of `inputs` under the cotangents of the
    /// outputs; runs and records the results.
    fn finish(mut self, outputs: &[(&str, &Tensor)], inputs: &[&str], results: &mut Results) -> Result<Trial<'a>> {
        let part = self.name;
        let mut named = Vec::new();
        for (name, output) in outputs {
            let name = format!("{part}.{name}");
            self.trial.output(&name, output);
            named.push((name, (*output).clone()));
        }
        let mut sources = self.parameters;
        for input in inputs {
            sources.push((format!("grad.{part}.{input}"), self.trial.input(&format!("{part}.{input}"))?));
        }
        self.trial.gradients(&named, &sources)?;
        self.trial.run(results)?;
        Ok(self.trial)
    }
}

/// Fails if a constant that is built into the engine differs in the case.
fn built_in(case: &GoldenCase, path: &str, value: f64) -> Result<()> {
    let stored: f64 = case.constant(path)?;
    if stored == value {
        return Ok(());
    }
    Err(Error::Graph(format!("case `{}` has {path} = {stored}, the method has {value}", case.name())))
}

/// `attention_block`: self-attention with and without spatial reduction, and its raw scores.
pub fn attention_block(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    for name in bench.case.parts(".x") {
        built_in(bench.case, &format!("{name}/eps"), 1e-5)?;
        let mut part = Part::new(bench, name)?;
        let x = part.input("x")?;
        let [.., channels]: [usize; 3] = x.extents()?;
        let scope = part.scope(".q.weight")?;
        let attention = Attention::new(&scope, channels, part.size("heads")?, part.size("sr")?)?;
        let (y, scores) = attention.forward(&x, part.grid()?)?;
        part.finish(&[("y", &y), ("logits", &scores.raw()?)], &["x"], results)?;
    }
    Ok(())
}

/// `mix_ffn_block`: the mix-FFN alone and the whole transformer block.
pub fn mix_ffn_block(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    for name in bench.case.parts(".x") {
        let mut part = Part::new(bench, name)?;
        let x = part.input("x")?;
        let ([.., channels], grid): ([usize; 3], _) = (x.extents()?, part.grid()?);
        let [hidden, _] = part.parameter("fc1.weight")?.extents()?;
        let ratio = hidden / channels;
        if bench.case.constant::<Option<usize>>(&format!("{name}/heads"))?.is_none() {
            let y = MixFfn::new(&part.scope(".fc1.weight")?, channels, ratio).forward(&x, grid)?;
            part.finish(&[("y", &y)], &["x"], results)?;
            continue;
        }
        built_in(bench.case, &format!("{name}/eps_block"), 1e-6)?;
        built_in(bench.case, &format!("{name}/eps_sr"), 1e-5)?;
        let scope = part.scope(".norm1.weight")?;
        let block = Block::new(&scope, channels, part.size("heads")?, part.size("sr")?, ratio, 0.0)?;
        let (y, scores) = block.forward(&x, grid, &Mode::Eval)?;
        part.finish(&[("y", &y), ("logits", &scores.raw()?)], &["x"], results)?;
    }
    Ok(())
}

/// `patch_embedding`: overlapping patches and their layer norm.
pub fn patch_embedding(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    for name in bench.case.parts(".x") {
        let mut part = Part::new(bench, name)?;
        let x = part.input("x")?;
        let [_, channels, ..]: [usize; 4] = x.extents()?;
        let [outputs, _, kernel, _] = part.parameter("proj.weight")?.extents()?;
        let scope = part.scope(".proj.weight")?;
        let embed = PatchEmbed::new(&scope, channels, outputs, kernel, part.size("stride")?);
        let (y, grid) = embed.forward(&channels_last(&x)?)?;
        if (grid.height, grid.width) != (part.size("out_height")?, part.size("out_width")?) {
            return Err(Error::Graph(format!("part `{name}` gives {} rows, {} columns", grid.height, grid.width)));
        }
        part.finish(&[("y", &y)], &["x"], results)?;
    }
    Ok(())
}

/// `decoder_head`: object prior and all-MLP decoder, in training and in evaluation form.
pub fn decoder_head(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    built_in(bench.case, "bn_eps", 1e-5)?;
    built_in(bench.case, "bn_momentum", 0.1)?;
    for (name, mode) in [("train", Mode::Train { random: None, part: None }), ("eval", Mode::Eval)] {
        let mut part = Part::new(bench, name)?;
        for statistic in ["running_mean", "running_var"] {
            part.trial.state(&format!("decoder.linear_fuse.bn.{statistic}"), &format!("{name}.{statistic}"))?;
        }
        let cam = part.trial.input("cam")?;
        let inputs = ["x1", "x2", "x3", "x4"];
        let mut features = Features { levels: Vec::new(), scores: Vec::new() };
        for input in inputs {
            features.levels.push(Level::of_map(&channels_last(&part.input(input)?)?)?);
        }
        let decoder = Decoder::new(&Scope::root(&part.trial.graph).at("decoder"), &sizes(&part, &features)?)?;
        let seen = network::see_objects(&features, &cam.max_keep(1)?.sigmoid()?)?;
        for (number, level) in (1..).zip(&seen.levels) {
            part.trial.output(format!("{name}.ofd{number}"), &map_of(level)?);
        }
        let y = decoder.predict(&[decoder.fuse(&seen)?], &mode)?.swap_remove(0);
        let trial = part.finish(&[("y", &y)], &inputs, results)?;
        if name == "train" {
            for statistic in ["running_mean", "running_var"] {
                let (state, result) =
                    (format!("decoder.linear_fuse.bn.{statistic}"), format!("train.{statistic}_after"));
                trial.collect_state(&state, &result, results)?;
            }
        }
    }
    Ok(())
}

/// A level as a map \[B, C, H, W\].
pub(super) fn map_of(level: &Level) -> Result<Tensor> {
    channels_first(&level.map()?)
}

/// The sizes of the decoder of a part.
fn sizes(part: &Part<'_>, features: &Features) -> Result<DecoderSizes> {
    let [embed, ..]: [usize; 4] = part.parameter("linear_fuse.conv.weight")?.extents()?;
    let [classes] = part.parameter("linear_pred.bias")?.extents()?;
    let channels = |level: &Level| Ok(level.tokens.extents::<3>()?[2]);
    let inputs = features.levels.iter().map(channels).collect::<Result<_>>()?;
    Ok(DecoderSizes { inputs, embed, classes, drop_rate: 0.0 })
}

/// `affinity_head`: two stacks of scores to a symmetric affinity.
pub fn affinity_head(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let mut trial = Trial::new(bench.case, bench.session);
    let inputs = ["a", "b", "w", "bias"].map(|name| Ok((format!("grad.{name}"), trial.input(name)?)));
    let inputs = inputs.into_iter().collect::<Result<Vec<_>>>()?;
    let [a, b, weight, bias] = [0, 1, 2, 3].map(|index: usize| &inputs[index].1);
    let y = network::affinity_of_scores(&[scores_of(a)?, scores_of(b)?], weight, bias)?;
    trial.output("y", &y);
    trial.gradients(&[("y".into(), y)], &inputs)?;
    trial.run(results)?;
    Ok(())
}

/// Scores whose raw matrix is `raw` \[B, heads, N, N\]: head by head its rows are the queries, unit vectors the keys.
fn scores_of(raw: &Tensor) -> Result<Scores> {
    let [batch, heads, tokens, _] = raw.extents()?;
    let query = raw.permute(&[0, 2, 1, 3])?.reshape([batch, tokens, heads * tokens])?;
    let unit: Vec<_> =
        (0..tokens * heads * tokens).map(|at| f64::from(u8::from(at % tokens == at / (heads * tokens)))).collect();
    let key = raw.graph().constant(&unit, [1, tokens, heads * tokens]).expand([batch, tokens, heads * tokens])?;
    Ok(Scores { query, key, heads })
}
