//! "CVAT for images 1.1": an XML file with a mask for each image and class.

use std::path::{Path, PathBuf};

use super::writer::{Kept, Labelled, Writer, write};
use super::xml::{colour_of, escaped};
use crate::error::Result;

const FILE: &str = "cvat.xml";

pub(super) struct Cvat {
    classes: Vec<String>,
    images: Kept<String>,
}

impl Cvat {
    pub(super) fn new(classes: Vec<String>) -> Self {
        Cvat { classes, images: Kept::new() }
    }

    /// The mask of a class: run lengths, alternately outside and inside, row by row in its box.
    fn mask(&self, labelled: &Labelled<'_>, class: u8) -> String {
        let ([left, top, width, height], [_, columns]) = (labelled.box_of(class), labelled.size());
        let (mut runs, mut inside) = (vec![0_usize], false);
        for place in (top..top + height).flat_map(|y| (left..left + width).map(move |x| y * columns + x)) {
            if (labelled.mask.data[place] == class) != inside {
                inside = !inside;
                runs.push(0);
            }
            if let Some(run) = runs.last_mut() {
                *run += 1;
            }
        }
        let runs: Vec<_> = runs.iter().map(usize::to_string).collect();
        format!(
            "    <mask label=\"{}\" source=\"auto\" occluded=\"0\" rle=\"{}\" left=\"{left}\" top=\"{top}\" \
             width=\"{width}\" height=\"{height}\" z_order=\"0\">\n    </mask>\n",
            escaped(&self.classes[usize::from(class) - 1]),
            runs.join(", ")
        )
    }
}

impl Writer for Cvat {
    fn files(&self) -> Vec<PathBuf> {
        vec![FILE.into()]
    }

    fn add(&mut self, _: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let ([height, width], file) = (labelled.size(), escaped(labelled.file));
        let masks: String = labelled.classes().into_iter().map(|(class, _)| self.mask(labelled, class)).collect();
        let index = labelled.index;
        self.images.keep(
            index,
            format!(
                "  <image id=\"{index}\" name=\"{file}\" width=\"{width}\" height=\"{height}\">\n{masks}  </image>\n"
            ),
        );
        Ok(())
    }

    fn finish(&mut self, out: &Path) -> Result<()> {
        let label = |(number, name): (usize, &String)| {
            format!(
                "        <label>\n          <name>{}</name>\n          <color>{}</color>\n          \
                 <type>any</type>\n          <attributes></attributes>\n        </label>\n",
                escaped(name),
                colour_of(number)
            )
        };
        let labels: String = (1..).zip(&self.classes).map(label).collect();
        let images: String = self.images.in_order().map(String::as_str).collect();
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    \
             <task>\n      <labels>\n{labels}      </labels>\n    </task>\n  </meta>\n{images}</annotations>\n"
        );
        write(&out.join(FILE), text.as_bytes())
    }
}
