//! The whole network: encoder, classification and affinity heads, object-aware decoding (spec 2).

use crate::config::{Config, KEY_REDUCTION, OfdMode, Pooling};
use crate::engine::graph::{Graph, Storage, Tensor};
use crate::engine::nn::{Init, Mode, Parameter, Scope, Scores, each_part};
use crate::error::{Error, Result};
use crate::parts::batch_parts::{over_parts, together};
use crate::parts::decoder::Decoder;
use crate::parts::encoders::mit::{Encoder, Features};

/// Sizes of a network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NetworkConfig {
    /// Channels of the four stages.
    pub dims: [usize; 4],
    /// Attention heads of the four stages.
    pub heads: [usize; 4],
    /// Blocks of the four stages.
    pub depths: [usize; 4],
    /// Widening of the mix-FFN.
    pub mlp: [usize; 4],
    /// Key reduction.
    pub sr: [usize; 4],
    /// Strides of the patch embeddings.
    pub strides: [usize; 4],
    /// Channels of the decoder.
    pub embed: usize,
    /// Classes with background, K + 1.
    pub classes: usize,
    /// Drop-path rate of the last block.
    pub drop_path: f64,
    /// Channel dropout of the decoder.
    pub drop_seg: f64,
}

impl NetworkConfig {
    /// The network of a configuration for `foreground` classes.
    pub fn new(config: &Config, foreground: usize) -> Self {
        let sizes = config.model_backbone.sizes();
        NetworkConfig {
            dims: sizes.dims,
            heads: sizes.heads,
            depths: sizes.depths,
            mlp: [4; 4],
            sr: KEY_REDUCTION,
            strides: config.model_strides,
            embed: config.model_embed_dim,
            classes: foreground + 1,
            drop_path: 0.1,
            drop_seg: 0.1,
        }
    }

    fn check(&self) -> Result<()> {
        let stages = [self.dims, self.heads, self.depths, self.mlp, self.sr, self.strides];
        let positive = stages.as_flattened().iter().all(|&size| size > 0) && self.embed > 0 && self.classes > 1;
        let rates = [self.drop_path, self.drop_seg].iter().all(|rate| (0.0..1.0).contains(rate));
        if positive && rates {
            return Ok(());
        }
        let needs = "sizes above 0, two classes, rates below 1";
        Err(Error::Graph(format!("{self:?} is no network: it needs {needs}")))
    }
}

/// How a network of given sizes is wired and stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// Prior on the decoder's input.
    pub ofd: OfdMode,
    /// Pooling in front of the classifier.
    pub pooling: Pooling,
    /// How its features may be stored. Seeds, logits, affinity and statistics are stored whole in any case.
    pub features: Storage,
}

impl Form {
    /// The form of a configuration.
    pub fn new(config: &Config) -> Self {
        Form { ofd: config.ofd_mode, pooling: config.model_pooling, features: config.train_precision.features() }
    }
}

impl Default for Form {
    /// As released, stored whole.
    fn default() -> Self {
        Form { ofd: OfdMode::Released, pooling: Pooling::Gmp, features: Storage::Whole }
    }
}

/// The network's layers, made once per graph and applied to as many inputs as needed.
pub struct Network {
    scope: Scope,
    encoder: Encoder,
    decoder: Decoder,
    affinity_weight: Tensor,
    affinity_bias: Tensor,
    classifier: Tensor,
    form: Form,
    config: NetworkConfig,
}

/// What one forward pass gives. What nobody reads is never computed.
pub struct Outputs {
    /// Features of the encoder.
    pub features: Features,
    /// Image logits \[B, K\].
    pub cls: Tensor,
    /// Seed logits on the grid of stage 4, \[B, K, h, w\].
    pub cam_small: Tensor,
    /// P_c: seed logits at the input's size, \[B, K, H, W\].
    pub cam: Tensor,
    /// Predicted affinity in (0, 1), \[B, N, N\].
    pub affinity: Tensor,
    /// Segmentation logits on the grid of stage 1, \[B, K + 1, h, w\].
    pub seg_small: Tensor,
    /// P_s: segmentation logits at the input's size, \[B, K + 1, H, W\].
    pub seg: Tensor,
}

impl Outputs {
    /// What the parts of a batch gave, as what the batch gives.
    pub(crate) fn together(parts: &[Outputs]) -> Result<Outputs> {
        let whole = |of: &dyn Fn(&Outputs) -> &Tensor| together(&parts.iter().map(of).cloned().collect::<Vec<_>>());
        let features = &parts[0].features;
        let tokens = (0..features.tokens.len()).map(|stage| whole(&|part| &part.features.tokens[stage]));
        let scores = features.scores.iter().enumerate().map(|(block, scores)| {
            let query = whole(&|part| &part.features.scores[block].query)?;
            Ok(Scores { query, key: whole(&|part| &part.features.scores[block].key)?, heads: scores.heads })
        });
        Ok(Outputs {
            features: Features {
                tokens: tokens.collect::<Result<_>>()?,
                grids: features.grids.clone(),
                scores: scores.collect::<Result<_>>()?,
            },
            cls: whole(&|part| &part.cls)?,
            cam_small: whole(&|part| &part.cam_small)?,
            cam: whole(&|part| &part.cam)?,
            affinity: whole(&|part| &part.affinity)?,
            seg_small: whole(&|part| &part.seg_small)?,
            seg: whole(&|part| &part.seg)?,
        })
    }
}

