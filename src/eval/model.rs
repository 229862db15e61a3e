//! A trained network that looks at whole images, in evaluation form.

use super::canvas::{cut, padded};
use crate::bmp::{
    Confidence, Form, MultiScale, Network, NetworkConfig, Par, PictureBox, Slots, Walk, fixed_threshold_label,
    label_from_map, multi_scale, picture, propagate_with_background, seed_label, segmentation_label, walked_label,
};
use crate::config::{Config, Propagation};
#[cfg(feature = "native")]
use crate::data::Mask;
use crate::data::{Rgb8, normalise};
use crate::error::{Error, Result};
use crate::gpu::DeviceChoice;
use crate::graph::{DType, Graph, Tensor};
use crate::nn::{Mode, Parameter};
use crate::ops::reduce::Reduction;
use crate::session::{Program, Session};
use crate::weights::Checkpoint;

/// A network with its weights on a device.
pub struct Model {
    session: Session,
    config: Config,
    network: NetworkConfig,
    classes: Vec<String>,
}

impl Model {
    /// The network whose weights `session` holds.
    pub fn new(session: &Session, config: &Config, network: &NetworkConfig, classes: &[String]) -> Self {
        let (config, network) = (config.clone(), network.clone());
        Model { session: session.clone(), config, network, classes: classes.to_vec() }
    }

    /// The network of a checkpoint, whose weights this puts into `session`.
    ///
    /// # Errors
    /// If the checkpoint holds other tensors than its network.
    pub fn of(session: &Session, checkpoint: &Checkpoint) -> Result<Self> {
        let network = NetworkConfig::new(&checkpoint.config, checkpoint.classes.len());
        let mut session = session.clone();
        checkpoint.put(&mut session, &parameters(&network, &checkpoint.config)?)?;
        Ok(Model::new(&session, &checkpoint.config, &network, &checkpoint.classes))
    }

    /// Loads a run's newest checkpoint, or a file, onto a device. Says on standard error if a newer one is damaged.
    ///
    /// # Errors
    /// If there is no checkpoint, it is damaged, or the device cannot be opened.
    #[cfg(feature = "native")]
    pub fn load(run: &std::path::Path, device: impl Into<DeviceChoice>) -> Result<Self> {
        let found = Checkpoint::open(run)?;
        let session = Session::open(device)?;
        found.notices().for_each(|notice| eprintln!("{notice}"));
        Model::of(&session, &found.checkpoint).map_err(|error| {
            Error::data(&found.path, error.to_string(), "give a checkpoint that this version of `tagseg train` wrote")
        })
    }

    /// Names of the foreground classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The configuration it was trained with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Smallest side of an image: at the smallest scale the encoder still needs its own (spec 13.40).
    pub fn smallest_side(&self) -> usize {
        let smallest = self.config.ms_scales.iter().copied().fold(1.0, f64::min);
        (self.config.smallest_side() as f64 / smallest).ceil() as usize
    }

    /// The size at which an image of `own` height and width is looked at: at least [`Model::smallest_side`].
    pub fn canvas(&self, own: [usize; 2]) -> [usize; 2] {
        own.map(|side| side.max(self.smallest_side()))
    }

    /// Segments one image; for many of one size prepare a [`View`] once and let it segment them.
    ///
    /// # Errors
    /// If the plan does not fit the device, or the device was lost.
    #[cfg(feature = "native")]
    pub fn segment(&self, image: &Rgb8) -> Result<Mask> {
        self.view(1, self.canvas([image.height, image.width]), None)?.segment(image)
    }

    /// Prepares to look at `batch` images of `size` at once; with `max_tags` also at their seeds and pseudo labels,
    /// which know the images' tags.
    ///
    /// # Errors
    /// If the plan does not fit the device.
    pub fn view(&self, batch: usize, size: [usize; 2], max_tags: Option<usize>) -> Result<View> {
        let sight = self.record(batch, size, max_tags)?;
        let program = self.session.compile(&sight.graph, &sight.read.iter().collect::<Vec<_>>())?;
        Ok(View { program, batch, size, foreground: self.network.classes - 1, sight })
    }

