//! MS-COCO's annotations: one object for each image and class, since a mask of classes has no single objects.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::writer::{Kept, Labelled, Writer, write};
use crate::error::Result;
use crate::formats::coco_rle::{compress, runs_of};
use crate::formats::outline::{Part, parts_of};

const FILE: &str = "annotations.json";

/// How a region is written.
#[derive(Clone, Copy)]
pub(super) enum Segmentation {
    /// Compressed run lengths.
    Runs,
    /// A polygon for each part, with cuts to its holes.
    Polygons,
}

pub(super) struct Coco {
    classes: Vec<String>,
    segmentation: Segmentation,
    images: Kept<(Value, Vec<Value>)>,
}

impl Coco {
    pub(super) fn new(classes: Vec<String>, segmentation: Segmentation) -> Self {
        Coco { classes, segmentation, images: Kept::new() }
    }

    fn segmentation(&self, labelled: &Labelled<'_>, class: u8) -> Value {
        let size = labelled.size();
        match self.segmentation {
            Segmentation::Runs => {
                json!({ "size": size, "counts": compress(&runs_of(&labelled.mask.data, size, class)) })
            }
            Segmentation::Polygons => {
                let polygon = |part: &Part| part.joined().into_flattened();
                parts_of(&labelled.mask.data, size, class).iter().map(polygon).collect()
            }
        }
    }
}

impl Writer for Coco {
    fn files(&self) -> Vec<PathBuf> {
        vec![FILE.into()]
    }

    fn add(&mut self, _: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let ([height, width], id) = (labelled.size(), labelled.index + 1);
        let image = json!({ "id": id, "file_name": labelled.file, "height": height, "width": width });
        let object = |(class, area): (u8, usize)| {
            json!({
                "image_id": id,
                "category_id": class,
                "segmentation": self.segmentation(labelled, class),
                "area": area,
                "bbox": labelled.box_of(class),
                "iscrowd": 0,
            })
        };
        let objects = labelled.classes().into_iter().map(object).collect();
        self.images.keep(labelled.index, (image, objects));
        Ok(())
    }

    fn finish(&mut self, out: &Path) -> Result<()> {
        let category = |(id, name): (usize, &String)| json!({ "id": id, "name": name, "supercategory": "" });
        let categories: Vec<_> = (1..).zip(&self.classes).map(category).collect();
        let (mut images, mut annotations) = (Vec::new(), Vec::new());
        for (image, objects) in self.images.in_order() {
            images.push(image.clone());
            for object in objects {
                let mut object = object.clone();
                object["id"] = json!(annotations.len() + 1);
                annotations.push(object);
            }
        }
        let all = json!({
            "info": { "description": "masks by tagseg: one object for each image and class" },
            "images": images,
            "annotations": annotations,
            "categories": categories,
        });
        write(&out.join(FILE), format!("{all}\n").as_bytes())
    }
}
