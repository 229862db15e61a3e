//! The training state in a checkpoint: all that is needed to resume a run, bit-identically.

use serde::{Deserialize, Serialize};

use crate::engine::gpu::DeviceChoice;
use crate::engine::nn::Parameter;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::formats::sealed::Tensors;

/// Prefixes of the names of states that only training has: AdamW's moments, the values of recent steps, and the guard
/// that keeps a step that is not finite from changing the weights.
const STATES: [&str; 3] = ["adamw.", "record.", "guard."];

/// Whether a tensor is training state rather than a part of the network.
pub(super) fn is_training_state(name: &str) -> bool {
    STATES.iter().any(|first| name.starts_with(first))
}

/// A training run at the moment of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Moments of the optimiser and values of recent steps, by name.
    pub states: Tensors,
    /// Everything other than tensors.
    pub run: RunFacts,
}

/// A run's position in its data and its record, and its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The device as requested.
    pub device: DeviceChoice,
    /// The name of the device in use.
    pub adapter: String,
    /// The training data.
    pub data: DataFacts,
    /// The next batch.
    pub sampler: SamplerPosition,
    /// The metrics so far.
    pub record: RecordFacts,
    /// Whether the evaluation that is due at this step is in the record.
    pub evaluated: bool,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Images that a step computes at once; not in old runs.
    #[serde(default)]
    pub micro_batch: Option<usize>,
    /// The names of the columns of the values of recent steps.
    #[serde(default = "first_columns")]
    pub columns: Vec<String>,
}

/// The state with the values of recent steps on the device: a row for each step, a column for each value.
pub const HISTORY: &str = "record.values";

/// The columns of old runs, which did not store their names.
fn first_columns() -> Vec<String> {
    let first =
        ["total", "cls", "c2s", "s2c", "aff", "c2s_empty", "s2c_empty", "y_c_labelled", "y_s_labelled", "finite"];
    first.map(String::from).to_vec()
}

/// Identifies a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Its folder.
    pub folder: String,
    /// Whether images that do not decode were skipped.
    pub skip_broken: bool,
    /// Number of training images.
    pub images: usize,
    /// Checksum of their ids and tags, in order.
    pub checksum: u32,
    /// Checksum of the lengths of their files, in order; runs of earlier versions have none.
    #[serde(default)]
    pub files: Option<u32>,
}

/// A position in the endless sequence of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerPosition {
    /// Completed epochs.
    pub epoch: u64,
    /// Batches of this epoch that were used.
    pub batch: u64,
}

/// The part of `metrics.jsonl` up to a checkpoint, and the sums over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordFacts {
    /// Length of that part; later lines are of later steps.
    pub bytes: u64,
    /// Seconds spent on steps.
    pub seconds: f64,
}

/// An evaluation by its step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done.
    pub step: usize,
    /// Mean IoU of the segmentation branch.
    pub seg_miou: f64,
}

impl Training {
    /// Reads all states of a session except the parameters.
    ///
    /// # Errors
    /// [`Error::Graph`] if the session has an unknown state, which would be lost.
    #[cfg(feature = "native")]
    pub fn take(session: &Session, parameters: &[Parameter], run: RunFacts) -> Result<Self> {
        let names = names(session, parameters);
        if let Some(name) = names.iter().find(|name| !is_training_state(name)) {
            return Err(Error::Graph(format!("a checkpoint would lose the state `{name}`; name it in training.rs")));
        }
        let states = session.states(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Training { states: names.into_iter().zip(states).collect(), run })
    }

    /// Reorders the values of recent steps to these columns. Those that the run did not record are 0.
    pub fn align(&mut self, columns: &[String]) {
        let own = std::mem::replace(&mut self.run.columns, columns.to_vec());
        let Some((shape, values)) = self.states.get_mut(HISTORY).filter(|_| own != columns) else { return };
        let row = |row: &[f32]| -> Vec<f32> {
            let value = |name: &String| own.iter().zip(row).find(|(known, _)| *known == name).map(|(_, value)| *value);
            columns.iter().map(|name| value(name).unwrap_or(0.0)).collect()
        };
        *values = values.chunks(own.len().max(1)).flat_map(row).collect();
        if let Some(width) = shape.last_mut() {
            *width = columns.len();
        }
    }

    /// Loads every state into a new training session.
    ///
    /// # Errors
    /// [`Error::Graph`] naming the first state that is missing, of another shape, or unexpected.
    pub fn put(&self, session: &mut Session, parameters: &[Parameter]) -> Result<()> {
        let names = names(session, parameters);
        if let Some(extra) = self.states.keys().find(|name| !names.contains(name)) {
            return Err(Error::Graph(format!("the checkpoint has `{extra}`, which this run does not have")));
        }
        for name in &names {
            let (shape, values) = self
                .states
                .get(name)
                .ok_or_else(|| Error::Graph(format!("the checkpoint lacks `{name}`; it is from a different run")))?;
            session.set_state(name, shape, values)?;
        }
        Ok(())
    }
}

/// Names of the states that are not parameters.
fn names(session: &Session, parameters: &[Parameter]) -> Vec<String> {
    let own = |name: &String| !parameters.iter().any(|parameter| parameter.name == *name);
    session.state_names().into_iter().filter(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the values of recent steps of an old run, whose columns were different and had no names.
    #[test]
    fn values_are_found_by_their_names() {
        let text = serde_json::json!({
            "device": DeviceChoice::from("reference"), "adapter": "", "sampler": { "epoch": 0, "batch": 0 },
            "data": { "folder": "", "skip_broken": false, "images": 1, "checksum": 0 },
            "record": { "bytes": 0, "seconds": 0.0 }, "evaluated": true, "best": null,
        });
        let run: RunFacts = serde_json::from_value(text).unwrap();
        let history: Vec<f32> = (0..20).map(|index| index as f32).collect();
        let mut training = Training { states: [(HISTORY.to_owned(), (vec![2, 10], history))].into(), run };
        training.align(&["finite", "aff", "other"].map(String::from));
        assert_eq!(training.states[HISTORY], (vec![2, 3], vec![9.0, 4.0, 0.0, 19.0, 14.0, 0.0]));
        // Aligning again changes nothing.
        training.align(&["finite", "aff", "other"].map(String::from));
        assert_eq!(training.states[HISTORY].0, [2, 3]);
    }
}
