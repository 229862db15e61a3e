//! Multi-scale maps and every pseudo label, in training and in the final test.

use super::bench::Bench;
use super::model::{TRAIN, network, statistics};
use super::slots::{leads, maps_of_images, slots_of_tags, stored};
use super::trial::{Trial, channels_first};
use crate::config::{Config, Fuse};
use crate::engine::graph::Tensor;
use crate::engine::nn::Mode;
use crate::engine::session::Program;
use crate::error::Result;
use crate::parts::images::Images;
use crate::parts::propagation::{Par, PictureBox, Scene, Slots};
use crate::parts::seeds::MultiScale;
use crate::parts::walk::Walk;
use crate::parts::{affinity, labels, propagation, seeds, walk};
use crate::run::verify::judge::Results;

/// The inputs of both cases.
struct Setting {
    image: Tensor,
    /// Slots of the valid classes; the scene has the same as an input.
    slots: Slots,
    scene: Scene,
}

impl Setting {
    fn new(trial: &mut Trial<'_>) -> Result<Self> {
        let slots = slots_of_tags(trial.case, "cls_label")?;
        let image = trial.images("x")?;
        let images = Images::of_normalised(&image)?;
        let picture_box = PictureBox::new(&trial.input("img_box")?, images.size())?;
        let classes = trial.given("classes", stored(&slots));
        let scene = Scene { picture: images.pictures()?, classes, picture_box, par: Par::new(&Config::default()) };
        Ok(Setting { image, slots, scene })
    }
}

/// The scores of each image over its classes, and the margin of the decision between them.
struct Scores {
    /// \[classes, H, W\] of each image.
    maps: Vec<Vec<f64>>,
    /// Lead of the best class and its score at each pixel of each image, one image after another.
    leads: Vec<(f64, f64)>,
    /// H and W.
    size: [usize; 2],
}

impl Scores {
    /// Those in slots \[B, H, W, P\].
    fn read(program: &Program, scores: &Tensor, slots: &Slots) -> Result<Self> {
        let (values, shape) = (program.read(scores)?, scores.extents()?);
        let [_, height, width, _] = shape;
        let maps = maps_of_images(&values, shape, slots);
        let leads = maps.iter().flat_map(|maps| leads(maps, height * width)).collect();
        Ok(Scores { maps, leads, size: [height, width] })
    }

    /// Records the maps as `name` or, with several images, `name.0`, `name.1` and so on.
    fn set(&self, name: &str, numbered: bool, results: &mut Results) {
        let [height, width] = self.size;
        for (image, maps) in self.maps.iter().enumerate() {
            let name = if numbered { format!("{name}.{image}") } else { name.to_owned() };
            results.set(name, &[maps.len() / (height * width), height, width], maps.clone());
        }
    }
}

/// `nano_pseudo_labels`: a plain pass, the passes over scales and mirror images, and the labels made from them.
pub fn pseudo_labels(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let mut trial = Trial::new(case, bench.session);
    let network = network(bench, &mut trial)?;
    let Setting { image, slots, scene } = Setting::new(&mut trial)?;
    let plain = network.forward(&image, &TRAIN)?;
    let scales: Vec<f64> = case.constant("scales")?;
    let passes = seeds::multi_scale(&network, &image, &scales, None, &TRAIN)?;
    let thresholds = [case.constant("low")?, case.constant("high")?];
    let (sigma_c, sigma_s): (f64, f64) = (case.constant("sigma_c")?, case.constant("sigma_s")?);
    let radius = case.constant("radius")?;

    let [batch, channels, height, width] = plain.seg.extents()?;
    let (seeds, cams) = (passes.seeds(0..batch, &scene.classes)?, maps_of_seeds(&passes, batch, channels - 1)?);
    let segs = passes.scores(0..batch, 0..channels)?;
    let fixed = propagation::fixed_threshold_label(&seeds, &scene, thresholds)?;
    let background = passes.scores(0..batch, 0..1)?;
    let bsp = propagation::propagate_with_background(&seeds, &background, &scene)?;
    let (predicted, grid) = passes.largest().affinity(0..batch)?;
    let walk = Walk::new(radius);
    let afa = walk::walked_label(&seeds, &predicted, grid, &scene, &walk, thresholds)?;

    trial.output("plain.seg", &plain.seg);
    trial.output("picture", &channels_first(&scene.picture)?);
    trial.output("cam", &cams);
    trial.output("msc_seg", &segs);
    // With the mirror images, as one part.
    if let Some(affinity) = passes.largest().parts.first().and_then(|part| part.affinity.as_ref()) {
        trial.output("aff_max_scale", affinity);
    }
    trial.output("cam_label", &labels::banded_seed_label(&seeds, &scene.classes, &scene.picture_box, thresholds)?);
    trial.output("par_label", &fixed.label);
    trial.output("bsp_label", &labels::label_from_map(&bsp, &scene, Some(sigma_c))?);
    trial.output(
        "y_s",
        &labels::segmentation_label(&plain.seg, &scene.picture_box, sigma_s, labels::Confidence::Logit, 1)?,
    );
    trial.output("aff_label", &affinity::affinity_label(&fixed.label, 16, radius)?);
    trial.output("afa_label", &afa.label);
    let two_sided = [("par_maps.low", &fixed.low), ("par_maps.high", &fixed.high)];
    let walked = [("afa.walked_low", &afa.walked[0]), ("afa.walked_high", &afa.walked[1])];
    let refined = [("afa.refined_low", &afa.refined[0]), ("afa.refined_high", &afa.refined[1])];
    for (_, scores) in two_sided.iter().chain(&walked).chain(&refined) {
        trial.observe(scores);
    }
    trial.observe(&bsp);
    let program = trial.run(results)?;
    statistics(bench, &trial, "", results)?;

    let shape = [batch, height, width];
    let read = |scores: &Tensor| Scores::read(&program, scores, &slots);
    for (name, scores) in walked {
        read(scores)?.set(name, true, results);
    }
    for (margin, sides) in [("par_margin", two_sided), ("afa_margin", refined)] {
        let [low, high] = sides.map(|(name, scores)| Ok((name, read(scores)?)));
        let ((low_name, low), (high_name, high)) = (low?, high?);
        low.set(low_name, true, results);
        high.set(high_name, true, results);
        // Either decision may flip.
        let both = low.leads.iter().zip(&high.leads);
        results.set(margin, &shape, both.map(|((low, _), (high, _))| low.min(*high)).collect());
    }
    let scores = read(&bsp)?;
    scores.set("bsp_maps", true, results);
    results.set("bsp_margin", &shape, with_threshold(&scores.leads, sigma_c));
    results.set("y_s_margin", &shape, with_threshold(&leads_of(&program, &plain.seg)?, sigma_s));
    Ok(())
}

