//! The whole network: encoder, classification and affinity heads, object-aware decoding (method.md 2).

use std::sync::Arc;

use crate::config::{Config, OfdMode, Pooling};
use crate::engine::graph::{Graph, Storage, Tensor};
use crate::engine::nn::{Init, Mode, Parameter, Scope, Scores, each_part};
use crate::error::{Error, Result};
use crate::parts::batch_parts::{over_parts, together};
use crate::parts::decoder::{Decoder, DecoderSizes};
use crate::parts::encoders;
use crate::parts::encoders::{Encoder, EncoderLayers, Features, Level, SCOPE};

/// An encoder and the sizes of the decoder and heads.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The encoder.
    pub encoder: Arc<dyn Encoder>,
    /// Channels of the decoder.
    pub embed: usize,
    /// Classes with background, K + 1.
    pub classes: usize,
    /// Channel dropout of the decoder.
    pub drop_seg: f64,
}

impl NetworkConfig {
    /// The network of a configuration for `foreground` classes.
    ///
    /// # Errors
    /// [`Error::Config`] if the encoder is unknown.
    pub fn new(config: &Config, foreground: usize) -> Result<Self> {
        let (encoder, embed) = (encoders::find(config)?, config.model_embed_dim);
        Ok(NetworkConfig { encoder, embed, classes: foreground + 1, drop_seg: 0.1 })
    }

    /// Side, in pixels, of a cell of the seeds' grid.
    pub fn cell(&self) -> usize {
        self.encoder.levels().last().map_or(1, |level| level.stride)
    }

    fn check(&self) -> Result<()> {
        let positive = self.embed > 0 && self.classes > 1 && !self.encoder.levels().is_empty();
        if positive && (0.0..1.0).contains(&self.drop_seg) {
            return Ok(());
        }
        let needs = "sizes above 0, two classes, rates below 1";
        Err(Error::Graph(format!("{self:?} is not a valid network: it needs {needs}")))
    }

    fn decoder(&self) -> DecoderSizes {
        DecoderSizes {
            inputs: self.encoder.levels().iter().map(|level| level.channels).collect(),
            embed: self.embed,
            classes: self.classes,
            drop_rate: self.drop_seg,
        }
    }
}

/// Variants of a network of given sizes, and its storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkOptions {
    /// Prior on the decoder's input.
    pub ofd: OfdMode,
    /// Pooling before the classifier.
    pub pooling: Pooling,
    /// Bound of the classifier's initial weights, as a multiple of 1/√C.
    pub classifier_init: f64,
    /// Storage of its features. Seeds, logits, affinity and statistics are always stored in full precision.
    pub features: Storage,
}

impl NetworkOptions {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Self {
        NetworkOptions {
            ofd: config.ofd_mode,
            pooling: config.model_pooling,
            classifier_init: config.model_classifier_init,
            features: config.train_precision.features(),
        }
    }
}

impl Default for NetworkOptions {
    /// As released, in full precision.
    fn default() -> Self {
        NetworkOptions { ofd: OfdMode::Released, pooling: Pooling::Gmp, classifier_init: 1.0, features: Storage::Whole }
    }
}

/// The network's layers, created once per graph and applied to as many inputs as needed.
pub struct Network {
    scope: Scope,
    encoder: Box<dyn EncoderLayers>,
    decoder: Decoder,
    /// Only for encoders with attention scores.
    affinity: Option<AffinityHead>,
    classifier: Tensor,
    options: NetworkOptions,
    config: NetworkConfig,
}

/// Weights of the affinity head: one for each head of every attention whose scores it reads.
struct AffinityHead {
    /// \[1, heads of all, 1, 1\].
    weight: Tensor,
    /// \[1\].
    bias: Tensor,
}

