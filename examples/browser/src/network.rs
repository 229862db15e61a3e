//! A trained network that segments pictures.

use std::path::Path;

use tagseg::data::Rgb8;
use tagseg::method::maps::SEED;
use tagseg::run::eval::{Maps, Model, Request, Tags, View};
use tagseg::run::report::{Cell, Map, Sample};
use tagseg::run::weights::Checkpoint;
use tagseg::{Result, Session};

/// A trained network, prepared for pictures of the last size.
pub struct Network {
    model: Model,
    view: Option<View>,
}

/// The results of a network for a picture.
pub struct Sight {
    /// Logit of every class, from the picture alone.
    pub logits: Vec<f32>,
    /// Class of every pixel, from the picture alone.
    pub prediction: Vec<u8>,
    /// The drawings by the titles of their columns; that of the seeds only if there are tags.
    pub cells: Vec<(&'static str, Rgb8)>,
}

impl Network {
    /// Reads a checkpoint, called `name` in errors, and loads its weights into a new session.
    ///
    /// # Errors
    /// If it is not a checkpoint.
    pub fn new(session: &Session, name: &str, checkpoint: &[u8]) -> Result<Self> {
        let checkpoint = Checkpoint::from_bytes(Path::new(name), checkpoint)?;
        Ok(Network { model: Model::of(&session.fresh(), &checkpoint)?, view: None })
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        self.model.classes()
    }

    /// Evaluates a picture, with the seeds of the classes whose `tags` \[K\] are 1.
    ///
    /// # Errors
    /// If the picture is too large for the device, or the device was lost.
    pub async fn look(&mut self, picture: &Rgb8, tags: &[f32]) -> Result<Sight> {
        let (height, width) = (picture.height, picture.width);
        let size = self.model.canvas([height, width]);
        let fitting = self.view.take().filter(|view| view.size() == size);
        let given = Tags::Given(self.model.classes().len());
        let request = Request { tags: given, maps: Maps::Only(SEED.name), ..Request::default() };
        let prepared = fitting.map_or_else(|| self.model.view_for(1, size, request), Ok)?;
        let seen = self.view.insert(prepared).look_at_async(picture, tags).await?;
        let mut maps = Vec::new();
        if let Some(heat) = seen.heat(SEED.name).filter(|_| tags.contains(&1.0)) {
            maps.push((SEED.title, Cell::Heat(Map::new(height, width, heat)?)));
        }
        maps.push((Sample::PREDICTION, Cell::Labels(Map::new(height, width, &seen.seg)?)));
        let sample = Sample { photo: picture.clone(), maps, ..Sample::default() };
        let cells = sample.cells();
        Ok(Sight { logits: seen.cls, prediction: seen.seg, cells })
    }
}
