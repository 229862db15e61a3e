//! The segmentation branch of a trained network as a folder that Hugging Face's Transformers loads as a SegFormer
//! (`docs/formats.md`).

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::checkpoint::Checkpoint;
use super::checkpoints::file_of;
use super::convert::{batches, encoded, for_other_programs};
use super::keymap::{Layout, from_tagseg, of_encoder};
use crate::config::OfdMode;
use crate::data::VOID;
use crate::error::{Error, Result};
use crate::formats::durable::{check_folder_of, write_folder};
use crate::formats::element::{Element, Values};
use crate::formats::storage::Reals;
use crate::formats::tensor_file::NamedTensor;
use crate::parts::images::{MEAN, STD};
use crate::parts::network::NetworkConfig;

/// The files of the folder.
const FILES: [&str; 3] = ["config.json", "preprocessor_config.json", "model.safetensors"];

/// What to give instead of a network that is no SegFormer.
const REMEDY: &str = "write a name that ends in .onnx for the whole network";

/// Writes the segmentation branch of a run's newest checkpoint, or of a checkpoint's file, as a folder of
/// Transformers; returns the network. The heads of tags and affinity are left out. With `overwrite`, a folder that holds
/// nothing but these files is replaced.
///
/// # Errors
/// If the source is not a checkpoint, is not a SegFormer, or the folder cannot be written.
pub fn convert_to_transformers(source: &Path, out: &Path, reals: Reals, overwrite: bool) -> Result<Checkpoint> {
    for_other_programs(reals)?;
    check_free(out, overwrite)?;
    let source = &file_of(source)?;
    if source.canonicalize().is_ok_and(|source| out.canonicalize().is_ok_and(|out| source.starts_with(out))) {
        return Err(Error::data(out, "contains the network to convert", "choose another folder"));
    }
    let checkpoint = Checkpoint::load(source)?;
    let network = NetworkConfig::new(&checkpoint.config, checkpoint.classes.len())?;
    let sizes = network.encoder.segformer().ok_or_else(|| {
        let reason = format!("{} is no encoder of SegFormer, only MiT is", network.encoder.name());
        Error::data(source, reason, REMEDY)
    })?;
    let prior = checkpoint.config.ofd_mode;
    if prior != OfdMode::Off {
        let reason =
            format!("its decoder sees features weighted by the seeds (ofd.mode={prior}), SegFormer's does not");
        return Err(Error::data(source, reason, format!("{REMEDY}, or train with ofd.mode=off")));
    }
    let config = configuration(&checkpoint, sizes, reals);
    let files = FILES.into_iter().zip([text(&config), text(&preprocessor()), weights(&checkpoint, reals)?]);
    write_folder(out, &files.collect::<Vec<_>>())?;
    Ok(checkpoint)
}

/// Checks that the folder may be written: that it is absent, empty, or to be replaced and nothing but such a folder.
fn check_free(out: &Path, overwrite: bool) -> Result<()> {
    let is_called = |kind: &str| out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(kind));
    if is_called("safetensors") || is_called("onnx") {
        return Err(Error::data(out, "is a name of a file, but Transformers reads a folder", "give a folder's name"));
    }
    check_folder_of(out)?;
    if !out.exists() {
        return Ok(());
    }
    if !out.is_dir() {
        return Err(Error::data(out, "is a file", "give the name of a folder"));
    }
    let names = fs::read_dir(out).map_err(Error::io(out))?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(Error::io(out))?;
    if let Some(other) = names.iter().find(|name| !FILES.iter().any(|own| *own == name.as_os_str())) {
        let reason = format!("contains {}, which does not belong to a network of Transformers", other.display());
        return Err(Error::data(out, reason, "choose another folder"));
    }
    if !names.is_empty() && !overwrite {
        return Err(Error::data(out, "already exists", "choose another name or pass --overwrite"));
    }
    Ok(())
}

/// The contents of `config.json`: the network's sizes, and its classes with the background first.
fn configuration(checkpoint: &Checkpoint, sizes: Map<String, Value>, reals: Reals) -> Value {
    let names = || std::iter::once("background").chain(checkpoint.classes.iter().map(String::as_str)).enumerate();
    let mut config = json!({
        "architectures": ["SegformerForSemanticSegmentation"],
        "model_type": "segformer",
        "torch_dtype": if reals == Reals::Half { "float16" } else { "float32" },
        "num_channels": 3,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": 0.1,
        "decoder_hidden_size": checkpoint.config.model_embed_dim,
        "reshape_last_stage": true,
        "semantic_loss_ignore_index": VOID,
        "id2label": names().map(|(index, name)| (index.to_string(), name.into())).collect::<Map<_, _>>(),
        "label2id": names().map(|(index, name)| (name.to_owned(), index.into())).collect::<Map<_, _>>(),
    });
    if let Value::Object(entries) = &mut config {
        entries.extend(sizes);
    }
    config
}

/// The contents of `preprocessor_config.json`: images at their own size, normalised, and masks whose 0 is the
/// background.
fn preprocessor() -> Value {
    json!({
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": false,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": MEAN.map(|level| level / 255.0),
        "image_std": STD.map(|level| level / 255.0),
        "do_reduce_labels": false,
    })
}

fn text(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// The weights of encoder and decoder by SegFormer's names.
fn weights(checkpoint: &Checkpoint, reals: Reals) -> Result<Vec<u8>> {
    let own = checkpoint.tensors.iter().filter(|(name, _)| of_encoder(name) || name.starts_with("decoder."));
    let own = own.map(|(name, (shape, values))| {
        let (name, shape, values) = (name.clone(), shape.clone(), Values::Reals(values.clone()));
        NamedTensor { name, shape, element: Element::F32, values }
    });
    let own = own.chain([batches(checkpoint)]).collect();
    let named = from_tagseg(own, Layout::HuggingFace).map_err(|fault| Error::Graph(fault.reason))?;
    encoded(&named, reals)
}
