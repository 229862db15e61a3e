//! What is computed when a trained network is evaluated on images, as a graph: passes by a protocol, and the maps of
//! the method.

use std::sync::Arc;

use super::request::{Maps, Request, Tags};
use crate::config::Config;
use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::nn::Mode;
use crate::error::{Error, Result};
use crate::method::{MapInfo, MapPass, Method, Protocol};
use crate::parts::images::Images;
use crate::parts::network::{Network, NetworkConfig, NetworkOptions, Outputs};
use crate::parts::propagation::{Par, PictureBox, Scene, Slots};
use crate::parts::seeds::{MultiScale, multi_scale, test_scales};

/// What a view computes, recorded. The fields of the same names of [`super::model::Seen`] describe each map.
pub struct EvalGraph {
    pub graph: Graph,
    /// All outputs that are read after a run.
    pub read: Vec<Tensor>,
    /// The input, bytes \[B, H, W, 3\] of `input_size`.
    pub images: Tensor,
    /// The size of the uploaded images, see [`input_size`].
    pub input_size: [usize; 2],
    /// The size of the network's input.
    pub looked_at: [usize; 2],
    /// The size of all maps below, see [`map_size`].
    pub map_size: [usize; 2],
    pub seg: Tensor,
    pub msc: Option<Tensor>,
    pub probabilities: Option<Tensor>,
    pub cls: Tensor,
    pub tagged: Option<TaggedMaps>,
}

/// The part of [`EvalGraph`] that uses the images' tags.
pub struct TaggedMaps {
    /// The slots of the classes, if the host writes them.
    pub given: Option<Tensor>,
    /// Slots per image.
    pub slots: usize,
    /// The box without padding, at the size of the network's input: y0, y1, x0, x1.
    pub boxes: Tensor,
    /// Its height and width at the size of the truth.
    pub extent: Tensor,
    /// The maps of the method, \[B, H, W\].
    pub maps: Vec<(MapInfo, Tensor)>,
}

/// Elements of a map of scores, \[classes or slots, H, W\], of an image at most: 128 MiB, what any device binds.
const MOST_SCORES: usize = 1 << 25;

/// Records the evaluation of a network of this configuration.
pub struct Recorder<'a> {
    /// Every option.
    pub config: &'a Config,
    /// Sizes of the network.
    pub network: &'a NetworkConfig,
    /// The method it was trained with.
    pub method: &'a Arc<dyn Method>,
}

