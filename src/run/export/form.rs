//! The names of the forms, and where their files are.

use std::str::FromStr;

use crate::error::{Error, Result};

/// A form in which masks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Index PNGs with the VOC palette.
    Png,
    /// The image with its classes drawn over it.
    Overlay,
    /// MS-COCO's annotations with compressed run lengths.
    Coco,
    /// MS-COCO's annotations with polygons.
    CocoPolygons,
    /// Polygons as Ultralytics reads them.
    YoloSeg,
    /// Tasks of Label Studio with brushes.
    LabelStudio,
    /// CVAT for images 1.1 with masks.
    Cvat,
    /// Areas and tag scores.
    Csv,
}

impl Form {
    /// All forms.
    pub const ALL: [Form; 8] = [
        Form::Png,
        Form::Overlay,
        Form::Coco,
        Form::CocoPolygons,
        Form::YoloSeg,
        Form::LabelStudio,
        Form::Cvat,
        Form::Csv,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Form::Png => "png",
            Form::Overlay => "overlay",
            Form::Coco => "coco",
            Form::CocoPolygons => "coco-polygons",
            Form::YoloSeg => "yolo-seg",
            Form::LabelStudio => "label-studio",
            Form::Cvat => "cvat",
            Form::Csv => "csv",
        }
    }
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Form::ALL.into_iter().find(|form| form.name() == name.trim()).ok_or_else(|| {
            let known = Form::ALL.map(Form::name).join(", ");
            Error::config("--format", format!("there is no form `{name}`"), format!("choose some of {known}"))
        })
    }
}

/// Where index PNGs and overlays are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// `NAME.png` and `NAME_overlay.png`.
    Flat,
    /// `SegmentationClassAug/ID.png` as in the VOC layout, and `overlays/ID.png`.
    DataSet,
}
