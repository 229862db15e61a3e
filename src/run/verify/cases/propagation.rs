//! Pixel-adaptive refinement, thresholds, and the walk along affinities.

use super::bench::Bench;
use super::slots::{channels_of_slots, slots_of_tags, stored};
use super::trial::{Trial, channels_first, channels_last};
use crate::engine::graph::Tensor;
use crate::engine::ops::par::Par;
use crate::engine::reference;
use crate::error::{Error, Result};
use crate::parts::propagation::PictureBox;
use crate::parts::walk::Walk;
use crate::parts::{affinity, labels};
use crate::run::verify::golden::{Stored, StoredValues};
use crate::run::verify::judge::Results;

/// `par_refinement`: weights of the neighbours, one iteration, all iterations, masks of other sizes than the picture.
pub fn par_refinement(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let par = Par {
        dilations: case.constant("dilations")?,
        w1: case.constant("sigma")?,
        w2: case.constant("position_weight")?,
    };
    if case.has("position_term") {
        let position = reference::par::position(&par.dilations, par.w1, 1.0);
        results.set("position_term", &[position.len()], position);
    }
    for part in case.parts(".image") {
        let mut trial = Trial::new(case, bench.session);
        let image = channels_last(&trial.input(&format!("{part}.image"))?)?;
        let [batch, height, width, _] = image.extents()?;
        let extent = trial.graph.constant(&[height as f64, width as f64], [1, 2]).expand([batch, 2])?.to_integer()?;
        let weights = image.par_weights(&extent, &par)?;
        if case.has(&format!("{part}.affinity")) {
            trial.output(format!("{part}.affinity"), &channels_first(&weights)?);
        }
        if case.has(&format!("{part}.masks")) {
            let masks = trial.input(&format!("{part}.masks"))?;
            let [_, count, ..]: [usize; 4] = masks.extents()?;
            let slots = count.next_multiple_of(4);
            // Every mask is its own class; slots that pad their number to a multiple of four are unused.
            let classes = (0..batch).flat_map(|_| (0..slots).map(|slot| if slot < count { slot as i32 } else { -1 }));
            let classes = Stored { shape: vec![batch, slots], values: StoredValues::I32(classes.collect()) };
            let classes = trial.given("classes", classes);
            let resized = masks.resize([height, width], true)?;
            let mut masks = channels_last(&resized)?.pad(3, 0, slots)?;
            for iteration in 1..=case.constant("iterations")? {
                masks = masks.par_step(&weights, &extent, &classes, &par.dilations)?;
                if iteration == 1 {
                    trial.output(format!("{part}.one_iteration"), &channels_first(&masks.slice(3, 0..count)?)?);
                }
            }
            trial.output(format!("{part}.refined"), &channels_first(&masks.slice(3, 0..count)?)?);
        }
        trial.run(results)?;
    }
    Ok(())
}

/// `thresholds_and_walk`: seeds as labels, affinity labels, one step of the walk, labels fed back.
pub fn thresholds_and_walk(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let mut trial = Trial::new(case, bench.session);
    let (cam, tags) = (trial.input("cam")?, trial.input("cls_label")?);
    let [batch, foreground, height, width] = cam.extents()?;
    let picture_box = PictureBox::new(&trial.input("img_box")?, [height, width])?;
    let slots = slots_of_tags(case, "cls_label")?;
    let classes = trial.given("classes", stored(&slots));

    let seen = cam.mul(&tags.reshape([batch, foreground, 1, 1])?)?;
    trial.output("seen_cam", &seen);
    let seeds = cam.gather_slots(&classes, 1)?;
    let thresholds = [case.constant("low")?, case.constant("high")?];
    let banded = labels::banded_seed_label(&seeds, &classes, &picture_box, thresholds)?;
    trial.output("cam_label_boxed", &banded);
    trial.output("cam_label_plain", &labels::seed_label(&seeds, &classes, case.constant("bkg")?)?);
    let radius = case.constant("radius")?;
    trial.output("affinity_label", &affinity::affinity_label(&banded, 16, radius)?);
    let seg = trial.input("seg")?;
    trial.output(
        "seg_label",
        &labels::segmentation_label(&seg, &picture_box, case.constant("sigma_s")?, labels::Confidence::Logit, 1)?,
    );
    for name in case.names().filter(|name| name.starts_with("radius_mask_")) {
        trial.output(name, &radius_mask(&trial, name)?);
    }

    let [.., rows, columns]: [usize; 4] = case.extents("walk_grid")?;
    let grid = [rows, columns];
    trial.output("walk_grid", &seen.resize(grid, false)?);
    let walk = Walk { radius, power: case.constant("walk_power")?, eps: case.constant("walk_eps")? };
    let affinity = trial.input("affinity")?;
    let walked = walk.from_seeds(&seeds, &classes, &affinity, grid, case.constant("walk_bkg")?)?;
    trial.observe(&walked);
    let program = trial.run(results)?;
    let maps = channels_of_slots(&program.read(&walked)?, walked.extents()?, &slots, foreground + 1);
    results.set("walked", &[batch, foreground + 1, rows, columns], maps);
    Ok(())
}

/// The mask `radius_mask_R` or `radius_mask_R_…` of a grid that the file does not name. Its first row is that of the
/// corner cell: ones over the first row of the grid as far as R or the grid reaches, and again from the second row on,
/// which shows where that begins.
fn radius_mask(trial: &Trial<'_>, name: &str) -> Result<Tensor> {
    let radius = name.trim_start_matches("radius_mask_").split('_').next().and_then(|radius| radius.parse().ok());
    let [cells, _] = trial.case.extents(name)?;
    let radius: usize = radius.ok_or_else(|| Error::Graph(format!("`{name}` does not contain a radius")))?;
    // No mask of so many cells reaches further.
    let radius = radius.min(cells);
    let corner = &trial.case.integers(name)?[..cells];
    let first_gap = corner.iter().position(|near| *near == 0).unwrap_or(cells);
    let second_row = corner[first_gap..].iter().position(|near| *near != 0).map(|gap| first_gap + gap);
    let columns = match second_row {
        Some(columns) if first_gap == radius + 1 => columns,
        // No gap within the reach: the rows are no longer than the radius reaches, or there is but one.
        _ => (1..=radius + 1)
            .rev()
            .find(|columns| first_gap == columns * (cells / columns).min(radius + 1))
            .unwrap_or(cells),
    };
    affinity::radius_mask(&trial.graph, [cells / columns, columns], radius)
}
