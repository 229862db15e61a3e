//! A custom method, trained, scored and reported like the built-in ones: plain CAM. The classification branch finds
//! seeds; thresholds and refinement turn them into labels; these labels supervise the segmentation branch.
//!
//! cargo run --release --example own_method

use std::ops::Range;
use std::path::Path;

use tagseg::config::{Config, LossKind};
use tagseg::data::shapes::{ShapesOptions, generate};
use tagseg::engine::graph::Tensor;
use tagseg::engine::ranks::World;
use tagseg::method::maps::{CAM, SEED};
use tagseg::method::{LossTerm, Losses, MapInfo, MapPass, Method, Methods, Objective, Phase, TrainPass, of_images};
use tagseg::parts::losses::{c2s_loss, classification_loss};
use tagseg::parts::network::Outputs;
use tagseg::parts::propagation::fixed_threshold_label;
use tagseg::run::page::{PageOptions, page};
use tagseg::run::report::RunSeries;
use tagseg::run::train::{Stop, TrainOptions, run};
use tagseg::{Error, Result};

/// The part that begins once the seeds are useful.
const SEG: &str = "seg";
/// The label that supervises the segmentation: its mean IoU is recorded as `label_miou`, and it is drawn.
const LABEL: MapInfo = MapInfo::labels("label", "label").headline().pictured();

/// Classification, labels from seeds, cross-entropy.
#[derive(Debug)]
pub struct PlainCam;

impl Method for PlainCam {
    fn name(&self) -> &str {
        "cam"
    }

    fn phase(&self, config: &Config, step: usize) -> Phase {
        (step > config.schedule_n_c2s).then_some(SEG).into_iter().collect()
    }

    fn marked_parts(&self) -> &[&'static str] {
        &[SEG]
    }

    fn record(&self, pass: &TrainPass<'_>) -> Result<Objective> {
        // Labels, without gradient: seeds over scales and mirror images, refined against two thresholds.
        let (config, scene) = (pass.config, pass.scene()?);
        let seeds = pass.multi_scale()?.seeds(0..pass.sizes.batch, &scene.classes)?;
        let label = fixed_threshold_label(&seeds, &scene, [config.cam_low, config.cam_high])?.label;
        label.hoist();
        // The losses of some images of the batch, from the network's outputs for them.
        let (maps, tags) = (vec![(LABEL.name, label.clone())], pass.inputs.tags.clone());
        let (replica, on) = (config.loss_replica_size, pass.phase.has(SEG));
        let losses = move |outputs: &Outputs, images: &Range<usize>| {
            let (label, tags) = (of_images(&label, images)?, of_images(&tags, images)?);
            let cls = classification_loss(&outputs.cls, &tags)?;
            let (seg, _) = c2s_loss(&outputs.seg_small, &label, LossKind::Ce, replica)?;
            Ok(Losses::new(vec![LossTerm::new("cls", cls, 1.0), LossTerm::new(SEG, seg, 0.5).when(on)]))
        };
        Ok(Objective { maps, losses: Box::new(losses) })
    }

    fn maps(&self) -> &[MapInfo] {
        &[SEED, CAM, LABEL]
    }

    fn record_maps(&self, pass: &MapPass<'_>) -> Result<Vec<(&'static str, Tensor)>> {
        let scores = fixed_threshold_label(pass.seeds, pass.scene, [pass.config.cam_bkg; 2])?.high;
        let label = pass.label_of(&scores)?;
        Ok(vec![(SEED.name, pass.seed_heat()?), (CAM.name, pass.seed_label()?), (LABEL.name, label)])
    }
}

/// The built-in methods and this one.
pub fn methods() -> Methods {
    Methods::default().with(PlainCam)
}

/// A run of `steps` steps on generated shapes in `folder`, which are generated if they are missing.
pub fn options(folder: &Path, name: &str, steps: usize, device: &str) -> Result<TrainOptions> {
    let mut config = Config::preset("nano")?;
    let settings = ["method.name=cam", "train.crop=64", "lambda=[0, 0, 0]", &format!("train.iters={steps}")];
    settings.iter().try_for_each(|setting| config.set(setting))?;
    let data = folder.join("data");
    if !data.exists() {
        generate(&data, &ShapesOptions { train: 200, val: 40, size: 64, ..ShapesOptions::default() })?;
    }
    Ok(TrainOptions {
        config,
        data,
        out: folder.join(name),
        weights: None,
        partial: false,
        device: device.into(),
        overwrite: true,
        skip_broken: false,
        stop: Stop::default(),
        series: RunSeries::default(),
        methods: methods(),
        world: World::default(),
    })
}

/// Trains, scores and writes `report.html`.
pub fn main() -> Result<()> {
    let folder = Path::new("target/own_method");
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let TrainOptions { data, out: trained, device, .. } = options(folder, "run", 300, "auto")?;
    run(&options(folder, "run", 300, "auto")?)?;
    let (title, summary, facts) = ("Plain CAM".into(), "Labels from seeds.".into(), Vec::new());
    let out = folder.join("report.html");
    let (report, scores) =
        page(&PageOptions { run: trained, data, out, device, title, summary, facts, methods: methods() })?;
    println!("{}; open {}", scores.in_words(), report.display());
    Ok(())
}
