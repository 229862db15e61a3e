//! A trained network that looks at whole images, in evaluation form.

use super::canvas::{cut, padded};
use super::request::{Protocol, Request, Tags};
use super::sight::{Recorder, Sight, test_ratio};
use crate::config::Config;
#[cfg(feature = "native")]
use crate::data::Mask;
use crate::data::{Rgb8, normalise};
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Parameter;
use crate::engine::session::{Program, Session};
use crate::error::{Error, Result};
use crate::parts::network::{Form, Network, NetworkConfig};
use crate::parts::propagation::Slots;
use crate::run::weights::Checkpoint;

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
    pub fn load(run: &std::path::Path, device: impl Into<crate::engine::gpu::DeviceChoice>) -> Result<Self> {
        let checkpoint = super::network::opened(run, &[])?;
        Model::of(&crate::run::device::open(device)?, &checkpoint)
    }

    /// Names of the foreground classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The configuration it was trained with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Smallest side of an image in training's validation: at the smallest scale the encoder still needs its own
    /// (spec 13.40).
    pub fn smallest_side(&self) -> usize {
        self.smallest_at(&self.config.ms_scales)
    }

    /// The size at which an image of `own` height and width is looked at: at least [`Model::smallest_side`].
    pub fn canvas(&self, own: [usize; 2]) -> [usize; 2] {
        self.canvas_for(Protocol::Train, own)
    }

    /// The size to which an image of `own` height and width is filled up, so that the encoder sees enough of it at the
    /// smallest scale of a protocol.
    pub fn canvas_for(&self, protocol: Protocol, own: [usize; 2]) -> [usize; 2] {
        let smallest = match protocol {
            Protocol::Train => self.smallest_side(),
            Protocol::Test => {
                let needed = self.smallest_at(&self.config.test_scales) as f64;
                (needed / test_ratio(&self.config, own)).ceil() as usize
            }
        };
        own.map(|side| side.max(smallest))
    }

    /// Smallest side that leaves the encoder enough at all of `scales` and at 1.
    fn smallest_at(&self, scales: &[f64]) -> usize {
        (self.config.smallest_side() as f64 / scales.iter().copied().fold(1.0, f64::min)).ceil() as usize
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
        self.view_for(batch, size, Request { tags: max_tags.map_or(Tags::Unknown, Tags::Given), ..Request::default() })
    }

    /// Prepares to look at `batch` images of `size` at once for what `request` asks.
    ///
    /// # Errors
    /// If the plan does not fit the device.
    pub fn view_for(&self, batch: usize, size: [usize; 2], request: Request) -> Result<View> {
        let sight = self.recorder().record(batch, size, request)?;
        let program = self.session.compile(&sight.graph, &sight.read.iter().collect::<Vec<_>>())?;
        Ok(View { program, batch, size, foreground: self.network.classes - 1, sight })
    }

    fn recorder(&self) -> Recorder<'_> {
        Recorder { config: &self.config, network: &self.network }
    }

    /// Plans what [`Model::view_for`] would prepare, and prepares nothing.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check_view(&self, batch: usize, size: [usize; 2], request: Request) -> Result<()> {
        let sight = self.recorder().record(batch, size, request)?;
        self.session.plan(&sight.graph, &sight.read.iter().collect::<Vec<_>>()).map(|_| ())
    }
}

/// Parameters of a network, in order.
pub(super) fn parameters(network: &NetworkConfig, config: &Config) -> Result<Vec<Parameter>> {
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

/// What the model says of one batch; label maps are \[B, H, W\].
pub struct Seen {
    /// Arg-max of the segmentation branch, one pass over the image.
    pub seg: Vec<u8>,
    /// Arg-max of its logits fused over scales and mirror images, in the final test.
    pub msc: Option<Vec<u8>>,
    /// Softmax of the best logits there are, \[B, K + 1, H, W\], if wanted.
    pub probabilities: Option<Vec<f32>>,
    /// Image logits \[B, K\].
    pub cls: Vec<f32>,
    /// What it says with the images' tags known.
    pub tagged: Option<SeenTagged>,
}

/// The part of [`Seen`] that knows the images' tags.
pub struct SeenTagged {
    /// Seeds against the background threshold.
    pub seeds: Vec<u8>,
    /// Seeds refined by PAR against the background threshold, in the final test.
    pub par: Option<Vec<u8>>,
    /// Seeds after a step along the predicted affinity.
    pub afa: Vec<u8>,
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
        let Sight { image, looked_at, seg, msc, probabilities, cls, tagged, .. } = &self.sight;
        self.program.write(image, images)?;
        if let Some(tagged) = tagged {
            if let Some(classes) = &tagged.given {
                self.program.write(classes, &Slots::new(tags, self.foreground, tagged.slots).classes)?;
            }
            let resized = |side: i32, axis: usize| side * looked_at[axis] as i32 / self.size[axis] as i32;
            let boxes = boxes.chunks_exact(4);
            let rectangle = |sides: &[i32]| [0, 1, 2, 3].map(|side| resized(sides[side], side / 2));
            let extent = |sides: &[i32]| [sides[1] - sides[0], sides[3] - sides[2]];
            self.program.write(&tagged.boxes, &boxes.clone().flat_map(rectangle).collect::<Vec<_>>())?;
            self.program.write(&tagged.extent, &boxes.flat_map(extent).collect::<Vec<_>>())?;
        }
        self.program.run()?;
        let tagged = match tagged {
            None => None,
            Some(tagged) => Some(SeenTagged {
                seeds: self.labels(&tagged.seeds).await?,
                par: self.labels_if(tagged.par.as_ref()).await?,
                afa: self.labels(&tagged.afa).await?,
                y_c: self.labels(&tagged.y_c).await?,
                y_s: self.labels(&tagged.y_s).await?,
                cams: self.reals(&tagged.cams).await?,
            }),
        };
        let msc = self.labels_if(msc.as_ref()).await?;
        let probabilities = match probabilities {
            Some(probabilities) => Some(self.reals(probabilities).await?),
            None => None,
        };
        Ok(Seen { seg: self.labels(seg).await?, msc, probabilities, cls: self.reals(cls).await?, tagged })
    }

    async fn labels(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        Ok(self.program.read_async(tensor).await?.into_iter().map(|label| label as u8).collect())
    }

    async fn labels_if(&self, tensor: Option<&Tensor>) -> Result<Option<Vec<u8>>> {
        match tensor {
            Some(tensor) => Ok(Some(self.labels(tensor).await?)),
            None => Ok(None),
        }
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
        Ok(Mask::new(image.height, image.width, self.look_at(image)?.seg))
    }

    /// Looks at one image, which must not be larger than the view, and whose tags nobody gave.
    ///
    /// # Errors
    /// If the image is larger, or the device was lost.
    #[cfg(feature = "native")]
    pub fn look_at(&mut self, image: &Rgb8) -> Result<Seen> {
        pollster::block_on(self.look_at_async(image, &[]))
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
        for map in std::iter::once(&mut seen.seg).chain(&mut seen.msc) {
            *map = cut(map, 0, size, own);
        }
        if let Some(maps) = &mut seen.probabilities {
            *maps = (0..=self.foreground).flat_map(|class| cut(maps, class, size, own)).collect();
        }
        if let Some(tagged) = &mut seen.tagged {
            let maps = [&mut tagged.seeds, &mut tagged.afa, &mut tagged.y_c, &mut tagged.y_s];
            for map in maps.into_iter().chain(&mut tagged.par) {
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
