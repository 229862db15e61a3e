//! Progress of a training run: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::Losses;

/// Shows steps, losses, images a second and the time left, on standard error.
#[derive(Debug)]
pub struct Progress {
    /// Hidden where standard error is no terminal.
    bar: ProgressBar,
    plain: bool,
    total: usize,
    line_every: usize,
    first: Option<(usize, Instant)>,
}

impl Progress {
    /// Progress over `total` steps; without a terminal a line is printed every `line_every` steps.
    pub fn new(total: usize, line_every: usize) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = ProgressBar::new(total as u64);
        if plain {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        // What matters most comes first: a narrow terminal cuts the end off.
        let template = "{pos:>6}/{len} {bar:20.cyan/238} {eta:>4} left  {msg}";
        // The template is fixed: should it ever be malformed, the bar falls back to its default look.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, plain, total, line_every: line_every.max(1), first: None }
    }

    /// After a step: `step` of the total are done.
    pub fn step(&mut self, step: usize, losses: &Losses, images_per_second: f64) {
        let (first_step, start) = *self.first.get_or_insert((step, Instant::now()));
        self.bar.set_position(step as u64);
        self.bar.set_message(format!("{images_per_second:.1} images/s  {losses}"));
        if self.plain && (step.is_multiple_of(self.line_every) || step == self.total) {
            let steps_timed = step - first_step.min(step);
            let left = match steps_timed {
                0 => String::new(),
                _ => format!(
                    ", {} left",
                    HumanDuration(time_left(start.elapsed(), steps_timed, self.total.saturating_sub(step)))
                ),
            };
            eprintln!("step {step}/{}: {losses}, {images_per_second:.1} images/s{left}", self.total);
        }
    }

    /// Prints a line without disturbing the bar.
    pub fn note(&self, line: &str) {
        if self.plain { eprintln!("{line}") } else { self.bar.suspend(|| eprintln!("{line}")) }
    }

    /// Leaves the bar as it is and goes to a new line.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}

/// Time for `left` more steps at the pace of `done` steps in `elapsed`.
fn time_left(elapsed: Duration, done: usize, left: usize) -> Duration {
    elapsed.mul_f64(left as f64 / done as f64)
}