impl Recorder<'_> {
    /// Records `request` for images of `size`. Maps of the network are computed at the input size of the protocol and
    /// resized to `size`, or to [`map_size`] if that is smaller.
    pub fn record(&self, batch: usize, size: [usize; 2], request: Request) -> Result<EvalGraph> {
        let graph = Graph::new();
        let network = Network::new(&graph, self.network, NetworkOptions::new(self.config))?;
        let images = Images::of_bytes(&graph, batch, input_size(self.config, size))?;
        let slots = if request.tags == Tags::Unknown { 0 } else { self.slots(request.tags) };
        let (image_size, size) = (size, map_size(size, self.network.classes.max(slots)));
        let passes = graph.without_gradient(|| self.passes(&network, &images, [image_size, size], request))?;
        let Passes { looked_at, single, fused, scales } = passes;
        let labels = |logits: &Tensor| logits.arg_max_keep(1)?.reshape([batch, size[0], size[1]]);
        let seg = labels(&single.seg)?;
        let mut read = vec![seg.clone(), single.cls.clone()];
        let msc = fused.as_ref().map(labels).transpose()?;
        let best = fused.as_ref().unwrap_or(&single.seg);
        let probabilities = request.probabilities.then(|| best.log_softmax(1)?.exp()).transpose()?;
        read.extend(msc.iter().chain(&probabilities).cloned());
        let tagged = match scales {
            None => None,
            Some(scales) => Some(self.tagged(request, size, &looked_at, &single, &scales)?),
        };
        read.extend(tagged.iter().flat_map(|tagged| tagged.maps.iter().map(|(_, map)| map.clone())));
        let (input_size, looked_at) = (images.size(), looked_at.size());
        Ok(EvalGraph {
            graph,
            read,
            images: images.input,
            input_size,
            looked_at,
            map_size: size,
            seg,
            msc,
            probabilities,
            cls: single.cls,
            tagged,
        })
    }

    /// The slots of an image whose tags are known.
    fn slots(&self, tags: Tags) -> usize {
        Slots::width_for(match tags {
            Tags::Given(max_tags) => max_tags,
            _ => self.network.classes - 1,
        })
    }

    /// Runs the network according to the protocol. The sizes are those of the images, before the host resized them, and
    /// of the results.
    fn passes(
        &self,
        network: &Network,
        images: &Images,
        [image_size, size]: [[usize; 2]; 2],
        request: Request,
    ) -> Result<Passes> {
        let (config, mode) = (self.config, Mode::Eval);
        let (image, batch) = (&images.normalised, images.batch());
        match request.protocol {
            Protocol::Train => {
                let outputs = network.forward(image, &mode)?;
                let scales = (request.tags != Tags::Unknown)
                    .then(|| multi_scale(network, image, &config.ms_scales, Some(&outputs), &mode))
                    .transpose()?;
                let Outputs { cls, seg, .. } = outputs;
                Ok(Passes { looked_at: images.clone(), single: Single::new(cls, &seg, size)?, fused: None, scales })
            }
            Protocol::Test => {
                // Cut to whole pixels, so that the long side may become 511 (method.md 13.42).
                let looked_at = match config.test_long_side {
                    0 => images.clone(),
                    _ => {
                        let ratio = ratio(config, request.protocol, image_size);
                        images.resized(image_size.map(|side| (side as f64 * ratio) as usize))?
                    }
                };
                let scales = test_scales(network, &looked_at.normalised, &config.test_scales, config.test_flip, &mode)?;
                let fused = scales.logits(0..batch, 0..self.network.classes, config.test_fuse)?;
                let pass = scales.at_scale_1();
                let cls = pass.pictures(0..batch, |outputs| &outputs.cls)?;
                let seg = pass.pictures(0..batch, |outputs| &outputs.seg)?;
                let single = Single::new(cls, &seg, size)?;
                Ok(Passes { looked_at, single, fused: Some(fused.resize(size, false)?), scales: Some(scales) })
            }
        }
        .map(|passes| match request.tags {
            Tags::Unknown => Passes { scales: None, ..passes },
            _ => passes,
        })
    }

    /// The maps of the method on whole pictures, at the size of the truth (method.md 9.2, 9.3).
    fn tagged(
        &self,
        request: Request,
        size: [usize; 2],
        looked_at: &Images,
        single: &Single,
        scales: &MultiScale,
    ) -> Result<TaggedMaps> {
        let (graph, batch) = (looked_at.input.graph(), looked_at.batch());
        let slots = self.slots(request.tags);
        let (given, classes) = match request.tags {
            Tags::Predicted => (None, predicted_classes(&single.cls, slots)?),
            _ => {
                let given = graph.input("classes", [batch, slots], DType::I32);
                (Some(given.clone()), given)
            }
        };
        let boxes = graph.input("boxes", [batch, 4], DType::I32);
        let extent = graph.input("extent", [batch, 2], DType::I32);
        let scene = Scene {
            picture: looked_at.pictures()?,
            classes,
            picture_box: PictureBox::new(&boxes, looked_at.size())?,
            par: Par::new(self.config),
        };
        let seeds = scales.seeds(0..batch, &scene.classes)?;
        let maps = self.method.record_maps(&MapPass {
            config: self.config,
            protocol: request.protocol,
            size,
            seg: &single.seg,
            scales,
            scene: &scene,
            seeds: &seeds,
            large_seeds: &seeds.resize_channels_last(size, false)?,
            extent: &extent,
        })?;
        Ok(TaggedMaps { given, slots, boxes, extent, maps: self.described(maps, request.maps)? })
    }

    /// Those of the recorded maps that are `wanted`, with the descriptions of the method, in its order.
    fn described(&self, maps: Vec<(&'static str, Tensor)>, wanted: Maps) -> Result<Vec<(MapInfo, Tensor)>> {
        let infos = self.method.maps();
        if let Some((name, _)) = maps.iter().find(|(name, _)| !infos.iter().any(|info| info.name == *name)) {
            let method = self.method.name();
            return Err(Error::Graph(format!("method `{method}` records the map `{name}`, which it does not list")));
        }
        let found = |info: &MapInfo| {
            let map = maps.iter().find(|(name, _)| *name == info.name)?;
            Some((*info, map.1.clone()))
        };
        Ok(infos.iter().filter(|info| wanted.have(info)).filter_map(found).collect())
    }
}

