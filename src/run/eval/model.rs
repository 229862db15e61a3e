//! A trained network in evaluation mode, applied to whole images.

use std::borrow::Cow;
use std::sync::Arc;

use super::canvas::{cut, padded, scaled};
use super::checkpoint::parameters;
use super::graph::{EvalGraph, Recorder, ratio};
use super::request::{Request, Tags};
use crate::config::Config;
#[cfg(feature = "native")]
use crate::data::Mask;
use crate::data::Rgb8;
use crate::data::resize::resize_bilinear;
use crate::engine::graph::Tensor;
use crate::engine::session::{Program, Session};
use crate::error::{Error, Result};
use crate::method::{MapInfo, MapKind, Method, Methods, Protocol};
use crate::parts::network::NetworkConfig;
use crate::parts::propagation::Slots;
use crate::run::weights::Checkpoint;

/// A network with its weights on a device.
pub struct Model {
    session: Session,
    config: Config,
    network: NetworkConfig,
    method: Arc<dyn Method>,
    classes: Vec<String>,
}

impl Model {
    /// The network whose weights are in `session`, trained with `method`.
    pub fn new(
        session: &Session,
        config: &Config,
        network: &NetworkConfig,
        method: &Arc<dyn Method>,
        classes: &[String],
    ) -> Self {
        let (config, network, method) = (config.clone(), network.clone(), method.clone());
        Model { session: session.clone(), config, network, method, classes: classes.to_vec() }
    }

    /// The network of a checkpoint, with its weights loaded into `session`; its method must be built in.
    ///
    /// # Errors
    /// If the tensors of the checkpoint do not match its network, or its method is not built in.
    pub fn of(session: &Session, checkpoint: &Checkpoint) -> Result<Self> {
        Model::of_with(session, checkpoint, &Methods::default())
    }

    /// As [`Model::of`], with a method out of `methods`.
    ///
    /// # Errors
    /// As [`Model::of`].
    pub fn of_with(session: &Session, checkpoint: &Checkpoint, methods: &Methods) -> Result<Self> {
        let method = methods.of(&checkpoint.config)?;
        let network = NetworkConfig::new(&checkpoint.config, checkpoint.classes.len())?;
        let mut session = session.clone();
        checkpoint.put(&mut session, &parameters(&network, &checkpoint.config)?)?;
        Ok(Model::new(&session, &checkpoint.config, &network, &method, &checkpoint.classes))
    }

    /// Loads a run's newest checkpoint, or a file, onto a device. Warns on standard error if a newer one is damaged.
    ///
    /// # Errors
    /// If there is no checkpoint, it is damaged, or the device cannot be opened.
    #[cfg(feature = "native")]
    pub fn load(run: &std::path::Path, device: impl Into<crate::engine::gpu::DeviceChoice>) -> Result<Self> {
        Model::load_with(run, device, &Methods::default())
    }

    /// As [`Model::load`], with a method out of `methods`.
    ///
    /// # Errors
    /// As [`Model::load`].
    #[cfg(feature = "native")]
    pub fn load_with(
        run: &std::path::Path,
        device: impl Into<crate::engine::gpu::DeviceChoice>,
        methods: &Methods,
    ) -> Result<Self> {
        let checkpoint = super::checkpoint::opened(Some(run), &[], methods)?;
        Model::of_with(&crate::run::device::open(device)?, &checkpoint, methods)
    }

    /// Names of the foreground classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The configuration it was trained with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The session that holds its weights.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The method it was trained with.
    pub fn method(&self) -> &Arc<dyn Method> {
        &self.method
    }

    /// Smallest side of an image during validation: at the smallest scale it must not fall below the encoder's minimum
    /// (method.md 13.40).
    pub fn smallest_side(&self) -> usize {
        self.smallest_at(&self.config.ms_scales)
    }

    /// The size to which an image of `own` height and width is padded: at least [`Model::smallest_side`].
    pub fn canvas(&self, own: [usize; 2]) -> [usize; 2] {
        self.canvas_for(Protocol::Train, own)
    }

    /// The size to which an image of `own` height and width is padded, so that it is large enough for the encoder at
    /// the smallest scale of a protocol.
    pub fn canvas_for(&self, protocol: Protocol, own: [usize; 2]) -> [usize; 2] {
        let (ratio, smallest) = (
            ratio(&self.config, protocol, own),
            match protocol {
                Protocol::Train => self.smallest_side(),
                Protocol::Test => self.smallest_at(&self.config.test_scales),
            },
        );
        let smallest = (smallest as f64 / ratio).ceil() as usize;
        own.map(|side| side.max(smallest))
    }

    /// Smallest side that is large enough for the encoder at all of `scales` and at 1.
    fn smallest_at(&self, scales: &[f64]) -> usize {
        (self.network.encoder.smallest_side() as f64 / scales.iter().copied().fold(1.0, f64::min)).ceil() as usize
    }

