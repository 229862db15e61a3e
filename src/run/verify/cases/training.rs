//! The optimiser alone, and twenty steps of the whole method.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bench::Bench;
use super::model::{norm, sizes, weight};
use super::slots::{slots_of_tags, stored};
use super::trial::channels_last;
use crate::config::{Config, Propagation};
use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::ops::adamw::{Trained, adamw};
use crate::engine::ops::pack::Packed;
use crate::engine::session::{Program, Session};
use crate::error::{Error, Result};
use crate::method::bmp::{AFF, Bmp, C2S, S2C};
use crate::method::{FLAGS, Method, Phase, Schedule, Step, moment_names};
use crate::parts::encoders::{Encoder, find};
use crate::parts::images::Images;
use crate::parts::network::{Network, NetworkOptions};
use crate::run::verify::golden::{GoldenCase, Stored, StoredValues};
use crate::run::verify::judge::Results;

/// Values of parameters by name.
type Weights = BTreeMap<String, Vec<f32>>;

/// Where the decoder keeps its running statistics.
const STATISTICS: &str = "decoder.linear_fuse.bn.";

/// A recipe of the cases as a configuration.
fn config(case: &GoldenCase, path: &str) -> Result<Config> {
    let real = |name: &str| case.constant::<f64>(&format!("{path}/{name}"));
    let count = |name: &str| case.constant::<usize>(&format!("{path}/{name}"));
    let betas: [f64; 2] = case.constant(&format!("{path}/betas"))?;
    let propagation: String = case.constant(&format!("{path}/propagation"))?;
    let mut config = Config::default();
    config.optim_lr = real("lr")?;
    config.optim_head_factor = real("head_factor")?;
    config.optim_beta1 = betas[0];
    config.optim_beta2 = betas[1];
    config.optim_eps = real("eps")?;
    config.optim_weight_decay = real("weight_decay")?;
    config.optim_warmup_iters = count("warmup_iter")?;
    config.optim_warmup_ratio = real("warmup_ratio")?;
    config.optim_power = real("power")?;
    config.train_iters = count("max_iter")?;
    config.lambda = [real("lambda_1")?, real("lambda_2")?, real("lambda_3")?];
    config.schedule_n_c2s = count("warm_c2s")?;
    config.schedule_n_s2c = count("warm_s2c")?;
    config.schedule_n_bsp = count("warm_bsp")?;
    config.sigma_c = real("sigma_c")?;
    config.sigma_s = real("sigma_s")?;
    config.cam_low = real("low")?;
    config.cam_high = real("high")?;
    config.ms_scales = case.constant(&format!("{path}/scales"))?;
    config.aff_radius = count("radius")?;
    config.propagation = match propagation.to_ascii_lowercase().as_str() {
        "bsp" => Propagation::Bsp,
        "par" => Propagation::Par,
        other => return Err(Error::Graph(format!("case `{}`: unknown propagation `{other}`", case.name()))),
    };
    Ok(config)
}

/// The method of the cases.
fn bmp() -> Arc<dyn Method> {
    Arc::new(Bmp)
}

/// The schedule of a recipe of a case.
fn schedule_of(case: &GoldenCase, path: &str, encoder: &Arc<dyn Encoder>) -> Result<Schedule> {
    Ok(schedule(&config(case, path)?, encoder))
}

/// The schedule of the cases' method, for a network with this encoder.
fn schedule(config: &Config, encoder: &Arc<dyn Encoder>) -> Schedule {
    Schedule::new(&bmp(), config, encoder)
}

/// Values of an input that does not change.
fn feed(program: &mut Program, input: &Tensor, stored: &Stored) -> Result<()> {
    if stored.shape[..] != input.shape()[..] {
        return Err(Error::Graph(format!("{input:?} is stored as {:?}", stored.shape)));
    }
    match &stored.values {
        StoredValues::F32(values) => program.write(input, values),
        StoredValues::I32(values) => program.write(input, values),
    }
}

