//! `tagseg label`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::method::Methods;
use tagseg::run::eval::{LabelOptions, LabelSummary, Protocol, label};
use tagseg::run::export::Form;
use tagseg::run::report::{FileBar, Table};

use super::common::{DeviceArg, FORM_HELP, ProtocolArgs, within};
use super::output::print;

/// Write the pseudo labels of a data set, made with its given tags
///
/// Any supervised network can be trained on them. DIR receives SegmentationClassAug/ID.png, index masks with the VOC
/// palette (255 = ignored), ImageSets/Segmentation/SPLIT.txt, labels.json with classes and tags, and summary.json. With
/// the images in DIR/JPEGImages, where --images copies them, this is a data set in the VOC layout. Where the data set
/// has masks, they score the labels and do not change them.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// Run folder (its newest checkpoint) or .safetensors file
    #[arg(value_name = "RUN|FILE")]
    network: PathBuf,

    /// Data set with tags
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Split to label; `auto`: the one that training uses
    #[arg(long, value_name = "NAME", default_value = "auto")]
    split: String,

    /// Folder for the labels
    #[arg(long, value_name = "DIR", default_value = "pseudo-labels")]
    out: PathBuf,

    /// Labels to write: seg (the segmentation branch: the most probable of background and the given tags), or cam (the
    /// seeds), par, afa, y_c or y_s, as far as the method makes them [default: y_c for bmp and afa; the last of cam, par,
    /// afa for segformer]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    #[arg(long, value_name = "FORM,…", value_delimiter = ',', default_value = "png", help = FORM_HELP)]
    format: Vec<Form>,

    /// Also copy the images to DIR/JPEGImages, so that DIR is a data set to train on (with --format png or png,overlay, and
    /// DIR outside of the data set)
    #[arg(long)]
    images: bool,

    /// Label only the first N images of the split
    #[arg(long, value_name = "N", value_parser = within(1..=usize::MAX))]
    limit: Option<usize>,

    #[command(flatten)]
    protocol: ProtocolArgs,

    #[command(flatten)]
    device: DeviceArg,

    /// Skip images that do not decode, do not score masks that cannot be read, and report both
    #[arg(long)]
    skip_broken: bool,

    /// Overwrite existing files
    #[arg(long)]
    overwrite: bool,
}

impl LabelArgs {
    pub fn run(self) -> Result<ExitCode> {
        let options = LabelOptions {
            network: self.network,
            data: self.data,
            split: self.split,
            out: self.out,
            kind: self.kind,
            forms: self.format,
            protocol: self.protocol.protocol_or(Protocol::Test),
            crf: self.protocol.crf,
            images: self.images,
            limit: self.limit,
            skip_broken: self.skip_broken,
            overwrite: self.overwrite,
            device: self.device.into(),
            assignments: self.protocol.assignments(),
            methods: Methods::default(),
        };
        let summary = label(&options, &FileBar::new())?;
        print(&table(&summary))?;
        print(&format!("labels, list and summary: {}\n", options.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The classes, one row each, and a sentence about all of them.
fn table(summary: &LabelSummary) -> String {
    let percent = |share: Option<f64>| {
        share.filter(|share| !share.is_nan()).map_or("–".into(), |share| format!("{:.1}", 100.0 * share))
    };
    let mut table = Table::new(["class", "tagged", "labelled", "% of pixels", "IoU in %"]);
    for class in &summary.classes {
        let iou = summary.scores.as_ref().and_then(|scores| *scores.iou.get(class.value)?);
        let counts = [class.tagged, class.images].map(|count| count.to_string());
        let [tagged, labelled] = counts;
        table.row([class.name.clone(), tagged, labelled, percent(Some(class.share)), percent(iou)]);
    }
    let crf = if summary.crf { " + CRF" } else { "" };
    let ignored = percent(Some(summary.ignored));
    let scored = match &summary.scores {
        Some(scores) => format!("mIoU {} on the {} with a mask", percent(Some(scores.miou)), summary.scored),
        None => "no masks to score them".to_owned(),
    };
    let (images, title) = (summary.images, summary.title);
    format!("{table}\n{images} images labelled by {title}{crf}; {ignored}% of the pixels are ignored; {scored}\n")
}