/// Seeds of every class, tagged or not, as maps \[B, K, H, W\].
fn maps_of_seeds(passes: &MultiScale, batch: usize, foreground: usize) -> Result<Tensor> {
    let graph = passes.passes[0].parts[0].cam.graph();
    let every: Vec<_> = (0..Slots::width_for(foreground)).map(|class| class as f64).collect();
    let every = graph.constant(&every, [1, every.len()]).expand([batch, every.len()])?.to_integer()?;
    passes.seeds(0..batch, &every)?.scatter_slots(&every, foreground, 1)
}

/// The margin of the best channel of maps \[B, C, H, W\] over the second best at every pixel, and the best itself.
fn leads_of(program: &Program, maps: &Tensor) -> Result<Vec<(f64, f64)>> {
    let [_, channels, height, width] = maps.extents()?;
    let (values, pixels) = (program.read(maps)?, height * width);
    Ok(values.chunks(channels * pixels).flat_map(|maps| leads(maps, pixels)).collect())
}

/// Distance to the nearest decision: another class, or the other side of the threshold.
fn with_threshold(leads: &[(f64, f64)], threshold: f64) -> Vec<f64> {
    leads.iter().map(|(lead, best)| lead.min((best - threshold).abs())).collect()
}

/// `nano_test_protocol`: maps and labels of the final test.
pub fn test_protocol(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let mut trial = Trial::new(case, bench.session);
    let network = network(bench, &mut trial)?;
    let Setting { image, slots, scene } = Setting::new(&mut trial)?;
    let scales: Vec<f64> = case.constant("scales")?;
    let passes = seeds::test_scales(&network, &image, &scales, true, &Mode::Eval)?;
    let [batch, height, width, _] = image.extents()?;
    let [_, channels, ..]: [usize; 4] = passes.passes[0].parts[0].seg.extents()?;
    let seeds = passes.seeds(0..batch, &scene.classes)?;
    let background = passes.scores(0..batch, 0..1)?;
    let bsp = propagation::propagate_with_background(&seeds, &background, &scene)?;
    let fused = passes.logits(0..batch, 0..channels, Fuse::Max)?;

    trial.output("cam", &maps_of_seeds(&passes, batch, channels - 1)?);
    trial.output("seg_unit", &passes.scores(0..batch, 0..channels)?);
    for (pass, average) in passes.passes.iter().zip(passes.averages(&(0..batch), &(0..channels))?) {
        let name = format!("seg_scale{}", pass.scale).replace('.', "_");
        if case.has(&name) {
            trial.output(name, &average);
        }
    }
    trial.output("msc_seg", &fused);
    trial.output("msc_pred", &fused.arg_max_keep(1)?.reshape([batch, height, width])?);
    trial.output("cam_label", &labels::seed_label(&seeds, &scene.classes, case.constant("bkg")?)?);
    trial.observe(&bsp);
    let program = trial.run(results)?;

    let scores = Scores::read(&program, &bsp, &slots)?;
    scores.set("bsp_maps", false, results);
    let leads = leads_of(&program, &fused)?;
    results.set("msc_margin", &[batch, height, width], leads.into_iter().map(|(lead, _)| lead).collect());
    Ok(())
}