/// `adamw_steps`: given gradients for a parameter of each group over several steps, past the end of the warm-up and of
/// the schedule; and the factors of the learning rate.
pub fn adamw_steps(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    // Parameters have the names of any MiT.
    let encoder = find(&Config::default())?;
    let schedule = schedule_of(case, "recipe", &encoder)?;
    let mut session = bench.session.fresh();
    let graph = Graph::new();
    let hyper = graph.input("hyper", [schedule.groups().len(), 4], DType::F32);
    let (mut trained, mut gradients) = (Vec::new(), Vec::new());
    let names: Vec<_> = case.names().filter_map(|name| name.strip_prefix("start.")).collect();
    for name in &names {
        let start = format!("start.{name}");
        let shape = case.shape(&start)?;
        session.set_state(name, shape, case.reals(&start)?)?;
        if !schedule.trains(name)? {
            continue;
        }
        let moments = moment_names(name);
        for moment in &moments {
            session.set_state(moment, shape, &vec![0.0; shape.iter().product()])?;
        }
        let [m, v] = moments.map(|name| graph.state(&name, shape));
        trained.push(Trained { param: graph.state(name, shape), m, v, group: schedule.row_of(name)? });
        gradients.push(graph.input(&format!("grad.{name}"), shape, DType::F32));
    }
    adamw(schedule.optimiser(), &trained, &Packed::new(&gradients)?, &hyper, None)?;
    let mut program = session.compile(&graph, &[])?;
    for n in (0..).take_while(|n| names.iter().all(|name| case.has(&format!("step{n}.grad.{name}")))) {
        for gradient in &gradients {
            let name = gradient.name().unwrap_or_default();
            feed(&mut program, gradient, case.tensor(&format!("step{n}.{name}"))?)?;
        }
        program.write(&hyper, &schedule.hypers(n))?;
        program.run()?;
        for name in &names {
            let (shape, values) = session.state(name)?;
            results.set(format!("step{n}.after.{name}"), &shape, values);
        }
    }

    let published = schedule_of(case, "published", &encoder)?;
    let steps: Vec<usize> = case.constant("published_steps")?;
    results.set("published_lr_factor", &[steps.len()], steps.iter().map(|&n| published.rate_factor(n)).collect());
    // The format writes -1 past the end, where the last rate stays.
    let (end, [count]) = (case.constant("recipe/max_iter")?, case.extents("small_lr_factor")?);
    let factor = |n: usize| if n < end { schedule.rate_factor(n) } else { -1.0 };
    results.set("small_lr_factor", &[count], (0..count).map(factor).collect());
    Ok(())
}

/// A compiled phase of the trajectory.
struct Compiled {
    phase: Phase,
    step: Step,
    program: Program,
}

impl Compiled {
    /// Records and compiles `phase`, without dropout, and writes what never changes.
    fn new(bench: &Bench<'_>, session: &Session, config: &Config, phase: Phase) -> Result<Self> {
        let case = bench.case;
        let slots = slots_of_tags(case, "cls_label")?;
        let [batch, _, height, width] = case.extents("x")?;
        let x = Graph::new().input("x", [batch, 3, height, width], DType::F32);
        let images = Images::of_normalised(&channels_last(&x)?)?;
        let step = Step::record_on(images, &bmp(), config, &sizes(case)?, &phase, slots.width, false)?;
        step.update()?;
        let outputs: Vec<_> = terms(&step)?.into_iter().chain(labels(&step).map(|(_, label)| label)).collect();
        let mut program = session.compile(&step.graph, &outputs)?;
        let inputs = &step.inputs;
        feed(&mut program, &x, case.tensor("x")?)?;
        feed(&mut program, &inputs.tags, case.tensor("cls_label")?)?;
        feed(&mut program, &inputs.boxes, case.tensor("img_box")?)?;
        feed(&mut program, &inputs.classes, &stored(&slots))?;
        program.write(&inputs.random, &[0, 0, 0])?;
        Ok(Compiled { phase, step, program })
    }
}

/// The columns of `loss_terms`.
fn terms(step: &Step) -> Result<Vec<&Tensor>> {
    let loss = |name: &str| {
        step.losses.loss(name).ok_or_else(|| Error::Graph(format!("the network of the case has no loss `{name}`")))
    };
    Ok(vec![loss("cls")?, loss(C2S)?, loss(S2C)?, loss(AFF)?, &step.total])
}

