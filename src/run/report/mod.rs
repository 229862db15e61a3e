//! Output for people: pictures, tables, a progress bar and the report page.

mod chart;
mod colour;
mod font;
mod html;
mod ladder;
mod memory;
mod picture;
mod plot;
#[cfg(feature = "native")]
mod progress;
mod runs;
mod sheet;
mod table;

pub use chart::{Chart, Series};
pub use colour::inferno;
pub use html::{Report, loss_chart};
pub use ladder::{Ladder, LadderRun, Mean};
pub use memory::memory_table;
pub use picture::{Map, heat_overlay, label_overlay};
#[cfg(feature = "native")]
pub use progress::{FileBar, Progress, RunSeries};
pub use runs::{MOST_RUNS, ReportedRun, runs_page};
pub use sheet::{Cell, Sample, contact_sheet};
pub use table::{Table, score_table};
