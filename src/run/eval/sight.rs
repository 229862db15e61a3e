//! What is computed when a trained network looks at images, as a graph: passes by a protocol, labels of both branches.

use super::request::{Protocol, Request, Tags};
use crate::config::{Config, Propagation};
use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::nn::Mode;
use crate::error::Result;
use crate::parts::labels::{Confidence, seed_label, segmentation_label};
use crate::parts::network::{Form, Network, NetworkConfig, Outputs};
use crate::parts::propagation::{
    Par, PictureBox, Slots, best_class, fixed_threshold_label, propagate_with_background, refined_seeds,
};
use crate::parts::seeds::{MultiScale, multi_scale, picture, test_scales};
use crate::parts::walk::{Walk, walked_label};

/// What a view computes, recorded. The fields of [`super::model::Seen`] of the same names tell what each map is.
pub struct Sight {
    pub graph: Graph,
    /// All that is read after a run.
    pub read: Vec<Tensor>,
    /// The input \[B, 3, H, W\].
    pub image: Tensor,
    /// The size that the network looks at.
    pub looked_at: [usize; 2],
    pub seg: Tensor,
    pub msc: Option<Tensor>,
    pub probabilities: Option<Tensor>,
    pub cls: Tensor,
    pub tagged: Option<Tagged>,
}

/// The part of [`Sight`] that knows the images' tags.
pub struct Tagged {
    /// The classes' slots, if the host writes them.
    pub given: Option<Tensor>,
    /// Slots of an image.
    pub slots: usize,
    /// The part that is image, at the size that the network looks at: y0, y1, x0, x1.
    pub boxes: Tensor,
    /// Its height and width at the size of the truth.
    pub extent: Tensor,
    pub seeds: Tensor,
    pub par: Option<Tensor>,
    pub afa: Tensor,
    pub y_c: Tensor,
    pub y_s: Tensor,
    pub cams: Tensor,
}

/// Records what a network of this form and configuration computes.
pub struct Recorder<'a> {
    /// Every option.
    pub config: &'a Config,
    /// Sizes of the network.
    pub network: &'a NetworkConfig,
}

