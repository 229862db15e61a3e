//! The segmentation branch of a trained network as ONNX (`docs/formats.md`).

use crate::config::{Config, OfdMode, Pooling};
use crate::error::{Error, Result};
use crate::formats::onnx::Attribute::{Int, Ints};
use crate::formats::onnx::Extent::{Fixed, Free};
use crate::formats::onnx::{InputType, Onnx};
use crate::formats::sealed::Tensors;
use crate::parts::encoders::{Exporter, Window};
use crate::parts::images::{MEAN, STD};
use crate::parts::network::NetworkConfig;

/// Added to the running variance of the decoder's norm.
const EPS: f64 = 1e-5;

/// The ONNX file of a network of this configuration with these weights. Its input is `image`, bytes \[N, H, W, 3\], its
/// outputs are the logits of the segmentation `logits` \[N, K + 1, H, W\] and of the tags `tags` \[N, K\]. Everything
/// between is part of it, as in a pass without scales.
///
/// # Errors
/// If the encoder cannot be written as ONNX, or a weight is missing.
pub fn onnx_of(config: &Config, classes: &[String], weights: &Tensors) -> Result<Vec<u8>> {
    let network = NetworkConfig::new(config, classes.len())?;
    let notes = "Semantic segmentation: the class of a pixel is the arg-max of `logits` over axis 1, 0 is the background. \
                 A tag is present where `tags` is above 0.";
    let mut e = Exporter::new(Onnx::new(network.encoder.name(), notes), weights);
    let names: Vec<_> = std::iter::once("background").chain(classes.iter().map(String::as_str)).collect();
    e.onnx.property("classes", serde_json::json!(names).to_string());
    e.onnx.property("long_side", config.data_long_side.to_string());
    e.onnx.property("smallest_side", network.encoder.smallest_side().to_string());

    let shape = [Free("images"), Free("height"), Free("width"), Fixed(3)];
    let image = e.onnx.input("image", InputType::Bytes, &shape, "red, green and blue, 0 to 255");
    let image = normalised(&mut e, &image);
    let levels = network.encoder.export(&mut e, &image)?;
    let Some(last) = levels.last() else { return Err(Error::Graph("an encoder has at least one level".into())) };

    let (channels, foreground) = (network.encoder.levels().last().map_or(0, |level| level.channels), classes.len());
    let pooling = match config.model_pooling {
        Pooling::Gmp => "GlobalMaxPool",
        Pooling::Gap => "GlobalAveragePool",
    };
    let (_, classifier) = e.weight("classifier.weight")?;
    let classify = |e: &mut Exporter<'_>, map: &str| {
        e.conv_with(map, (&[foreground, channels, 1, 1], classifier), &vec![0.0; foreground], Window::PIXEL)
    };
    let pooled = e.onnx.op(pooling, &[last], &[]);
    let tags = classify(&mut e, &pooled);
    let tags = e.onnx.op("Flatten", &[&tags], &[("axis", Int(1))]);
    let seeds = classify(&mut e, last);
    let strongest = [("axes", Ints(vec![1])), ("keepdims", Int(1))];
    let prior = match config.ofd_mode {
        OfdMode::Released => {
            let large = e.resize(&seeds, &image);
            let strongest = e.onnx.op("ReduceMax", &[&large], &strongest);
            Some(e.onnx.op("Sigmoid", &[&strongest], &[]))
        }
        OfdMode::Paper => Some(e.onnx.op("ReduceMax", &[&seeds], &strongest)),
        OfdMode::Off => None,
    };
    let logits = decoded(&mut e, &levels, prior.as_deref(), &network)?;
    let logits = e.resize(&logits, &image);
    let shape = [Free("images"), Fixed(foreground + 1), Free("height"), Free("width")];
    e.onnx.output(&logits, "logits", &shape, "logits of background and classes");
    e.onnx.output(&tags, "tags", &[Free("images"), Fixed(foreground)], "logits of the classes' presence");
    Ok(e.onnx.file())
}

/// Bytes \[N, H, W, 3\] → normalised images \[N, 3, H, W\].
fn normalised(e: &mut Exporter<'_>, image: &str) -> String {
    let levels = e.onnx.op("Cast", &[image], &[("to", Int(1))]);
    let [mean, std] = [MEAN, STD].map(|values| e.onnx.reals("channels", &[3], &values.map(|value| value as f32)));
    let centred = e.onnx.op("Sub", &[&levels, &mean], &[]);
    let scaled = e.onnx.op("Div", &[&centred, &std], &[]);
    e.transpose(&scaled, &[0, 3, 1, 2])
}

/// Features of all levels, fine to coarse → logits on the finest grid. As in [`super::decoder`], every level's projection
/// is multiplied with its block of the fuse weight, and the norm is part of the weights.
fn decoded(e: &mut Exporter<'_>, levels: &[String], prior: Option<&str>, network: &NetworkConfig) -> Result<String> {
    let (count, embed) = (levels.len(), network.embed);
    let (_, fuse) = e.weight("decoder.linear_fuse.conv.weight")?;
    let norm = |part: &str| e.weight(&format!("decoder.linear_fuse.bn.{part}")).map(|(_, values)| values);
    let [gamma, beta, mean, variance] = [norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?];
    let gain: Vec<f64> = gamma
        .iter()
        .zip(variance)
        .map(|(gamma, variance)| f64::from(*gamma) / (f64::from(*variance) + EPS).sqrt())
        .collect();
    let shift: Vec<f32> = (0..embed).map(|o| (f64::from(beta[o]) - f64::from(mean[o]) * gain[o]) as f32).collect();
    let mut sum: Option<String> = None;
    for (index, (level, size)) in levels.iter().zip(network.encoder.levels()).enumerate() {
        let name = format!("decoder.linear_c{}.proj", index + 1);
        let (_, weight) = e.weight(&format!("{name}.weight"))?;
        let (_, bias) = e.weight(&format!("{name}.bias"))?;
        // The blocks of the fuse weight are in the order of the levels from coarse to fine.
        let block = (count - 1 - index) * embed;
        let fused = |o: usize, value: &dyn Fn(usize) -> f32| {
            let row = &fuse[o * count * embed + block..][..embed];
            (gain[o] * row.iter().enumerate().map(|(m, w)| f64::from(*w) * f64::from(value(m))).sum::<f64>()) as f32
        };
        let weights: Vec<f32> = (0..embed)
            .flat_map(|o| (0..size.channels).map(move |i| (o, i)))
            .map(|(o, i)| fused(o, &|m| weight[m * size.channels + i]))
            .collect();
        let biases: Vec<f32> = (0..embed).map(|o| fused(o, &|m| bias[m])).collect();
        let seen = match prior {
            Some(prior) => {
                let prior = e.resize(prior, level);
                e.onnx.op("Mul", &[level, &prior], &[])
            }
            None => level.clone(),
        };
        let map = e.conv_with(&seen, (&[embed, size.channels, 1, 1], &weights), &biases, Window::PIXEL);
        sum = Some(match sum {
            Some(sum) => {
                let map = e.resize(&map, &levels[0]);
                e.onnx.op("Add", &[&sum, &map], &[])
            }
            None => map,
        });
    }
    let shift = e.onnx.reals("shift", &[embed, 1, 1], &shift);
    let moved = e.onnx.op("Add", &[sum.as_deref().unwrap_or_default(), &shift], &[]);
    let kept = e.onnx.op("Relu", &[&moved], &[]);
    e.conv(&kept, "decoder.linear_pred", Window::PIXEL)
}
