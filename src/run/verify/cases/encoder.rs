//! Encoders other than MiT, which the cases of whole networks run.

use super::bench::Bench;
use super::blocks::map_of;
use super::model::{cotangent, gradients_in_brief};
use super::trial::Trial;
use crate::engine::graph::Storage;
use crate::engine::nn::{Mode, Scope};
use crate::error::{Error, Result};
use crate::parts::encoders::efficientnet_lite::LITE0;
use crate::parts::encoders::{Encoder, SCOPE};
use crate::run::verify::judge::Results;
use crate::run::verify::recipe;

/// `lite0_encoder`: levels of EfficientNet-Lite0 with weights and cotangents from the recipe; gradients of the picture,
/// and of every parameter the norm and a few elements.
pub fn lite0(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let channels: Vec<usize> = case.constant("dims")?;
    if LITE0.levels().iter().map(|level| level.channels).ne(channels.iter().copied()) {
        return Err(Error::Graph(format!("case `{}` has levels of {channels:?} channels, unlike Lite0", case.name())));
    }
    let mut trial = Trial::new(case, bench.session);
    let scope = Scope::root(&trial.graph).at(SCOPE);
    let layers = LITE0.record(&scope)?;
    let parameters = scope.parameters();
    let (order, shapes): (Vec<String>, Vec<Vec<usize>>) =
        (case.constant("parameter_order")?, case.constant("parameter_shapes")?);
    let has = |name: &String, shape: &[usize]| {
        parameters.iter().any(|known| known.trained && known.name == *name && known.shape[..] == *shape)
    };
    if order.len() != shapes.len() || !order.iter().zip(&shapes).all(|(name, shape)| has(name, shape)) {
        return Err(Error::Graph(format!("case `{}` lists parameters that Lite0 does not have", case.name())));
    }
    for parameter in parameters {
        let values = recipe::weight(&parameter.name, case.constant("weight_seed")?, &parameter.shape);
        trial.session.set_state(&parameter.name, &parameter.shape, &values)?;
    }
    let (stored, image) = (trial.input("x")?, trial.images("x")?);
    let levels = |storage| {
        let features = trial.graph.stored(storage, || layers.forward(&image, &Mode::Eval))?;
        features.levels.iter().map(map_of).collect::<Result<Vec<_>>>()
    };
    let rounded = levels(bench.precision.features())?;
    // Training takes no gradients of pixels. Those of single pixels jump where an activation that was rounded to a half
    // passes a kink of ReLU6 (by 0.13 of the largest here), so they are taken of features that are stored whole.
    let whole = if bench.precision.features() == Storage::Whole { rounded.clone() } else { levels(Storage::Whole)? };
    let (mut pairs, mut objective) = (Vec::new(), trial.graph.scalar(0.0));
    for (number, level) in (1..).zip(&rounded) {
        trial.output(format!("level{number}"), level);
        let cotangent = cotangent(&mut trial, &format!("lite0/cot.level{number}"), level);
        objective = objective.add(&level.mul(&cotangent)?.sum_all()?)?;
        pairs.push((level.clone(), cotangent));
    }
    trial.output("objective", &objective);
    let of_whole: Vec<_> =
        whole.into_iter().zip(&pairs).map(|(level, (_, cotangent))| (level, cotangent.clone())).collect();
    for gradient in trial.graph.pull_back(&of_whole, &[stored])? {
        trial.output("grad.x", &gradient);
    }
    gradients_in_brief(bench, &mut trial, &pairs, results)
}
