//! Labels a data set image by image.

use super::files::{check_targets, copy_image, file_of, write_lists};
use super::options::LabelOptions;
use super::segmented::segmented;
use super::summary::{LabelSummary, Tally};
use crate::data::{Dataset, DatasetOptions, Follow, Mask};
use crate::error::{Error, Result};
use crate::method::{MapInfo, MapKind};
use crate::run::device;
use crate::run::eval::batches::{Batch, Batches};
use crate::run::eval::checkpoint::opened;
use crate::run::eval::model::{MapValues, Model};
use crate::run::eval::predict::tag_scores;
use crate::run::eval::refine::Refiner;
use crate::run::eval::request::{Maps, Request, Tags};
use crate::run::eval::score::{SEG, check_classes};
use crate::run::export::{Arrangement, Export, Labelled};

/// Labels every image of a split, and writes to `out`: the labels in all forms, by default
/// `SegmentationClassAug/ID.png` (class indices with the VOC palette, 255 = ignored),
/// `ImageSets/Segmentation/SPLIT.txt`, `labels.json` with classes and tags, and `summary.json`. With the images in
/// `JPEGImages/`, where `images` copies them, this is a data set in the VOC layout. An image that is turned as its EXIF
/// orientation says is copied as it is seen, others as they are.
///
/// # Errors
/// If the network or the data set cannot be used, their classes differ, the method has no map of this name, an output file
/// exists, or the images would be copied into their own data set or beside other forms: checked before anything is
/// written.
pub fn label(options: &LabelOptions, follow: &dyn Follow) -> Result<LabelSummary> {
    let checkpoint = opened(Some(&options.network), &options.assignments, &options.methods)?;
    let split = match &*options.split {
        "auto" => Dataset::train_split(&options.data, &checkpoint.config.data_train_split),
        split => split,
    };
    let expected = DatasetOptions::for_model(&checkpoint.config, &checkpoint.classes);
    let mut dataset = Dataset::open(&options.data, split, &expected)?;
    check_classes(&checkpoint.classes, &dataset)?;
    dataset.keep_first(options.limit.unwrap_or(usize::MAX));
    let mut export = Export::new(&options.out, &options.forms, Arrangement::DataSet, dataset.classes());
    check_targets(&export, &dataset, options)?;
    dataset.check_images(options.skip_broken)?;
    let mut unread = Vec::new();
    dataset.check_found_masks_reporting(follow, &mut |error| match options.skip_broken {
        true => {
            unread.push(error.what());
            Ok(())
        }
        false => Err(error),
    })?;
    let model = Model::of_with(&device::open(options.device.clone())?, &checkpoint, &options.methods)?;
    let untagged = Request { protocol: options.protocol, ..Request::default() };
    let tagged = Request { tags: Tags::Given(dataset.max_tags()), ..untagged };
    let kind = kind(&model.maps(tagged)?, options.kind.as_deref(), model.method().name())?;
    let request = match kind == SEG {
        true => Request { probabilities: true, ..untagged },
        false => Request { maps: Maps::Only(kind.name), ..tagged },
    };
    let mut batches = Batches::new(&model, &dataset, request)?;
    batches.check()?;
    dataset.notices.iter().for_each(|notice| eprintln!("{notice}"));
    unread.iter().for_each(|what| eprintln!("not scored: {what}"));

    let crf = options.crf.then(|| Refiner::new(model.config()));
    let (mut tally, foreground) = (Tally::new(&dataset), dataset.classes().len());
    follow.begin("labelled", dataset.len());
    while let Some(batch) = batches.advance()? {
        for (slot, (index, image)) in batch.images.iter().enumerate() {
            let classes = classes_of(&dataset, *index);
            let own = classes.iter().copied().map(usize::from);
            let label = match batch.probabilities(slot, foreground + 1, own) {
                Some(probabilities) => segmented(image, probabilities, &classes, crf.as_ref()),
                None => {
                    let label = labels(&batch, slot, kind);
                    match &crf {
                        Some(crf) => crf.label(image, label, &classes),
                        None => Mask::new(image.height, image.width, label),
                    }
                }
            };
            let scores = tag_scores(&batch.seen.cls[slot * foreground..][..foreground]);
            export.add(&Labelled {
                index: *index,
                id: &dataset.ids()[*index],
                file: &file_of(&dataset, *index),
                image,
                mask: &label,
                tag_scores: &scores,
            })?;
            if options.images {
                copy_image(&dataset, *index, image, &options.out)?;
            }
            tally.count(&dataset, *index, &label);
            follow.file();
        }
    }
    let summary = tally.summary(&dataset, kind, options);
    export.finish()?;
    write_lists(&dataset, &summary, &options.out)?;
    Ok(summary)
}

/// The labels of a map of image `slot`.
fn labels(batch: &Batch, slot: usize, kind: MapInfo) -> Vec<u8> {
    let map = batch.seen.maps.iter().find(|map| map.info == kind);
    match map.map(|map| &map.values) {
        Some(MapValues::Labels(labels)) => batch.cut(labels, slot),
        _ => unreachable!("the kind is one of the maps of labels that this request records"),
    }
}

/// The classes that an image may show: background and its tags.
fn classes_of(dataset: &Dataset, index: usize) -> Vec<u8> {
    let tagged = (1..).zip(dataset.tags(index)).filter(|(_, tag)| **tag > 0.5).map(|(class, _)| class);
    std::iter::once(0).chain(tagged).collect()
}

/// The map of labels that is called so, the segmentation or one of the method; without a name, the last one that is
/// scored.
fn kind(maps: &[MapInfo], wanted: Option<&str>, method: &str) -> Result<MapInfo> {
    let labels = || std::iter::once(&SEG).chain(maps).filter(|map| map.kind == MapKind::Labels);
    let Some(wanted) = wanted else { return Ok(labels().rfind(|map| map.scored).copied().unwrap_or(SEG)) };
    let called_so = |map: &&MapInfo| map.name == wanted || map.title.eq_ignore_ascii_case(wanted);
    labels().find(called_so).copied().ok_or_else(|| {
        let known: Vec<_> = labels().map(|map| map.name).collect();
        let reason = format!("method `{method}` makes no labels `{wanted}` here");
        Error::config("--kind", reason, format!("choose one of {}; par needs --protocol test", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::bmp::MAPS;
    use crate::method::maps::{AFA, CAM, PAR, SEED};

    /// Protects: without a name, the labels of a method are its last ones that are scored; names and titles select others;
    /// what a method does not make is refused.
    #[test]
    fn labels_are_selected_by_name() {
        let name = |maps: &[MapInfo], wanted: Option<&str>| kind(maps, wanted, "m").map(|map| map.name);
        assert_eq!(name(&MAPS, None).unwrap(), "y_c");
        assert_eq!(name(&[SEED, CAM, PAR, AFA], None).unwrap(), "afa");
        assert_eq!(name(&MAPS, Some("seeds")).unwrap(), "cam");
        assert_eq!(name(&MAPS, Some("Y_C")).unwrap(), "y_c");
        assert_eq!(name(&MAPS, Some("y_s")).unwrap(), "y_s");
        assert_eq!(name(&MAPS, Some("segmentation")).unwrap(), "seg");
        assert_eq!(name(&[SEED], None).unwrap(), "seg");
        for (maps, wanted) in [(&MAPS[..], "seed"), (&MAPS, "best"), (&[CAM], "par")] {
            let text = name(maps, Some(wanted)).unwrap_err().to_string();
            assert!(text.contains(wanted) && text.contains("cam"), "{text}");
        }
    }
}
