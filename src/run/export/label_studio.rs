//! Tasks of Label Studio whose predictions are brushes, and the labelling interface that shows them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::writer::{Kept, Labelled, Writer, write};
use super::xml::{colour_of, escaped};
use crate::error::Result;
use crate::formats::brush_rle::encode;

const TASKS: &str = "label-studio.json";
const INTERFACE: &str = "label-studio.xml";

pub(super) struct LabelStudio {
    classes: Vec<String>,
    tasks: Kept<Value>,
}

impl LabelStudio {
    pub(super) fn new(classes: Vec<String>) -> Self {
        LabelStudio { classes, tasks: Kept::new() }
    }
}

impl Writer for LabelStudio {
    fn files(&self) -> Vec<PathBuf> {
        vec![TASKS.into(), INTERFACE.into()]
    }

    fn add(&mut self, _: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let [height, width] = labelled.size();
        let brush = |(class, _): (u8, usize)| {
            let name = &self.classes[usize::from(class) - 1];
            json!({
                "id": format!("{}-{class}", labelled.index + 1),
                "type": "brushlabels",
                "from_name": "class",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": { "format": "rle", "rle": encode(&labelled.mask.data, class), "brushlabels": [name] },
            })
        };
        let brushes: Vec<_> = labelled.classes().into_iter().map(brush).collect();
        let task = json!({
            "data": { "image": labelled.file },
            "predictions": [{ "model_version": "tagseg", "result": brushes }],
        });
        self.tasks.keep(labelled.index, task);
        Ok(())
    }

    fn finish(&mut self, out: &Path) -> Result<()> {
        let label = |(number, name): (usize, &String)| {
            format!("    <Label value=\"{}\" background=\"{}\"/>\n", escaped(name), colour_of(number))
        };
        let labels: String = (1..).zip(&self.classes).map(label).collect();
        let interface = format!(
            "<View>\n  <Image name=\"image\" value=\"$image\" zoom=\"true\"/>\n  \
             <BrushLabels name=\"class\" toName=\"image\">\n{labels}  </BrushLabels>\n</View>\n"
        );
        let tasks: Vec<_> = self.tasks.in_order().collect();
        write(&out.join(INTERFACE), interface.as_bytes())?;
        write(&out.join(TASKS), format!("{}\n", json!(tasks)).as_bytes())
    }
}