impl AffinityHead {
    /// Parameters `attn_proj`.
    fn new(scope: &Scope, heads: usize) -> Self {
        let projection = scope.at("attn_proj");
        let weight = projection.parameter("weight", [1, heads, 1, 1], Init::Normal((2.0_f64 / 6.0).sqrt()));
        let bias = projection.parameter("bias", [1], Init::Uniform(1.0 / (heads as f64).sqrt()));
        AffinityHead { weight, bias }
    }
}

/// The outputs of a forward pass. Outputs that are not read are never computed.
#[derive(Clone)]
pub struct Outputs {
    /// Features of the encoder.
    pub features: Features,
    /// Image logits \[B, K\].
    pub cls: Tensor,
    /// Seed logits on the grid of the last level, \[B, K, h, w\].
    pub cam_small: Tensor,
    /// P_c: seed logits at the input's size, \[B, K, H, W\].
    pub cam: Tensor,
    /// Predicted affinity in (0, 1) between the cells of the last level, \[B, N, N\], if the encoder has attention
    /// scores.
    pub affinity: Option<Tensor>,
    /// The decoder's map before its norm.
    pub(crate) fused: Tensor,
    /// Segmentation logits on the grid of the first level, \[B, K + 1, h, w\].
    pub seg_small: Tensor,
    /// P_s: segmentation logits at the input's size, \[B, K + 1, H, W\].
    pub seg: Tensor,
}

impl Outputs {
    /// Concatenates the outputs for the parts of a batch.
    pub(crate) fn together(parts: &[Outputs]) -> Result<Outputs> {
        let whole = |of: &dyn Fn(&Outputs) -> &Tensor| together(&parts.iter().map(of).cloned().collect::<Vec<_>>());
        let Features { levels, scores } = &parts[0].features;
        let levels = levels.iter().enumerate().map(|(index, level)| {
            Ok(Level { tokens: whole(&|part| &part.features.levels[index].tokens)?, grid: level.grid })
        });
        let scores = scores.iter().enumerate().map(|(block, scores)| {
            let query = whole(&|part| &part.features.scores[block].query)?;
            Ok(Scores { query, key: whole(&|part| &part.features.scores[block].key)?, heads: scores.heads })
        });
        let affinities: Option<Vec<_>> = parts.iter().map(|part| part.affinity.clone()).collect();
        Ok(Outputs {
            features: Features { levels: levels.collect::<Result<_>>()?, scores: scores.collect::<Result<_>>()? },
            cls: whole(&|part| &part.cls)?,
            cam_small: whole(&|part| &part.cam_small)?,
            cam: whole(&|part| &part.cam)?,
            affinity: affinities.map(|affinities| together(&affinities)).transpose()?,
            fused: whole(&|part| &part.fused)?,
            seg_small: whole(&|part| &part.seg_small)?,
            seg: whole(&|part| &part.seg)?,
        })
    }
}

impl Network {
    /// Records the parameters in the order of the official checkpoints.
    ///
    /// # Errors
    /// [`Error::Graph`] if a size is 0 or invalid for the encoder, background is the only class, or a rate is not in
    /// \[0, 1).
    pub fn new(graph: &Graph, config: &NetworkConfig, options: NetworkOptions) -> Result<Self> {
        config.check()?;
        let scope = Scope::root(graph);
        let encoder = config.encoder.record(&scope.at(SCOPE))?;
        let decoder = Decoder::new(&scope.at("decoder"), &config.decoder())?;
        let heads: usize = config.encoder.score_heads().iter().sum();
        let affinity = (heads > 0).then(|| AffinityHead::new(&scope, heads));
        let foreground = config.classes - 1;
        let channels = config.encoder.levels().last().map_or(0, |level| level.channels);
        let bound = Init::Uniform(options.classifier_init / (channels as f64).sqrt());
        let classifier = scope.at("classifier").parameter("weight", [foreground, channels, 1, 1], bound);
        let classifier = classifier.reshape([foreground, channels])?;
        let config = config.clone();
        Ok(Network { scope, encoder, decoder, affinity, classifier, options, config })
    }

