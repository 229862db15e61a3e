//! What a run records: the lines of `metrics.jsonl`, and the scores of an evaluation.

#[cfg(feature = "native")]
mod events;
mod lines;
mod named;
mod scores;

#[cfg(feature = "native")]
pub use events::EventWriter;
pub use lines::{EvalRecord, EvalScores, Record, RecordWriter, StepRecord, read_records};
pub use named::Named;
pub use scores::{LabelScores, MapScores, Scores};
