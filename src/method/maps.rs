//! Named maps of images with known tags, which are scored, drawn and written.

use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::parts::labels::{Confidence, seed_label, segmentation_label};
use crate::parts::propagation::{PictureBox, Scene, best_class, refined_seeds};
use crate::parts::seeds::MultiScale;
use crate::parts::walk::Walk;

/// The protocol of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Validation during training (method.md 9.2): one pass at the image's own size; seeds over `ms.scales`.
    #[default]
    Train,
    /// The final test (method.md 9.3): long side 512, scales, mirror images, fusion by max, everything at `test.*`.
    Test,
}

/// The kind of values of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// A class for each pixel, 255 = ignore.
    Labels,
    /// A real number from 0 to 1 for each pixel.
    Heat,
}

/// A map by its name, and its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// The name, as in `eval --json`: `y_c`.
    pub name: &'static str,
    /// Its title in tables, curves and pictures: `Y_c`.
    pub title: &'static str,
    /// The kind of its values.
    pub kind: MapKind,
    /// Whether it is compared with the truth.
    pub scored: bool,
    /// Whether its mean IoU is in the record (`y_c_miou`), the report page and the ablation.
    pub headline: bool,
    /// Whether it is a column of the pictures of a run.
    pub pictured: bool,
    /// The suffix of its file written by `tagseg predict --seeds`.
    pub file: Option<&'static str>,
}

impl MapInfo {
    /// A map of labels without uses.
    pub const fn labels(name: &'static str, title: &'static str) -> Self {
        MapInfo { name, title, kind: MapKind::Labels, scored: false, headline: false, pictured: false, file: None }
    }

    /// A map of real numbers without uses.
    pub const fn heat(name: &'static str, title: &'static str) -> Self {
        MapInfo { kind: MapKind::Heat, ..Self::labels(name, title) }
    }

    /// Compares it with the truth.
    pub const fn scored(self) -> Self {
        MapInfo { scored: true, ..self }
    }

    /// Compares it with the truth, and reports its mean IoU as a headline score.
    pub const fn headline(self) -> Self {
        MapInfo { scored: true, headline: true, ..self }
    }

    /// Draws it.
    pub const fn pictured(self) -> Self {
        MapInfo { pictured: true, ..self }
    }

    /// Writes it when predictions are written.
    pub const fn written(self, file: &'static str) -> Self {
        MapInfo { file: Some(file), ..self }
    }
}

/// Strongest seed of the tagged classes.
pub const SEED: MapInfo = MapInfo::heat("seed", "seed").pictured().written("seed_overlay");
/// Seeds against the background threshold `cam.bkg`.
pub const CAM: MapInfo = MapInfo::labels("cam", "seeds").headline().written("seed");
/// Seeds refined by PAR against the background threshold, in the final test.
pub const PAR: MapInfo = MapInfo::labels("par", "PAR").scored();
/// Seeds after a step along the predicted affinity, if the network predicts one.
pub const AFA: MapInfo = MapInfo::labels("afa", "AFA").scored();

/// Outputs of a trained network for images with known tags, from which a method makes its maps. Maps are \[B, H, W\] at
/// the size of the truth; labels are integers.
pub struct MapPass<'a> {
    /// Every option.
    pub config: &'a Config,
    /// The protocol.
    pub protocol: Protocol,
    /// Height and width of the truth.
    pub size: [usize; 2],
    /// Segmentation logits of one pass, \[B, K + 1, H, W\].
    pub seg: &'a Tensor,
    /// The passes over scales and mirror images.
    pub scales: &'a MultiScale,
    /// The images at the size of the network's input, and their classes.
    pub scene: &'a Scene,
    /// Seeds in slots at that size, \[B, h, w, P\].
    pub seeds: &'a Tensor,
    /// The same at the size of the truth, \[B, H, W, P\].
    pub large_seeds: &'a Tensor,
    /// Height and width of the images at the size of the truth, without padding: i32 \[B, 2\].
    pub extent: &'a Tensor,
}

impl MapPass<'_> {
    /// Images.
    pub fn batch(&self) -> usize {
        self.seeds.shape()[0]
    }

    /// [`SEED`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn seed_heat(&self) -> Result<Tensor> {
        self.large_seeds.max_keep(3)
    }

    /// [`CAM`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn seed_label(&self) -> Result<Tensor> {
        seed_label(self.large_seeds, &self.scene.classes, self.config.cam_bkg)
    }

    /// The best class of scores in slots \[B, h, w, P\], interpolated.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn label_of(&self, scores: &Tensor) -> Result<Tensor> {
        best_class(&scores.resize_channels_last(self.size, false)?, &self.scene.classes)
    }

    /// [`PAR`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn refined_label(&self) -> Result<Tensor> {
        let Scene { picture, classes, par, .. } = self.scene;
        let picture = picture.resize_channels_last(self.size, false)?;
        self.label_of(&refined_seeds(self.seeds, &picture, classes, self.extent, par, self.config.cam_bkg)?)
    }

    /// [`AFA`].
    ///
    /// # Errors
    /// If the network predicts no affinity.
    pub fn walked_label(&self) -> Result<Tensor> {
        let background = match self.protocol {
            Protocol::Train => self.config.cam_low,
            Protocol::Test => self.config.cam_bkg,
        };
        let (affinity, grid) = self.scales.at_scale_1().affinity(0..self.batch())?;
        let walk = Walk::new(self.config.aff_radius);
        self.label_of(&walk.from_seeds(self.seeds, &self.scene.classes, &affinity, grid, background)?)
    }

    /// Whether the network predicts an affinity.
    pub fn has_affinity(&self) -> bool {
        self.scales.passes.iter().all(|pass| pass.has_affinity())
    }

    /// Confident classes of the segmentation, from class `first` on; 255 elsewhere.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn confident_label(&self, first: usize) -> Result<Tensor> {
        let [height, width] = self.size.map(|side| side as f64);
        let whole = self.seg.graph().constant(&[0.0, height, 0.0, width], [1, 4]);
        let whole = PictureBox::new(&whole.expand([self.batch(), 4])?.to_integer()?, self.size)?;
        segmentation_label(self.seg, &whole, self.config.sigma_s, Confidence::new(self.config), first)?.to_integer()
    }

    /// The maps of seeds that any method has: [`SEED`], [`CAM`], [`PAR`] in the final test, [`AFA`] if the network
    /// predicts an affinity.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn seed_maps(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let mut maps = vec![(SEED.name, self.seed_heat()?), (CAM.name, self.seed_label()?)];
        if self.protocol == Protocol::Test {
            maps.push((PAR.name, self.refined_label()?));
        }
        if self.has_affinity() {
            maps.push((AFA.name, self.walked_label()?));
        }
        Ok(maps)
    }
}
