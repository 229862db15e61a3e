//! Progress on standard error: for training, a bar on a terminal and occasional lines elsewhere; for
//! reading files, a bar on a terminal only.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::data::Follow;
use crate::run::record::Named;

/// The position of a run in a series of runs. By default there is only one.
#[derive(Debug, Clone, Default)]
pub struct RunSeries {
    /// Its name in the series; empty if there is only one.
    pub name: String,
    /// Start of the first run.
    pub begun: Option<Instant>,
    /// Steps trained since then by earlier runs.
    pub steps_before: usize,
    /// Steps of the runs that follow.
    pub steps_after: usize,
    /// Whether nothing is printed, because another process does.
    pub silent: bool,
}

/// Shows steps, losses, images per second and the time left (of all runs, if there are several), on standard error.
#[derive(Debug)]
pub struct Progress {
    series: RunSeries,
    /// Hidden if standard error is not a terminal.
    bar: ProgressBar,
    plain: bool,
    silent: bool,
    total: usize,
    line_every: usize,
    first: Option<(usize, Instant)>,
}

impl Progress {
    /// Progress over `total` steps; without a terminal a line is printed every `line_every` steps.
    pub fn new(total: usize, line_every: usize, series: RunSeries) -> Self {
        let (plain, silent) = (!std::io::stderr().is_terminal(), series.silent);
        let bar = new_bar("{prefix}{pos:>6}/{len} {bar:20.cyan/238} {msg}");
        if silent {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_length(total as u64);
        let progress = Self { series, bar, plain, silent, total, line_every: line_every.max(1), first: None };
        if !progress.series.name.is_empty() {
            progress.note(&progress.series.name);
            progress.bar.set_prefix(format!("{} ", progress.series.name));
        }
        progress
    }

    /// After a step: `step` of the total are done.
    pub fn step(&mut self, step: usize, losses: &Named<f64>, images_per_second: f64) {
        let losses = in_words(losses);
        let (first_step, start) = *self.first.get_or_insert((step, self.series.begun.unwrap_or_else(Instant::now)));
        let timed = self.series.steps_before + step - first_step.min(step);
        let to_come = self.total.saturating_sub(step) + self.series.steps_after;
        let left = match timed {
            0 => String::new(),
            _ => format!(", {} left", HumanDuration(time_left(start.elapsed(), timed, to_come))),
        };
        self.bar.set_position(step as u64);
        self.bar.set_message(format!("{images_per_second:.1} images/s{left}  {losses}"));
        if self.plain && !self.silent && (step.is_multiple_of(self.line_every) || step == self.total) {
            print_line(&format!("step {step}/{}: {losses}, {images_per_second:.1} images/s{left}", self.total));
        }
    }

    /// Prints a line without disturbing the bar.
    pub fn note(&self, line: &str) {
        if self.silent {
            return;
        }
        if self.plain { print_line(line) } else { self.bar.suspend(|| print_line(line)) }
    }

    /// Leaves the bar as it is and goes to a new line.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}

/// Prints a line on standard error. A terminal that was closed must not end a run before it is saved.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A bar for files, which disappears after the last of them.
#[derive(Debug)]
pub struct FileBar(ProgressBar);

impl FileBar {
    /// A bar that is empty until work begins.
    #[expect(clippy::new_without_default, reason = "a bar needs a terminal")]
    pub fn new() -> Self {
        FileBar(new_bar("{pos:>6}/{len} {bar:20.cyan/238} {eta:>4} left  {msg}"))
    }

    /// A bar that is never drawn.
    pub fn hidden() -> Self {
        FileBar(ProgressBar::hidden())
    }
}

impl Follow for FileBar {
    fn begin(&self, what: &str, files: usize) {
        self.0.reset();
        self.0.set_length(files as u64);
        self.0.set_message(what.to_owned());
    }

    fn file(&self) {
        self.0.inc(1);
        if Some(self.0.position()) == self.0.length() {
            self.0.finish_and_clear();
        }
    }
}

/// A bar without a length, hidden if standard error is not a terminal. The most important parts come first in the
/// template: a narrow terminal truncates the end.
fn new_bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    // The template is fixed; if it were malformed, the bar would fall back to its default style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// The total and its terms: `loss 0.6931 (cls 0.693 c2s 0.000)`.
fn in_words(losses: &Named<f64>) -> String {
    let total = losses.get("total").copied().unwrap_or(f64::NAN);
    let others = losses.iter().filter(|(name, _)| *name != "total");
    let others: Vec<_> = others.map(|(name, value)| format!("{name} {value:.3}")).collect();
    format!("loss {total:.4} ({})", others.join(" "))
}

/// Time for `left` more steps at the pace of `done` steps in `elapsed`.
fn time_left(elapsed: Duration, done: usize, left: usize) -> Duration {
    elapsed.mul_f64(left as f64 / done as f64)
}