impl Network {
    /// Records the parameters in the order of the official checkpoints.
    ///
    /// # Errors
    /// [`Error::Graph`] if a size is 0, a stage's heads do not share its channels, there is no class but background, or a
    /// rate is not in \[0, 1).
    pub fn new(graph: &Graph, config: &NetworkConfig, form: Form) -> Result<Self> {
        config.check()?;
        let scope = Scope::root(graph);
        let encoder = Encoder::new(&scope.at("encoder"), config)?;
        let decoder = Decoder::new(&scope.at("decoder"), config)?;
        let maps = config.heads[3] * config.depths[3].min(2);
        let deviation = (2.0_f64 / 6.0).sqrt();
        let projection = scope.at("attn_proj");
        let affinity_weight = projection.parameter("weight", [1, maps, 1, 1], Init::Normal(deviation));
        let bound = Init::Uniform(1.0 / (maps as f64).sqrt());
        let affinity_bias = projection.parameter("bias", [1], bound);
        let (foreground, channels) = (config.classes - 1, config.dims[3]);
        let bound = Init::Uniform(1.0 / (channels as f64).sqrt());
        let classifier = scope.at("classifier").parameter("weight", [foreground, channels, 1, 1], bound);
        let classifier = classifier.reshape([foreground, channels])?;
        let config = config.clone();
        Ok(Network { scope, encoder, decoder, affinity_weight, affinity_bias, classifier, form, config })
    }

    /// All parameters and running statistics, in order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    /// The place where they were recorded.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// image \[B, 3, H, W\], normalised.
    ///
    /// # Errors
    /// If the image is too small.
    pub fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Outputs> {
        self.forward_parts(std::slice::from_ref(image), mode).map(|mut outputs| outputs.swap_remove(0))
    }

    /// The parts of a batch one after another, so that only the maps which the decoder's norm needs of all of them are
    /// held together. Nothing else couples samples (spec 3.2).
    ///
    /// # Errors
    /// If the images are too small.
    pub fn forward_parts(&self, images: &[Tensor], mode: &Mode) -> Result<Vec<Outputs>> {
        let encoded = each_part(images, mode, |image, mode| self.encode(image, mode))?;
        let fused: Vec<_> = encoded.iter().map(|encoded| encoded.fused.clone()).collect();
        let seg = self.of_features(|| self.decoder.predict(&fused, mode))?;
        let outputs = encoded.into_iter().zip(seg).map(|(encoded, seg_small)| {
            let Encoded { features, cls, cam_small, cam, affinity, .. } = encoded;
            let [.., height, width]: [usize; 4] = cam.extents()?;
            let seg = seg_small.resize([height, width], false)?;
            Ok(Outputs { features, cls, cam_small, cam, affinity, seg_small, seg })
        });
        outputs.collect()
    }

    /// Everything in front of the decoder's norm.
    fn encode(&self, image: &Tensor, mode: &Mode) -> Result<Encoded> {
        let [batch, _, height, width] = image.extents()?;
        let features = self.of_features(|| self.encoder.forward(image, mode))?;
        let affinity = affinity_of_scores(&features.scores, &self.affinity_weight, &self.affinity_bias)?;

        let (last, grid) = (&features.tokens[3], features.grids[3]);
        let [_, _, channels] = last.extents()?;
        let pooled = match self.form.pooling {
            Pooling::Gmp => last.max_keep(1)?,
            Pooling::Gap => last.mean_keep(1)?,
        };
        let pooled = pooled.reshape([batch, channels])?;
        let cls = pooled.linear(&self.classifier, None)?;
        let seeds = last.linear(&self.classifier, None)?;
        let [.., foreground]: [usize; 3] = seeds.extents()?;
        let cam_small = seeds.permute(&[0, 2, 1])?.reshape([batch, foreground, grid.height, grid.width])?;
        let cam = cam_small.resize([height, width], false)?;

        let seen = match self.form.ofd {
            // Detached, and by way of the input's size.
            OfdMode::Released => Some(over_parts(batch, 4 * foreground * height * width, |images| {
                let cam = cam_small.slice(0, images)?.detach()?.resize([height, width], false)?;
                cam.max_keep(1)?.sigmoid()
            })?),
            OfdMode::Paper => Some(cam_small.max_keep(1)?),
            OfdMode::Off => None,
        };
        let fused = self.of_features(|| match seen {
            Some(prior) => self.decoder.fuse(&see_objects(&features, &prior)?),
            None => self.decoder.fuse(&features),
        })?;
        Ok(Encoded { features, cls, cam_small, cam, affinity, fused })
    }

    /// Records features, which are stored as the form says.
    fn of_features<T>(&self, record: impl FnOnce() -> T) -> T {
        self.classifier.graph().stored(self.form.features, record)
    }