/// The labels that are stored at some steps, by their names in the case and in the method.
fn labels(step: &Step) -> impl Iterator<Item = (&'static str, &Tensor)> {
    let names = [("par_label", "y_par"), ("bsp_label", "propagated"), ("y_s", "y_s")];
    names.into_iter().filter_map(|(stored, name)| Some((stored, step.map(name)?)))
}

/// `trajectory`: optimiser steps of the small network with the complete loss, whose terms switch on one after another.
pub fn trajectory(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    // The losses are normalised over the whole batch.
    let mut config = config(case, "recipe")?;
    [config.loss_replica_size, ..] = case.extents::<4>("x")?;
    config.train_precision = bench.precision;
    let schedule = schedule(&config, &sizes(case)?.encoder);
    let mut session = bench.session.fresh();
    let mut compiled: Option<Compiled> = None;
    let starts = initialise(bench, &mut session, &schedule)?;
    let [steps, columns] = case.extents("loss_terms")?;
    let mut table = Vec::new();
    for n in 0..steps {
        let phase = schedule.phase(n);
        let mut current = match compiled.take().filter(|compiled| compiled.phase == phase) {
            Some(current) => current,
            None => Compiled::new(bench, &session, &config, phase.clone())?,
        };
        current.program.write(&current.step.inputs.hyper, &schedule.hypers(n))?;
        current.program.run()?;
        for term in terms(&current.step)? {
            table.extend(current.program.read(term)?);
        }
        for (name, label) in labels(&current.step) {
            let name = format!("step{n}.{name}");
            if case.has(&name) {
                results.set(name, label.shape(), current.program.read(label)?);
            }
        }
        compiled = Some(current);
    }
    results.set("loss_terms", &[steps, columns], table);
    final_state(bench, &session, &starts, results)
}

/// Initialises all parameters, whose values it returns, and sets their moments to zero.
fn initialise(bench: &Bench<'_>, session: &mut Session, schedule: &Schedule) -> Result<Weights> {
    let network = Network::new(&Graph::new(), &sizes(bench.case)?, NetworkOptions::default())?;
    let mut starts = Weights::new();
    for parameter in network.parameters() {
        let values = weight(bench, &parameter)?;
        session.set_state(&parameter.name, &parameter.shape, &values)?;
        if parameter.trained && schedule.trains(&parameter.name)? {
            for moment in moment_names(&parameter.name) {
                session.set_state(&moment, &parameter.shape, &vec![0.0; values.len()])?;
            }
        }
        starts.insert(parameter.name, values);
    }
    let flags = session.state_names().iter().filter(|name| name.starts_with("adamw.first.")).count() + 1;
    session.set_state(FLAGS, &[flags], &vec![0.0; flags])?;
    Ok(starts)
}

/// Records the weights after the last step that are stored.
fn final_state(bench: &Bench<'_>, session: &Session, starts: &Weights, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let order: Vec<String> = case.constant("parameter_order")?;
    let noise_driven: Vec<String> = case.constant("noise_driven")?;
    let (mut norms, mut changes) = (Vec::new(), Vec::new());
    for name in &order {
        let (_, values) = session.state(name)?;
        let start = starts.get(name).ok_or_else(|| Error::Graph(format!("the network has no parameter `{name}`")))?;
        let change: Vec<_> = values.iter().zip(start).map(|(value, start)| value - f64::from(*start)).collect();
        norms.push(norm(&values));
        changes.push(norm(&change));
    }
    let undetermined = (0..order.len()).filter(|&index| noise_driven.contains(&order[index])).collect();
    results.set("param_norms", &[norms.len()], norms);
    results.set_but("param_change_norms", &[changes.len()], changes, undetermined);
    for result in case.names().filter(|name| name.starts_with("final.")) {
        let name = result.trim_start_matches("final.");
        let state = if name.starts_with("running_") { format!("{STATISTICS}{name}") } else { name.to_owned() };
        let (shape, values) = session.state(&state)?;
        results.set(result, &shape, values);
    }
    Ok(())
}
