//! The splits of a data set that a run uses: one for training, one for scoring.

use std::path::Path;

use crate::config::{Config, DataForm};
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::follow::Follow;
use crate::data::open::Form;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

/// The splits of a run.
#[derive(Clone, Debug)]
pub struct Splits {
    /// The training split.
    pub train: Dataset,
    /// The split `val`, if there is one. Its images with masks are used for scoring.
    pub val: Option<Dataset>,
}

/// How to open the splits of a run.
#[derive(Clone, Copy, Debug)]
pub struct SplitOptions<'a> {
    /// The option `data.train_split`.
    pub train_split: &'a str,
    /// Whether images that do not decode are skipped.
    pub skip_broken: bool,
    /// Whether training reads masks, which only supervised methods do.
    pub true_masks: bool,
    /// The option `data.upright`.
    pub upright: bool,
    /// The option `data.form`.
    pub form: DataForm,
}

impl<'a> SplitOptions<'a> {
    /// The options of a run with this configuration.
    pub fn new(config: &'a Config, skip_broken: bool, true_masks: bool) -> Self {
        SplitOptions {
            train_split: &config.data_train_split,
            skip_broken,
            true_masks,
            upright: config.data_upright,
            form: config.data_form,
        }
    }
}

impl Splits {
    /// Opens a data set for training, and reads every file that a run will read once.
    ///
    /// # Errors
    ///
    /// Errors of single files are passed to `on_fault`, see [`Dataset::open_reporting`]; if it returns `Ok`,
    /// the file is skipped. Errors of a split as a whole are always returned.
    pub fn open(root: &Path, options: SplitOptions, follow: &dyn Follow, on_fault: OnFault) -> Result<Self> {
        let form = Form::find(root, options.form)?;
        let of_train = DatasetOptions { classes: None, upright: options.upright, form: options.form };
        let mut train = form.open(form.train_split(options.train_split), &of_train, on_fault)?;
        train.notices.insert(0, form.to_string());
        train.check_images_reporting(options.skip_broken, follow, on_fault)?;
        if options.true_masks {
            if !train.has_masks() {
                let reason = "the method (segformer, rung `full`) learns from masks, but some are missing";
                let remedy = "add SegmentationClassAug/<id>.png for every image to train on, or set method.name=bmp";
                on_fault(Error::data(root, reason, remedy))?;
            }
            train.check_masks_reporting(follow, on_fault)?;
        }
        if !form.has_split("val") {
            return Ok(Splits { train, val: None });
        }
        let expected = DatasetOptions { classes: Some(train.classes().to_vec()), ..of_train };
        let mut val = form.open("val", &expected, on_fault)?;
        val.check_images_reporting(options.skip_broken, follow, on_fault)?;
        val.check_found_masks_reporting(follow, on_fault)?;
        Ok(Splits { train, val: Some(val) })
    }
}