    /// Elements of the widest features of one image of a given size, those of stage 1 and of the decoder.
    pub fn widest(&self, [height, width]: [usize; 2]) -> usize {
        let NetworkConfig { dims, mlp, strides, embed, .. } = self.config;
        embed.max(mlp[0] * dims[0]) * height.div_ceil(strides[0]) * width.div_ceil(strides[0])
    }
}

/// What a part of a batch gives in front of the decoder's norm.
struct Encoded {
    features: Features,
    cls: Tensor,
    cam_small: Tensor,
    cam: Tensor,
    affinity: Tensor,
    fused: Tensor,
}

/// Affinity \[B, N, N\] from the scores R of several blocks: σ(Σ_h w_h (R_h + R_hᵀ) + bias) over all heads (spec 2.1,
/// steps 2 and 3), `weight` \[1, heads of all, 1, 1\]. The weighted sum over heads is taken before the transposition,
/// with which it commutes.
///
/// # Errors
/// If the shapes do not fit.
pub fn affinity_of_scores(scores: &[Scores], weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let mut head = 0;
    let mut weighted = scores.iter().map(|scores| {
        let heads = head..head + scores.heads;
        head = heads.end;
        scores.mixed(&weight.slice(1, heads)?.reshape([scores.heads])?)
    });
    let Some(first) = weighted.next() else {
        return Err(Error::Graph("an affinity needs the scores of at least one block".into()));
    };
    let sum = weighted.try_fold(first?, |sum, block| sum.add(&block?))?;
    sum.add(&sum.permute(&[0, 2, 1])?)?.add(bias)?.sigmoid()
}

/// Object-aware features X̂_i = X_i ⊙ prior (spec 2.3), the prior \[B, 1, h, w\] resized to every level.
///
/// # Errors
/// If the shapes do not fit.
pub fn see_objects(features: &Features, prior: &Tensor) -> Result<Features> {
    let mut tokens = Vec::new();
    for (x, grid) in features.tokens.iter().zip(&features.grids) {
        let weight = prior.resize([grid.height, grid.width], false)?;
        let [batch, ..]: [usize; 3] = x.extents()?;
        tokens.push(x.mul(&weight.reshape([batch, grid.tokens(), 1])?)?);
    }
    Ok(Features { tokens, grids: features.grids.clone(), scores: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::OnceLock;

    use super::*;
    use crate::engine::graph::DType;
    use crate::engine::nn::Part;
    use crate::engine::reference::square_error;
    use crate::engine::session::Session;

    /// Protects: a batch that is passed in parts gives what it gives at once, dropout and batch norm included, and so do
    /// the statistics of the norm and their gradients.
    #[test]
    fn parts_are_the_batch() {
        let (graph, batch) = (Graph::new(), 4);
        let config =
            NetworkConfig { drop_seg: 0.5, drop_path: 0.5, ..NetworkConfig::new(&Config::preset("nano").unwrap(), 5) };
        let network = Network::new(&graph, &config, Form::default()).unwrap();
        let image = graph.input("image", [batch, 3, 32, 48], DType::F32);
        let random = graph.input("random", [3], DType::I32);
        let pass = |counts: &[usize]| {
            let whole = Arc::new(Part { images: 0..batch, of: batch, whole: None, own: OnceLock::new() });
            let mode = Mode::Train { random: Some(random.clone()), part: Some(whole.clone()) };
            let mut first = 0;
            let part = |count: &usize| {
                first += count;
                image.slice(0, first - count..first).unwrap()
            };
            let images: Vec<_> = counts.iter().map(part).collect();
            graph.reuse_random_streams(0);
            let outputs = Outputs::together(&network.forward_parts(&images, &mode).unwrap()).unwrap();
            let statistics = whole.own.get().unwrap().clone();
            let loss = outputs.seg_small.mul(&outputs.seg_small).unwrap().mean_all().unwrap();
            let slope = graph.gradients(&loss, std::slice::from_ref(&statistics)).unwrap().swap_remove(0);
            let Outputs { features, cls, cam_small, affinity, seg_small, .. } = outputs;
            [features.tokens[3].clone(), cls, cam_small, affinity, seg_small, statistics, slope]
        };
        let (whole, parts) = (pass(&[4]), pass(&[1, 2, 1]));
        let mut session = Session::open("reference").unwrap();
        for parameter in network.parameters() {
            session.set_state(&parameter.name, &parameter.shape, &parameter.initial(7)).unwrap();
        }
        let mut program = session.compile(&graph, &whole.iter().chain(&parts).collect::<Vec<_>>()).unwrap();
        let noise: Vec<_> =
            (0..batch * 3 * 32 * 48).map(|index| f64::from(index as u32 * 7919 % 1009) / 300.0 - 1.5).collect();
        program.write(&image, &noise).unwrap();
        program.write(&random, &[1, 0, 0]).unwrap();
        program.run().unwrap();
        for (whole, parts) in whole.iter().zip(&parts) {
            let error = square_error(&program.read(parts).unwrap(), &program.read(whole).unwrap());
            assert!(error < 1e-24, "{whole:?}: {error:e}");
        }
        assert!(program.read(&whole[6]).unwrap().iter().any(|&slope| slope != 0.0));
    }
}