    /// Plans what [`Model::view`] would prepare, and prepares nothing.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check_view(&self, batch: usize, size: [usize; 2], max_tags: Option<usize>) -> Result<()> {
        let sight = self.record(batch, size, max_tags)?;
        self.session.plan(&sight.graph, &sight.read.iter().collect::<Vec<_>>()).map(|_| ())
    }

    fn record(&self, batch: usize, size: [usize; 2], max_tags: Option<usize>) -> Result<Sight> {
        let graph = Graph::new();
        let [height, width] = size;
        let network = Network::new(&graph, &self.network, Form::new(&self.config))?;
        let image = graph.input("image", [batch, 3, height, width], DType::F32);
        let outputs = network.forward(&image, &Mode::Eval)?;
        let seg = outputs.seg.arg_max(1)?.reshape([batch, height, width])?;
        let mut read = vec![seg.clone(), outputs.cls.clone()];
        let tagged = match max_tags {
            None => None,
            Some(max_tags) => {
                let slots = Slots::width_for(max_tags);
                let classes = graph.input("classes", [batch, slots], DType::I32);
                let boxes = graph.input("boxes", [batch, 4], DType::I32);
                let picture_box = PictureBox::new(&boxes, size)?;
                let scales = multi_scale(&network, &image, &self.config.ms_scales, &Mode::Eval)?;
                let seeds = seed_label(&scales.cams, &classes, self.config.cam_bkg)?;
                let y_c = self.propagated_label(&scales, &picture(&image)?, &classes, &picture_box)?.to_integer()?;
                let y_s =
                    segmentation_label(&outputs.seg, &picture_box, self.config.sigma_s, Confidence::new(&self.config))?
                        .to_integer()?;
                let cams = scales.cams.gather_slots(&classes, 1)?.reduce(Reduction::Max, 3..4)?;
                read.extend([seeds.clone(), y_c.clone(), y_s.clone(), cams.clone()]);
                Some(Tagged { classes, boxes, slots, seeds, y_c, y_s, cams })
            }
        };
        Ok(Sight { graph, read, image, seg, cls: outputs.cls, tagged })
    }

    /// Y_c of whole pictures: as training makes it, with every pixel labelled (spec 9.3).
    fn propagated_label(
        &self,
        scales: &MultiScale,
        picture: &Tensor,
        classes: &Tensor,
        picture_box: &PictureBox,
    ) -> Result<Tensor> {
        let (cams, par) = (&scales.cams, Par::new(&self.config));
        // Against one background instead of two there is no band of doubt.
        let background = [self.config.cam_bkg; 2];
        match self.config.propagation {
            Propagation::Bsp => {
                let background = scales.segs.slice(1, 0..1)?;
                let scores = propagate_with_background(cams, &background, picture, classes, picture_box, &par)?;
                label_from_map(&scores, classes, picture_box, None)
            }
            Propagation::Par => Ok(fixed_threshold_label(cams, picture, classes, picture_box, &par, background)?.label),
            Propagation::Afa => {
                let (affinity, grid) = scales.affinity_of(0)?;
                let walk = Walk::new(self.config.aff_radius);
                let label =
                    walked_label(cams, &affinity, grid, picture, classes, picture_box, &walk, &par, background)?;
                Ok(label.label)
            }
        }
    }
}

/// Parameters of a network, in order.
fn parameters(network: &NetworkConfig, config: &Config) -> Result<Vec<Parameter>> {
    Ok(Network::new(&Graph::new(), network, Form::new(config))?.parameters())
}

/// A model prepared for images of one size.
pub struct View {
    program: Program,
    batch: usize,
    size: [usize; 2],
    foreground: usize,
    sight: Sight,
}

/// What a view computes, recorded.
struct Sight {
    graph: Graph,
    read: Vec<Tensor>,
    image: Tensor,
    seg: Tensor,
    cls: Tensor,
    tagged: Option<Tagged>,
}

struct Tagged {
    classes: Tensor,
    boxes: Tensor,
    slots: usize,
    seeds: Tensor,
    y_c: Tensor,
    y_s: Tensor,
    cams: Tensor,
}