    /// Segments one image; for many images of one size, prepare a [`View`] once and call [`View::segment`].
    ///
    /// # Errors
    /// If the plan does not fit the device, or the device was lost.
    #[cfg(feature = "native")]
    pub fn segment(&self, image: &Rgb8) -> Result<Mask> {
        self.view(1, self.canvas([image.height, image.width]), None)?.segment(image)
    }

    /// Prepares the evaluation of `batch` images of `size` at once; with `max_tags` also the maps of the method, which
    /// use the images' tags.
    ///
    /// # Errors
    /// If the plan does not fit the device.
    pub fn view(&self, batch: usize, size: [usize; 2], max_tags: Option<usize>) -> Result<View> {
        self.view_for(batch, size, Request { tags: max_tags.map_or(Tags::Unknown, Tags::Given), ..Request::default() })
    }

    /// Prepares the evaluation of `batch` images of `size` at once, with the outputs that `request` names.
    ///
    /// # Errors
    /// If the plan does not fit the device.
    pub fn view_for(&self, batch: usize, size: [usize; 2], request: Request) -> Result<View> {
        let recorded = self.recorder().record(batch, size, request)?;
        let program = self.session.compile(&recorded.graph, &recorded.read.iter().collect::<Vec<_>>())?;
        Ok(View { program, batch, size, foreground: self.network.classes - 1, recorded })
    }

    fn recorder(&self) -> Recorder<'_> {
        Recorder { config: &self.config, network: &self.network, method: &self.method }
    }

    /// The maps of the method that a request computes.
    ///
    /// # Errors
    /// If the network does not fit its method.
    #[cfg(feature = "native")]
    pub(super) fn maps(&self, request: Request) -> Result<Vec<MapInfo>> {
        let recorded = self.recorder().record(1, self.canvas_for(request.protocol, [1, 1]), request)?;
        Ok(recorded.tagged.into_iter().flat_map(|tagged| tagged.maps).map(|(info, _)| info).collect())
    }

    /// Plans what [`Model::view_for`] would prepare, without preparing it.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check_view(&self, batch: usize, size: [usize; 2], request: Request) -> Result<()> {
        let recorded = self.recorder().record(batch, size, request)?;
        self.session.plan(&recorded.graph, &recorded.read.iter().collect::<Vec<_>>()).map(|_| ())
    }
}

/// A model prepared for images of one size.
pub struct View {
    program: Program,
    batch: usize,
    size: [usize; 2],
    foreground: usize,
    recorded: EvalGraph,
}

/// The outputs of the model for one batch; label maps are \[B, H, W\].
pub struct Seen {
    /// Arg-max of the segmentation branch, one pass over the image.
    pub seg: Vec<u8>,
    /// Arg-max of its logits fused over scales and mirror images, in the final test.
    pub msc: Option<Vec<u8>>,
    /// Softmax of the fused logits, else of the single pass, \[B, K + 1, H, W\], if requested.
    pub probabilities: Option<Vec<f32>>,
    /// Image logits \[B, K\].
    pub cls: Vec<f32>,
    /// The maps of the method; empty unless the tags of the images are known.
    pub maps: Vec<SeenMap>,
}

/// A map of the method.
pub struct SeenMap {
    /// Its description.
    pub info: MapInfo,
    /// Its values, \[B, H, W\].
    pub values: MapValues,
}

/// The values of a map.
pub enum MapValues {
    /// A class for each pixel, 255 = ignore.
    Labels(Vec<u8>),
    /// A real number from 0 to 1 for each pixel.
    Heat(Vec<f32>),
}

impl MapValues {
    /// The values of image `slot`: the top left part `own` of maps of `size`.
    fn cut(&self, slot: usize, size: [usize; 2], own: [usize; 2]) -> Self {
        match self {
            MapValues::Labels(labels) => MapValues::Labels(cut(labels, slot, size, own)),
            MapValues::Heat(heat) => MapValues::Heat(cut(heat, slot, size, own)),
        }
    }
}

impl SeenMap {
    /// The map of image `slot` of the batch: the top left part `own` of maps of `size`.
    pub fn of_image(&self, slot: usize, size: [usize; 2], own: [usize; 2]) -> Self {
        SeenMap { info: self.info, values: self.values.cut(slot, size, own) }
    }
}

impl Seen {
    /// The labels of a map of the method.
    pub fn labels(&self, name: &str) -> Option<&[u8]> {
        match &self.maps.iter().find(|map| map.info.name == name)?.values {
            MapValues::Labels(labels) => Some(labels),
            MapValues::Heat(_) => None,
        }
    }

    /// The real numbers of a map of the method.
    pub fn heat(&self, name: &str) -> Option<&[f32]> {
        match &self.maps.iter().find(|map| map.info.name == name)?.values {
            MapValues::Heat(heat) => Some(heat),
            MapValues::Labels(_) => None,
        }
    }
}