impl Recorder<'_> {
    /// Records `request`. Maps of the network are made at the size that the protocol looks at, and end at `size`.
    pub fn record(&self, batch: usize, size: [usize; 2], request: Request) -> Result<Sight> {
        let graph = Graph::new();
        let network = Network::new(&graph, self.network, Form::new(self.config))?;
        let image = graph.input("image", [batch, 3, size[0], size[1]], DType::F32);
        let Passes { looked_at, single, fused, scales } = self.passes(&network, &image, request)?;
        let labels = |logits: &Tensor| logits.arg_max_keep(1)?.reshape([batch, size[0], size[1]]);
        let seg = labels(&single.seg)?;
        let mut read = vec![seg.clone(), single.cls.clone()];
        let msc = fused.as_ref().map(labels).transpose()?;
        let best = fused.as_ref().unwrap_or(&single.seg);
        let probabilities = request.probabilities.then(|| best.log_softmax(1)?.exp()).transpose()?;
        read.extend(msc.iter().chain(&probabilities).cloned());
        let tagged = match scales {
            None => None,
            Some(scales) => Some(self.tagged(request, [batch, size[0], size[1]], &looked_at, &single, &scales)?),
        };
        if let Some(tagged) = &tagged {
            let labels = [&tagged.seeds, &tagged.afa, &tagged.y_c, &tagged.y_s, &tagged.cams];
            read.extend(labels.into_iter().chain(&tagged.par).cloned());
        }
        let looked_at = [looked_at.shape()[2], looked_at.shape()[3]];
        Ok(Sight { graph, read, image, looked_at, seg, msc, probabilities, cls: single.cls, tagged })
    }

    /// Runs the network as the protocol says.
    fn passes(&self, network: &Network, image: &Tensor, request: Request) -> Result<Passes> {
        let (config, mode) = (self.config, Mode::Eval);
        let (batch, size) = (image.shape()[0], [image.shape()[2], image.shape()[3]]);
        match request.protocol {
            Protocol::Train => {
                let Outputs { cls, seg, .. } = network.forward(image, &mode)?;
                let scales = (request.tags != Tags::Unknown)
                    .then(|| multi_scale(network, image, &config.ms_scales, &mode))
                    .transpose()?;
                Ok(Passes { looked_at: image.clone(), single: Single::new(cls, &seg, size)?, fused: None, scales })
            }
            Protocol::Test => {
                // Cut to whole pixels, so that the long side may become 511 (spec 13.42).
                let ratio = test_ratio(config, size);
                let looked_at = image.resize(size.map(|side| (side as f64 * ratio) as usize), false)?;
                let scales = test_scales(network, &looked_at, &config.test_scales, config.test_flip, &mode)?;
                let fused = scales.logits(0..batch, 0..self.network.classes, config.test_fuse)?;
                let cls = scales.passes[0].pictures(0..batch, |outputs| &outputs.cls)?;
                let seg = scales.passes[0].pictures(0..batch, |outputs| &outputs.seg)?;
                let single = Single::new(cls, &seg, size)?;
                Ok(Passes { looked_at, single, fused: Some(fused.resize(size, false)?), scales: Some(scales) })
            }
        }
        .map(|passes| match request.tags {
            Tags::Unknown => Passes { scales: None, ..passes },
            _ => passes,
        })
    }

    /// Seeds and pseudo labels of whole pictures, at the size of the truth (spec 9.2, 9.3).
    fn tagged(
        &self,
        request: Request,
        [batch, height, width]: [usize; 3],
        looked_at: &Tensor,
        single: &Single,
        scales: &MultiScale,
    ) -> Result<Tagged> {
        let (graph, config, size) = (looked_at.graph(), self.config, [height, width]);
        let foreground = self.network.classes - 1;
        let slots = Slots::width_for(match request.tags {
            Tags::Given(max_tags) => max_tags,
            _ => foreground,
        });
        let (given, classes) = match request.tags {
            Tags::Predicted => (None, predicted_classes(&single.cls, slots)?),
            _ => {
                let given = graph.input("classes", [batch, slots], DType::I32);
                (Some(given.clone()), given)
            }
        };
        let boxes = graph.input("boxes", [batch, 4], DType::I32);
        let extent = graph.input("extent", [batch, 2], DType::I32);
        let picture_box = PictureBox::new(&boxes, [looked_at.shape()[2], looked_at.shape()[3]])?;
        let picture = picture(looked_at)?;
        let seeds = scales.seeds(0..batch, &classes)?;

        let label = |scores: &Tensor| best_class(&scores.resize_channels_last(size, false)?, &classes);
        let y_c = label(&self.propagated_scores(scales, &seeds, &picture, &classes, &picture_box)?)?;
        let background = match request.protocol {
            Protocol::Train => config.cam_low,
            Protocol::Test => config.cam_bkg,
        };
        let (affinity, grid) = scales.passes[0].affinity(0..batch)?;
        let walk = Walk::new(config.aff_radius);
        let afa = label(&walk.from_seeds(&seeds, &classes, &affinity, grid, background)?)?;
        let par = match request.protocol {
            Protocol::Train => None,
            Protocol::Test => {
                let picture = picture.resize(size, false)?;
                let par = Par::new(config);
                Some(label(&refined_seeds(&seeds, &picture, &classes, &extent, &par, config.cam_bkg)?)?)
            }
        };
        let whole = PictureBox::new(
            &graph.constant(&[0.0, height as f64, 0.0, width as f64], [1, 4]).expand([batch, 4])?.to_integer()?,
            size,
        )?;
        let first = config.s2c_map.first_class();
        let y_s =
            segmentation_label(&single.seg, &whole, config.sigma_s, Confidence::new(config), first)?.to_integer()?;
        let cams = seeds.resize_channels_last(size, false)?;
        let seeds = seed_label(&cams, &classes, config.cam_bkg)?;
        let cams = cams.max_keep(3)?;
        Ok(Tagged { given, slots, boxes, extent, seeds, par, afa, y_c, y_s, cams })
    }

    /// The scores that Y_c of whole pictures is the arg-max of, in slots \[B, h, w, P\], propagated as training does.
    fn propagated_scores(
        &self,
        scales: &MultiScale,
        seeds: &Tensor,
        picture: &Tensor,
        classes: &Tensor,
        picture_box: &PictureBox,
    ) -> Result<Tensor> {
        let (batch, par) = (seeds.shape()[0], Par::new(self.config));
        // Against one background instead of two there is no band of doubt.
        let background = [self.config.cam_bkg; 2];
        match self.config.propagation {
            Propagation::Bsp => {
                let background = scales.scores(0..batch, 0..1)?;
                propagate_with_background(seeds, &background, picture, classes, picture_box, &par)
            }
            Propagation::Par => Ok(fixed_threshold_label(seeds, picture, classes, picture_box, &par, background)?.high),
            Propagation::Afa => {
                let (affinity, grid) = scales.passes[0].affinity(0..batch)?;
                let walk = Walk::new(self.config.aff_radius);
                let label =
                    walked_label(seeds, &affinity, grid, picture, classes, picture_box, &walk, &par, background)?;
                let [_, high] = label.refined;
                Ok(high)
            }
        }
    }
}

/// By how much an image of `size` is resized before the final test.
pub fn test_ratio(config: &Config, [height, width]: [usize; 2]) -> f64 {
    match config.test_long_side {
        0 => 1.0,
        long_side => long_side as f64 / height.max(width) as f64,
    }
}

/// Slots of the classes with logits \[B, K\] above 0: i32 \[B, slots\], class k in slot k, −1 where it is not found.
fn predicted_classes(cls: &Tensor, slots: usize) -> Result<Tensor> {
    let (graph, batch, foreground) = (cls.graph(), cls.shape()[0], cls.shape()[1]);
    let numbers: Vec<_> = (0..foreground).map(|class| class as f64 + 2.0).collect();
    let found = cls.greater(&graph.scalar(0.0))?.mul(&graph.constant(&numbers, [foreground]))?.offset(-1.0)?;
    let unused = graph.full(-1.0, [batch, slots - 1 - foreground])?;
    let background = graph.full(0.0, [batch, 1])?;
    let parts = if slots == 1 + foreground { vec![&background, &found] } else { vec![&background, &found, &unused] };
    Tensor::concat(&parts, 1)?.to_integer()
}

/// What a protocol makes of the image before labels are made of it.
struct Passes {
    /// The image at the size that the network looks at.
    looked_at: Tensor,
    single: Single,
    /// Logits over all scales, \[B, K + 1, H, W\] at the image's own size.
    fused: Option<Tensor>,
    scales: Option<MultiScale>,
}

/// One pass over the images alone.
struct Single {
    /// Image logits \[B, K\].
    cls: Tensor,
    /// Segmentation logits at the image's own size.
    seg: Tensor,
}

impl Single {
    fn new(cls: Tensor, seg: &Tensor, size: [usize; 2]) -> Result<Self> {
        Ok(Single { cls, seg: seg.resize(size, false)? })
    }
}
