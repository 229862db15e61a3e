//! `tagseg check`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::data::SplitOptions;
use tagseg::data::check::{Checkup, Finding, check};
use tagseg::method::Methods;
use tagseg::run::report::{FileBar, Table};

use super::common::ConfigArgs;
use super::output::print;

/// Validate a data set and list problem files
///
/// Reads every image, mask and tag. Errors are problems that `tagseg train` refuses with the same options. Warnings are
/// problems that it accepts: tags that the masks do not show, images in two splits, classes without images, masks
/// without an image. Exits with code 1 if there is an error.
///
/// The first note says which form the data set was found to have (docs/data.md).
///
/// Four training options affect the result: `batch.global` (8 in most presets), `data.form` and `data.train_split` (both
/// `auto`), and `method.name` (`segformer` in rung `full`, which trains on masks).
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Data set
    #[arg(value_name = "DIR")]
    data: PathBuf,

    /// Treat images that do not decode as `tagseg train --skip-broken` does
    #[arg(long)]
    skip_broken: bool,

    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

impl CheckArgs {
    pub fn run(self) -> Result<ExitCode> {
        let CheckArgs { data, skip_broken, json, config } = self;
        let config = config.resolve()?;
        let masks = Methods::default().of(&config)?.needs_masks();
        let splits = SplitOptions::new(&config, skip_broken, masks);
        let checkup = check(&data, splits, config.batch_global, &FileBar::new());
        print(&if json { format!("{}\n", serde_json::to_string_pretty(&checkup)?) } else { text(&checkup) })?;
        Ok(if checkup.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The findings, the tables, and a summary line.
fn text(checkup: &Checkup) -> String {
    let Checkup { sound, errors, warnings, splits, .. } = checkup;
    let mut text = String::new();
    let mut list = |kind: &str, findings: &[Finding]| {
        for Finding { file, reason, remedy } in findings {
            text.push_str(&format!("{kind:<7}  {}: {reason}; {remedy}\n", file.display()));
        }
    };
    list("error", errors);
    list("warning", warnings);
    for facts in splits {
        for notice in &facts.notices {
            text.push_str(&format!("note     {}: {notice}\n", facts.split));
        }
    }
    if !splits.is_empty() {
        text.push_str(&format!("\n{}\n{}\n", split_table(checkup), class_table(checkup)));
    }
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let end = if *sound { "training can start" } else { "training would fail" };
    text.push_str(&format!("{}, {}: {end}\n", count(errors.len(), "error"), count(warnings.len(), "warning")));
    text
}

fn split_table(checkup: &Checkup) -> Table {
    let mut table = Table::new(["split", "images", "masks", "tags per image", "untagged", "height", "width"]);
    for facts in &checkup.splits {
        let [shortest, tallest, narrowest, widest] = facts.sizes;
        let range = |from, to| if from == to { format!("{from}") } else { format!("{from}–{to}") };
        table.row([
            facts.split.clone(),
            facts.images.to_string(),
            facts.masks.to_string(),
            format!("{:.2}", facts.tags_per_image),
            facts.untagged.to_string(),
            range(shortest, tallest),
            range(narrowest, widest),
        ]);
    }
    table
}

fn class_table(checkup: &Checkup) -> Table {
    let names = checkup.splits.iter().map(|facts| &facts.split);
    let heads = names.clone().map(|name| format!("images of {name}")).chain(names.map(|name| format!("% of {name}")));
    let mut table = Table::new(["class".to_owned()].into_iter().chain(heads));
    for facts in &checkup.classes {
        let images = facts.images.iter().map(|count| count.map_or(String::new(), |count| count.to_string()));
        let pixels =
            facts.pixels.iter().map(|share| share.map_or("–".to_owned(), |share| format!("{:.1}", 100.0 * share)));
        table.row([facts.class.clone()].into_iter().chain(images).chain(pixels));
    }
    table
}