impl View {
    /// Images in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Evaluates images, red, green and blue bytes \[B, H, W, 3\], with tags \[B, K\]; `boxes` \[B, 4\] are the parts
    /// without padding.
    ///
    /// # Errors
    /// If the sizes do not match, or the device was lost.
    #[cfg(feature = "native")]
    pub fn look(&mut self, images: &[u8], tags: &[f32], boxes: &[i32]) -> Result<Seen> {
        pollster::block_on(self.look_async(images, tags, boxes))
    }

    /// As `look`, without blocking.
    ///
    /// # Errors
    /// If the sizes do not match, or the device was lost.
    pub async fn look_async(&mut self, images: &[u8], tags: &[f32], boxes: &[i32]) -> Result<Seen> {
        let EvalGraph { images: input, input_size, looked_at, map_size, seg, msc, probabilities, cls, tagged, .. } =
            &self.recorded;
        self.program.write(input, &*self.at_input_size(images, *input_size))?;
        if let Some(tagged) = tagged {
            if let Some(classes) = &tagged.given {
                self.program.write(classes, &Slots::new(tags, self.foreground, tagged.slots).classes)?;
            }
            let resized = |side: i32, axis: usize, to: &[usize; 2]| {
                (i64::from(side) * to[axis] as i64 / self.size[axis] as i64) as i32
            };
            let boxes = boxes.chunks_exact(4);
            let rectangle = |sides: &[i32]| [0, 1, 2, 3].map(|side| resized(sides[side], side / 2, looked_at));
            let extent = |sides: &[i32]| {
                [0, 1].map(|axis| resized(sides[2 * axis + 1] - sides[2 * axis], axis, map_size).max(1))
            };
            self.program.write(&tagged.boxes, &boxes.clone().flat_map(rectangle).collect::<Vec<_>>())?;
            self.program.write(&tagged.extent, &boxes.flat_map(extent).collect::<Vec<_>>())?;
        }
        self.program.run()?;
        let mut maps = Vec::new();
        for (info, map) in tagged.iter().flat_map(|tagged| &tagged.maps) {
            let values = match info.kind {
                MapKind::Labels => MapValues::Labels(self.labels(map).await?),
                MapKind::Heat => MapValues::Heat(self.at_image_size(self.reals(map).await?)),
            };
            maps.push(SeenMap { info: *info, values });
        }
        let msc = self.labels_if(msc.as_ref()).await?;
        let probabilities = match probabilities {
            Some(probabilities) => Some(self.at_image_size(self.reals(probabilities).await?)),
            None => None,
        };
        Ok(Seen { seg: self.labels(seg).await?, msc, probabilities, cls: self.reals(cls).await?, maps })
    }

    /// The images at the size of the program's input, resized on the host, since the network's interpolation would
    /// skip pixels of large photographs.
    fn at_input_size<'a>(&self, images: &'a [u8], [height, width]: [usize; 2]) -> Cow<'a, [u8]> {
        if self.size == [height, width] {
            return Cow::Borrowed(images);
        }
        let own = images.chunks_exact(3 * self.size[0] * self.size[1]);
        let resized =
            |image: &[u8]| resize_bilinear(&Rgb8::new(self.size[0], self.size[1], image.to_vec()), height, width).data;
        Cow::Owned(own.flat_map(resized).collect())
    }

    async fn labels(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        Ok(self.at_image_size(self.program.read_async(tensor).await?.into_iter().map(|label| label as u8).collect()))
    }

    /// Maps, scaled to the size of the images if they were computed at a smaller one.
    fn at_image_size<T: Copy>(&self, maps: Vec<T>) -> Vec<T> {
        scaled(maps, self.recorded.map_size, self.size)
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

    /// Evaluates one image without tags, which must not be larger than the view.
    ///
    /// # Errors
    /// If the image is larger, or the device was lost.
    #[cfg(feature = "native")]
    pub fn look_at(&mut self, image: &Rgb8) -> Result<Seen> {
        pollster::block_on(self.look_at_async(image, &[]))
    }

    /// Evaluates one image, which must not be larger than the view, with tags \[K\] if the view takes tags. Does not
    /// block; the maps have the size of the image.
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
        let mut seen = self.look_async(&padded(image, size).data, tags, &picture_box).await?;
        for map in std::iter::once(&mut seen.seg).chain(&mut seen.msc) {
            *map = cut(map, 0, size, own);
        }
        if let Some(maps) = &mut seen.probabilities {
            *maps = (0..=self.foreground).flat_map(|class| cut(maps, class, size, own)).collect();
        }
        for map in &mut seen.maps {
            *map = map.of_image(0, size, own);
        }
        Ok(seen)
    }

    /// Height and width of its images.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}