/// The size of the maps for images of `size`, with so many scores for each pixel: the same, but of very large images one at
/// which no map of scores has more than [`MOST_SCORES`] elements. It depends on nothing else, so that all devices compute
/// alike.
fn map_size(size: [usize; 2], scores: usize) -> [usize; 2] {
    let (most, pixels) = (MOST_SCORES / scores, size[0] * size[1]);
    if pixels <= most {
        return size;
    }
    let ratio = (most as f64 / pixels as f64).sqrt();
    let [short, long] = [size[0].min(size[1]), size[0].max(size[1])].map(|side| side as f64 * ratio);
    let short = (short as usize).max(1);
    let long = (long as usize).min(most / short);
    if size[0] < size[1] { [short, long] } else { [long, short] }
}

/// The size to which the host resizes an image of `size`, given by the option `data.long_side`.
pub fn input_size(config: &Config, size: [usize; 2]) -> [usize; 2] {
    let ratio = ratio_to(config.data_long_side, size);
    size.map(|side| ((side as f64 * ratio).round() as usize).max(1))
}

/// The factor by which an image of `size` is resized for a protocol, by host and device together.
pub fn ratio(config: &Config, protocol: Protocol, size: [usize; 2]) -> f64 {
    match (protocol, config.test_long_side) {
        (Protocol::Train, _) | (Protocol::Test, 0) => ratio_to(config.data_long_side, size),
        (Protocol::Test, long_side) => ratio_to(long_side, size),
    }
}

/// The factor that gives an image of `size` this long side; 0 stands for its own.
fn ratio_to(long_side: usize, [height, width]: [usize; 2]) -> f64 {
    match long_side {
        0 => 1.0,
        long_side => long_side as f64 / height.max(width) as f64,
    }
}

/// Slots of the classes with logits \[B, K\] above 0: i32 \[B, slots\], class k in slot k, −1 if it is not predicted.
fn predicted_classes(cls: &Tensor, slots: usize) -> Result<Tensor> {
    let (graph, batch, foreground) = (cls.graph(), cls.shape()[0], cls.shape()[1]);
    let numbers: Vec<_> = (0..foreground).map(|class| class as f64 + 2.0).collect();
    let found = cls.greater(&graph.scalar(0.0))?.mul(&graph.constant(&numbers, [foreground]))?.offset(-1.0)?;
    let unused = graph.full(-1.0, [batch, slots - 1 - foreground])?;
    let background = graph.full(0.0, [batch, 1])?;
    let parts = if slots == 1 + foreground { vec![&background, &found] } else { vec![&background, &found, &unused] };
    Tensor::concat(&parts, 1)?.to_integer()
}

/// The results of a protocol's passes, from which labels are made.
struct Passes {
    /// The images at the size of the network's input.
    looked_at: Images,
    single: Single,
    /// Logits over all scales, \[B, K + 1, H, W\] at the size of the maps.
    fused: Option<Tensor>,
    scales: Option<MultiScale>,
}

/// One pass over the unscaled images.
struct Single {
    /// Image logits \[B, K\].
    cls: Tensor,
    /// Segmentation logits at the size of the maps.
    seg: Tensor,
}

impl Single {
    fn new(cls: Tensor, seg: &Tensor, size: [usize; 2]) -> Result<Self> {
        Ok(Single { cls, seg: seg.resize(size, false)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: images of a usual size are evaluated at their own, those of any other size within what all devices bind.
    #[test]
    fn maps_fit_every_device() {
        assert_eq!(map_size([375, 500], 21), [375, 500]);
        assert_eq!(map_size([1024, 2048], 16), [1024, 2048], "exactly the limit");
        for (size, scores) in [([3024, 4032], 7), ([4032, 3024], 7), ([8000, 6000], 21), ([1, 40_000_000], 4)] {
            let [height, width] = map_size(size, scores);
            assert!(height * width * scores <= MOST_SCORES && height * width * scores * 100 > MOST_SCORES * 99);
            let shape = |[height, width]: [usize; 2]| height as f64 / width as f64;
            assert!(size.contains(&1) || (shape([height, width]) / shape(size) - 1.0).abs() < 1e-3);
        }
    }
}
