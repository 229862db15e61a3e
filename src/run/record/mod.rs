//! What a run records: the lines of `metrics.jsonl`, and the scores of an evaluation.

mod lines;
mod named;
mod scores;

pub use lines::{EvalRecord, EvalScores, Record, RecordWriter, StepRecord, read_records};
pub use named::Named;
pub use scores::{LabelScores, MapScores, Scores};