/// What the model says of one batch; label maps are \[B, H, W\].
pub struct Seen {
    /// Arg-max of the segmentation branch.
    pub seg: Vec<u8>,
    /// Image logits \[B, K\].
    pub cls: Vec<f32>,
    /// What it says with the images' tags known.
    pub tagged: Option<SeenTagged>,
}

/// The part of [`Seen`] that knows the images' tags.
pub struct SeenTagged {
    /// Seeds against the background threshold.
    pub seeds: Vec<u8>,
    /// Propagated label, every pixel labelled.
    pub y_c: Vec<u8>,
    /// Confident objects of the segmentation branch, else 255.
    pub y_s: Vec<u8>,
    /// Strongest seed of the tagged classes, 0 to 1.
    pub cams: Vec<f32>,
}

impl View {
    /// Images it looks at together.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Looks at normalised images \[B, 3, H, W\] whose real part is `boxes` \[B, 4\], with tags \[B, K\].
    ///
    /// # Errors
    /// If the sizes are others, or the device was lost.
    #[cfg(feature = "native")]
    pub fn look(&mut self, images: &[f32], tags: &[f32], boxes: &[i32]) -> Result<Seen> {
        pollster::block_on(self.look_async(images, tags, boxes))
    }

    /// As `look`, without blocking.
    ///
    /// # Errors
    /// If the sizes are others, or the device was lost.
    pub async fn look_async(&mut self, images: &[f32], tags: &[f32], boxes: &[i32]) -> Result<Seen> {
        let Sight { image, seg, cls, tagged, .. } = &self.sight;
        self.program.write(image, images)?;
        if let Some(tagged) = tagged {
            let slots = Slots::new(tags, self.foreground, tagged.slots);
            self.program.write(&tagged.classes, &slots.classes)?;
            self.program.write(&tagged.boxes, boxes)?;
        }
        self.program.run()?;
        let tagged = match tagged {
            None => None,
            Some(tagged) => Some(SeenTagged {
                seeds: self.labels(&tagged.seeds).await?,
                y_c: self.labels(&tagged.y_c).await?,
                y_s: self.labels(&tagged.y_s).await?,
                cams: self.reals(&tagged.cams).await?,
            }),
        };
        Ok(Seen { seg: self.labels(seg).await?, cls: self.reals(cls).await?, tagged })
    }

    async fn labels(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        Ok(self.program.read_async(tensor).await?.into_iter().map(|label| label as u8).collect())
    }

    async fn reals(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(self.program.read_async(tensor).await?.into_iter().map(|value| value as f32).collect())
    }

    /// Segments one image, which must not be larger than the view.
    ///
    /// # Errors
    /// If the image is larger, or the device was lost.
    #[cfg(feature = "native")]
    pub fn segment(&mut self, image: &Rgb8) -> Result<Mask> {
        let seen = pollster::block_on(self.look_at_async(image, &[]))?;
        Ok(Mask::new(image.height, image.width, seen.seg))
    }

    /// Looks at one image, which must not be larger than the view, with tags \[K\] if the view knows tags. Without
    /// blocking; the maps are of the image's own size.
    ///
    /// # Errors
    /// If the image is larger, or the device was lost.
    pub async fn look_at_async(&mut self, image: &Rgb8, tags: &[f32]) -> Result<Seen> {
        let (own, size) = ([image.height, image.width], self.size);
        if own[0] > size[0] || own[1] > size[1] || self.batch != 1 {
            let [height, width] = size;
            return Err(Error::Graph(format!(
                "{own:?} pixels do not fit a view of {} x [{height}, {width}]",
                self.batch
            )));
        }
        let picture_box = [0, own[0] as i32, 0, own[1] as i32];
        let mut seen = self.look_async(&normalise(&padded(image, size)), tags, &picture_box).await?;
        seen.seg = cut(&seen.seg, 0, size, own);
        if let Some(tagged) = &mut seen.tagged {
            for map in [&mut tagged.seeds, &mut tagged.y_c, &mut tagged.y_s] {
                *map = cut(map, 0, size, own);
            }
            tagged.cams = cut(&tagged.cams, 0, size, own);
        }
        Ok(seen)
    }

    /// Height and width of its images.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}