    /// All parameters and running statistics, in order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.scope.parameters()
    }

    /// The scope in which they were recorded.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// image \[B, H, W, 3\], normalised.
    ///
    /// # Errors
    /// If the image is too small.
    pub fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Outputs> {
        self.forward_parts(std::slice::from_ref(image), mode).map(|mut outputs| outputs.swap_remove(0))
    }

    /// The parts of a batch one after another, so that only the maps for the decoder's norm are
    /// in memory for all of them. Nothing else couples samples (method.md 3.2).
    ///
    /// # Errors
    /// If the images are too small.
    pub fn forward_parts(&self, images: &[Tensor], mode: &Mode) -> Result<Vec<Outputs>> {
        self.predict(each_part(images, mode, |image, mode| self.encode(image, mode))?, mode)
    }

    /// A pass over images and their mirror images together, given the outputs for the images of an encoder that computes
    /// the same features again: only the mirror images are encoded. The images are one tensor, or one for each group of
    /// the pass.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_mirrored(&self, images: &[Tensor], outputs: &[Outputs], mode: &Mode) -> Result<Vec<Outputs>> {
        let mut encoded = Vec::with_capacity(2 * images.len());
        for (image, outputs) in images.iter().zip(outputs) {
            let Outputs { features, cls, cam_small, cam, affinity, fused, .. } = outputs.clone();
            encoded.push(Encoded { features, cls, cam_small, cam, affinity, fused });
            encoded.push(self.encode(&image.flip(2)?, mode)?);
        }
        self.predict(encoded, mode)?.chunks(2).map(Outputs::together).collect()
    }

    /// The segmentation of the parts of a batch.
    fn predict(&self, encoded: Vec<Encoded>, mode: &Mode) -> Result<Vec<Outputs>> {
        let fused: Vec<_> = encoded.iter().map(|encoded| encoded.fused.clone()).collect();
        let seg = self.of_features(|| self.decoder.predict(&fused, mode))?;
        let outputs = encoded.into_iter().zip(seg).map(|(encoded, seg_small)| {
            let Encoded { features, cls, cam_small, cam, affinity, fused } = encoded;
            let [.., height, width]: [usize; 4] = cam.extents()?;
            let seg = seg_small.resize([height, width], false)?;
            Ok(Outputs { features, cls, cam_small, cam, affinity, fused, seg_small, seg })
        });
        outputs.collect()
    }

    /// Everything before the decoder's norm.
    fn encode(&self, image: &Tensor, mode: &Mode) -> Result<Encoded> {
        let [batch, height, width, _] = image.extents()?;
        let features = self.of_features(|| self.encoder.forward(image, mode))?;
        let affinity = self.affinity.as_ref();
        let affinity =
            affinity.map(|head| affinity_of_scores(&features.scores, &head.weight, &head.bias)).transpose()?;

        let Some(Level { tokens: last, grid }) = features.levels.last() else {
            return Err(Error::Graph(format!("{:?} returned no features", self.config.encoder)));
        };
        let [_, tokens, channels] = last.extents()?;
        let pooled = match self.options.pooling {
            Pooling::Gmp => last.max_keep(1)?,
            Pooling::Gap => last.sum_keep(1)?.scale(1.0 / tokens as f64)?,
        };
        let pooled = pooled.reshape([batch, channels])?;
        let cls = pooled.linear(&self.classifier, None)?;
        let seeds = last.linear(&self.classifier, None)?;
        let [.., foreground]: [usize; 3] = seeds.extents()?;
        let cam_small = seeds.permute(&[0, 2, 1])?.reshape([batch, foreground, grid.height, grid.width])?;
        let cam = cam_small.resize([height, width], false)?;

        let seen = match self.options.ofd {
            // Detached, and resized through the input's size.
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

    /// Records features, which are stored according to the options.
    fn of_features<T>(&self, record: impl FnOnce() -> T) -> T {
        self.classifier.graph().stored(self.options.features, record)
    }

    /// Its sizes.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Elements of the widest features of one image of a given size, those of the encoder and of the decoder.
    pub fn widest(&self, size: [usize; 2]) -> usize {
        let NetworkConfig { encoder, embed, .. } = &self.config;
        let stride = encoder.levels().first().map_or(1, |level| level.stride);
        let cells: usize = size.iter().map(|side| side.div_ceil(stride)).product();
        encoder.widest(size).max(embed * cells)
    }
}

/// The values of a part of a batch before the decoder's norm.
struct Encoded {
    features: Features,
    cls: Tensor,
    cam_small: Tensor,
    cam: Tensor,
    affinity: Option<Tensor>,
    fused: Tensor,
}

/// Affinity \[B, N, N\] from the scores R of several blocks: σ(Σ_h w_h (R_h + R_hᵀ) + bias) over all heads (method.md
/// 2.1, steps 2 and 3), `weight` \[1, heads of all, 1, 1\]. The weighted sum over heads is taken before the
/// transposition, with which it commutes.
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

/// Object-aware features X̂_i = X_i ⊙ prior (method.md 2.3), the prior \[B, 1, h, w\] resized to every level.
///
/// # Errors
/// If the shapes do not fit.
pub fn see_objects(features: &Features, prior: &Tensor) -> Result<Features> {
    let levels = features.levels.iter().map(|Level { tokens, grid }| {
        let weight = prior.resize([grid.height, grid.width], false)?;
        let [batch, ..]: [usize; 3] = tokens.extents()?;
        Ok(Level { tokens: tokens.mul(&weight.reshape([batch, grid.tokens(), 1])?)?, grid: *grid })
    });
    Ok(Features { levels: levels.collect::<Result<_>>()?, scores: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::graph::DType;
    use crate::engine::nn::Part;
    use crate::engine::reference::square_error;
    use crate::engine::session::Session;
    use crate::parts::encoders::mit::NANO;

    /// Protects: a batch in parts has the same results as at once, including dropout and batch norm, and so
    /// do the statistics of the norm and their gradients.
    #[test]
    fn parts_are_the_batch() {
        let (graph, batch) = (Graph::new(), 4);
        let options = Config::preset("nano").unwrap();
        let mut encoder = NANO.of(&options);
        encoder.sizes.drop_path = 0.5;
        let config = NetworkConfig::new(&options, 5).unwrap();
        let config = NetworkConfig { encoder: Arc::new(encoder), drop_seg: 0.5, ..config };
        let network = Network::new(&graph, &config, NetworkOptions::default()).unwrap();
        let image = graph.input("image", [batch, 32, 48, 3], DType::F32);
        let random = graph.input("random", [3], DType::I32);
        let pass = |counts: &[usize]| {
            let whole = Arc::new(Part::whole(batch));
            let mode = Mode::Train { random: Some(random.clone()), part: Some(whole.clone()) };
            let mut first = 0;
            let part = |count: &usize| {
                first += count;
                image.slice(0, first - count..first).unwrap()
            };
            let images: Vec<_> = counts.iter().map(part).collect();
            graph.reuse_random_streams(0);
            let outputs = Outputs::together(&network.forward_parts(&images, &mode).unwrap()).unwrap();
            let statistics = whole.seen.get().unwrap().all.clone();
            let loss = outputs.seg_small.mul(&outputs.seg_small).unwrap().mean_all().unwrap();
            let slope = graph.gradients(&loss, std::slice::from_ref(&statistics)).unwrap().swap_remove(0);
            let Outputs { features, cls, cam_small, affinity, seg_small, .. } = outputs;
            [features.levels[3].tokens.clone(), cls, cam_small, affinity.unwrap(), seg_small, statistics, slope]
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
