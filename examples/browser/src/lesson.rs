//! A network that trains on generated pictures in view of the user.

use tagseg::config::Config;
use tagseg::data::shapes::{CLASSES, Split, picture};
use tagseg::data::tags::classes_shown;
use tagseg::data::{Mask, Rgb8};
use tagseg::method::Methods;
use tagseg::method::maps::SEED;
use tagseg::parts::network::NetworkConfig;
use tagseg::run::eval::{Model, View};
use tagseg::run::record::Named;
use tagseg::run::report::{Cell, Map, Sample, loss_chart};
use tagseg::run::train::{StepBatch, Trainer};
use tagseg::{Result, Session};

/// Side of the pictures.
const SIDE: usize = 64;
/// Most shapes in a picture.
const MOST_TAGS: usize = 2;
/// Pictures that are evaluated from time to time; none of them is used for training.
const WATCHED: usize = 4;

/// Training of the preset `nano`. Every step uses new pictures, so nothing is augmented.
pub struct Lesson {
    config: Config,
    trainer: Trainer,
    view: Option<View>,
    model: Model,
    watched: Vec<Drawn>,
    losses: Vec<(f64, Named<f64>)>,
}

/// A generated picture.
struct Drawn {
    image: Rgb8,
    mask: Mask,
    tags: [f32; CLASSES.len()],
}

/// The network's results for a watched picture.
pub struct Glimpse {
    /// Names of the shapes in it.
    pub caption: String,
    /// The drawings by the titles of their columns.
    pub cells: Vec<(&'static str, Rgb8)>,
}

impl Drawn {
    fn new(split: Split, index: usize, seed: u64) -> Self {
        let (image, mask) = picture(split, index, SIDE, seed);
        let mut tags = [0.0; CLASSES.len()];
        classes_shown(&mask).into_iter().for_each(|class| tags[usize::from(class) - 1] = 1.0);
        Drawn { image, mask, tags }
    }

    fn caption(&self) -> String {
        let shown = CLASSES.iter().zip(self.tags).filter(|(_, tag)| *tag == 1.0);
        shown.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// The inputs of a program for several pictures: images, tags and boxes.
fn batch_of<'a>(pictures: impl Iterator<Item = &'a Drawn>) -> (Vec<u8>, Vec<f32>, Vec<i32>) {
    let (mut images, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for drawn in pictures {
        images.extend_from_slice(&drawn.image.data);
        tags.extend(drawn.tags);
        boxes.extend([0, SIDE as i32, 0, SIDE as i32]);
    }
    (images, tags, boxes)
}

impl Lesson {
    /// A lesson of `steps` steps with a new network.
    ///
    /// # Errors
    /// If there are too few steps for the schedule.
    pub fn new(session: &Session, steps: usize, seed: u64) -> Result<Self> {
        let mut config = Config::preset("nano")?;
        for assignment in [format!("train.crop={SIDE}"), format!("train.iters={steps}"), format!("seed={seed}")] {
            config.set(&assignment)?;
        }
        let methods = Methods::default();
        methods.check(&config)?;
        let session = session.fresh();
        let (method, network) = (methods.of(&config)?, NetworkConfig::new(&config, CLASSES.len())?);
        Ok(Lesson {
            trainer: Trainer::with_method(&session, &method, &config, &network, MOST_TAGS, 1)?,
            model: Model::new(&session, &config, &network, &method, &CLASSES.map(String::from)),
            view: None,
            watched: (0..WATCHED).map(|index| Drawn::new(Split::Val, index, seed)).collect(),
            losses: Vec::new(),
            config,
        })
    }

    /// Steps done.
    pub fn done(&self) -> usize {
        self.losses.len()
    }

    /// Pictures in a step.
    pub fn batch(&self) -> usize {
        self.config.batch_global
    }

    /// The total loss of every step so far.
    pub fn totals(&self) -> Vec<f64> {
        self.losses.iter().filter_map(|(_, losses)| losses.get("total").copied()).collect()
    }

    /// Trains on the next pictures.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn step(&mut self) -> Result<()> {
        let (n, batch) = (self.done(), self.batch());
        let drawn: Vec<_> =
            (n * batch..(n + 1) * batch).map(|index| Drawn::new(Split::Train, index, self.config.seed)).collect();
        let (images, tags, boxes) = batch_of(drawn.iter());
        self.trainer.step(n, StepBatch { images: &images, tags: &tags, boxes: &boxes, masks: &[] })?;
        for values in self.trainer.values_async(n..n + 1).await? {
            let losses = std::iter::once(("total", values.total)).chain(values.losses).collect();
            self.losses.push(((n + 1) as f64, losses));
        }
        Ok(())
    }

    /// Evaluates the watched pictures.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn look(&mut self) -> Result<Vec<Glimpse>> {
        let (images, tags, boxes) = batch_of(self.watched.iter());
        let view = match &mut self.view {
            Some(view) => view,
            none => none.insert(self.model.view(WATCHED, [SIDE; 2], Some(MOST_TAGS))?),
        };
        let seen = view.look_async(&images, &tags, &boxes).await?;
        let pixels = SIDE * SIDE;
        let glimpse = |(slot, drawn): (usize, &Drawn)| {
            let part = slot * pixels..(slot + 1) * pixels;
            let labels = |map| Map::new(SIDE, SIDE, map).map(Cell::Labels);
            let mut maps = Vec::new();
            if let Some(heat) = seen.heat(SEED.name) {
                maps.push((SEED.title, Cell::Heat(Map::new(SIDE, SIDE, &heat[part.clone()])?)));
            }
            maps.push((Sample::PREDICTION, labels(&seen.seg[part])?));
            maps.push((Sample::TRUTH, labels(&drawn.mask.data)?));
            let sample = Sample { photo: drawn.image.clone(), maps, ..Sample::default() };
            Ok(Glimpse { caption: drawn.caption(), cells: sample.cells() })
        };
        self.watched.iter().enumerate().map(glimpse).collect()
    }

    /// The curves so far, as an `<svg>` element.
    pub fn curves(&self) -> String {
        loss_chart(&self.losses, &self.trainer.schedule().beginnings()).svg()
    }
}
