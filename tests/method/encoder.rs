//! An encoder that the library does not know: without attention, with other levels.

use std::sync::Arc;

use tagseg::Session;
use tagseg::engine::graph::Tensor;
use tagseg::engine::nn::{Conv2d, Mode, Scope};
use tagseg::method::afa::Afa;
use tagseg::method::bmp::Bmp;
use tagseg::method::{Method, Sizes, Step};
use tagseg::parts::encoders::{Encoder, EncoderLayers, Features, Level, LevelSize};
use tagseg::parts::network::NetworkConfig;
use tagseg::run::eval::{MapValues, Model};
use tagseg::run::train::Trainer;

use crate::{BATCH, CROP, FOREGROUND, all_on, bytes, config, values};

/// Two convolutions: an encoder of two levels, without attention, which says that it is random or that it is not.
#[derive(Debug)]
struct TwoConvolutions {
    random: bool,
}

/// Its layers.
struct Layers([Conv2d; 2]);

impl Encoder for TwoConvolutions {
    fn name(&self) -> &str {
        "two_convolutions"
    }

    fn levels(&self) -> Vec<LevelSize> {
        vec![LevelSize { channels: 8, stride: 4 }, LevelSize { channels: 12, stride: 8 }]
    }

    fn smallest_side(&self) -> usize {
        8
    }

    fn widest(&self, [height, width]: [usize; 2]) -> usize {
        8 * height.div_ceil(4) * width.div_ceil(4)
    }

    fn is_random(&self) -> bool {
        self.random
    }

    fn level_of(&self, parameter: &str) -> usize {
        usize::from(parameter.contains(".second."))
    }

    fn record(&self, scope: &Scope) -> tagseg::Result<Box<dyn EncoderLayers>> {
        let first = Conv2d::new(&scope.at("first"), 3, 8, 3, 4, 1);
        Ok(Box::new(Layers([first, Conv2d::new(&scope.at("second"), 8, 12, 3, 2, 1)])))
    }
}

impl EncoderLayers for Layers {
    fn forward(&self, image: &Tensor, _: &Mode) -> tagseg::Result<Features> {
        let Layers([first, second]) = self;
        let fine = first.forward(image)?.gelu()?;
        let coarse = second.forward(&fine)?.gelu()?;
        Ok(Features { levels: vec![Level::of_map(&fine)?, Level::of_map(&coarse)?], scores: Vec::new() })
    }
}

/// Protects: an encoder without attention and with other levels. The network has no affinity head, BMP trains without
/// its affinity loss and evaluates without the walk, and an affinity loss is refused with the reason.
#[test]
fn an_encoder_without_attention_trains() {
    let mut config = config();
    let encoder: Arc<dyn Encoder> = Arc::new(TwoConvolutions { random: false });
    let text = Bmp.check(&config, &*encoder).unwrap_err().to_string();
    for part in ["`lambda`", "weight 0.1", "`two_convolutions` has no attention scores", "set its third entry to 0"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    config.lambda = [0.7, 0.1, 0.0];
    Bmp.check(&config, &*encoder).unwrap();
    assert!(Afa.check(&config, &*encoder).unwrap_err().to_string().contains("`two_convolutions` does not have"));

    let method: Arc<dyn Method> = Arc::new(Bmp);
    let network = NetworkConfig { encoder, embed: 8, classes: FOREGROUND + 1, drop_seg: 0.1 };
    let sizes = Sizes { batch: BATCH, crop: [CROP; 2], slots: 4 };
    let step = Step::record(&method, &config, &network, &all_on(), sizes, false).unwrap();
    assert!(step.parameters.iter().all(|parameter| !parameter.name.starts_with("attn_proj")));
    assert_eq!(step.columns().losses, ["cls", "c2s", "s2c"]);
    let total = values(&step, &[&step.total])[0][0];
    assert!(total.is_finite() && total > 0.0);
    step.update().unwrap();

    let session = Session::open("reference").unwrap();
    Trainer::with_method(&session, &method, &config, &network, 2, 1).unwrap();
    let model = Model::new(&session, &config, &network, &method, &["a", "b", "c"].map(String::from));
    let mut view = model.view(1, [32, 40], Some(2)).unwrap();
    let seen = view.look(&bytes(3 * 32 * 40), &[1.0, 0.0, 1.0], &[0, 32, 0, 40]).unwrap();
    let names: Vec<_> = seen.maps.iter().map(|map| map.info.name).collect();
    assert_eq!(names, ["seed", "cam", "y_c", "y_s"]);
}

/// Protects: `cam.bkg` separates seeds from the background: a pixel has a class where its strongest seed is above it.
#[test]
fn seeds_are_above_their_threshold() {
    let (mut config, method) = (config(), Arc::new(Bmp) as Arc<dyn Method>);
    config.lambda = [0.7, 0.1, 0.0];
    let encoder: Arc<dyn Encoder> = Arc::new(TwoConvolutions { random: false });
    let network = NetworkConfig { encoder, embed: 8, classes: FOREGROUND + 1, drop_seg: 0.1 };
    let session = Session::open("reference").unwrap();
    Trainer::with_method(&session, &method, &config, &network, 2, 1).unwrap();
    let mut labelled = Vec::new();
    for threshold in ["0.3", "0.45", "0.8"] {
        config.set(&format!("cam.bkg={threshold}")).unwrap();
        let model = Model::new(&session, &config, &network, &method, &["a", "b", "c"].map(String::from));
        let seen =
            model.view(1, [32, 40], Some(2)).unwrap().look(&bytes(3 * 32 * 40), &[1.0, 0.0, 1.0], &[0, 32, 0, 40]);
        let maps = seen.unwrap().maps;
        let of = |name| &maps.iter().find(|map| map.info.name == name).unwrap().values;
        let (MapValues::Heat(heat), MapValues::Labels(labels)) = (of("seed"), of("cam")) else { panic!("other kinds") };
        for (seed, label) in heat.iter().zip(labels) {
            assert_eq!(*label != 0, *seed > threshold.parse().unwrap(), "{seed} at {threshold}: {label}");
            assert!([0, 1, 3].contains(label), "{label} is no tag of the image");
        }
        labelled.push(labels.iter().filter(|label| **label != 0).count());
    }
    assert!(labelled.is_sorted_by(|low, high| low > high), "{labelled:?}");
}

/// Protects: an encoder that is not random computes the features of the images once, for the differentiable pass and for
/// the labels; losses, labels and gradients are those of two passes.
#[test]
fn features_are_shared_with_the_labels() {
    let mut config = config();
    config.lambda = [0.7, 0.1, 0.0];
    let method: Arc<dyn Method> = Arc::new(Bmp);
    let sizes = Sizes { batch: BATCH, crop: [CROP; 2], slots: 4 };
    let results = [true, false].map(|random| {
        let encoder: Arc<dyn Encoder> = Arc::new(TwoConvolutions { random });
        let network = NetworkConfig { encoder, embed: 8, classes: FOREGROUND + 1, drop_seg: 0.1 };
        let step = Step::record(&method, &config, &network, &all_on(), sizes, false).unwrap();
        let parameters = step.trained().unwrap();
        let maps = step.maps.iter().map(|(_, map)| map.clone());
        let mut read = vec![step.total.clone()];
        read.extend(maps.chain(step.gradients(&parameters).unwrap()));
        values(&step, &read.iter().collect::<Vec<_>>())
    });
    let [separate, shared] = &results;
    for (index, (one, other)) in separate.iter().zip(shared).enumerate() {
        let close = one.iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0));
        assert!(close && one.len() == other.len(), "value {index} differs");
    }
}
