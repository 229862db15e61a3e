//! Measures the variants of every kernel choice, one choice after the other.

use super::case::{self, Case};
use super::tuned::{Choice, Tuned};
use crate::config::Config;
use crate::data::Follow;
use crate::engine::gpu::{Device, DeviceChoice};
use crate::engine::kernel::{Class, KernelTable, Kernels, Target};
use crate::engine::self_test;
use crate::engine::self_test::{FAMILIES, Standing};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::run::device;

/// Rounds and shapes for every variant, in full and in quick mode.
const CAREFUL: [usize; 2] = [7, 4];
const QUICK: [usize; 2] = [5, 1];

/// Speed-ups below this factor are ignored.
const CLEAR: f64 = 1.05;

/// Squared error of a variant's values over the sum of squares of the plain one's, at most: sums of 10⁵ terms in
/// another order differ by 10⁻¹⁰ in f32.
const WRONG: f64 = 1e-8;

/// Measures every choice on a device, at the shapes of `nano` and, unless `quick`, MiT-B1. `follow` is told of every
/// choice that is done.
///
/// # Errors
/// [`Error::Device`] if the device has no timestamps, was lost, or is the interpreter.
pub fn run(choice: &DeviceChoice, quick: bool, follow: &dyn Follow) -> Result<Tuned> {
    if choice.is_reference() {
        let remedy = "choose an adapter that `tagseg devices` lists";
        return Err(Error::device("the reference interpreter has no kernels to choose from", remedy));
    }
    // Open the device with every feature that a choice may need.
    let able = device::with_environment(choice)?.kernels(KernelTable::of("", Kernels::COOPERATIVE));
    let device = pollster::block_on(Device::open(&able))?;
    device.check_timestamps()?;
    let (_, today) = KernelTable::choose(choice.kernels.as_ref(), device.name(), device.class());
    let mut all = Target::from(today);
    FAMILIES.iter().for_each(|family| *(family.switch)(&mut all) = true);
    let device = device.aimed_at(all);
    let verdict = pollster::block_on(self_test::verdict(FAMILIES, &device, device::cache_folder().as_deref()))?;
    verdict.notices.iter().for_each(|notice| eprintln!("{notice}"));
    let refused = verdict.families.iter().filter(|(_, standing)| **standing == Standing::Refused);
    let notices = refused.map(|(family, _)| format!("{family}: failed the self-test, never proposed")).collect();

    let steps = steps(device.class(), quick)?;
    let mut cases = Vec::new();
    for (_, config) in &steps {
        case::collect(config, &mut cases)?;
    }
    let largest = device.largest_binding();
    cases.retain(|case| case.largest() <= largest);
    let mut tuned = Tuned {
        adapter: device.name().to_owned(),
        driver: device.driver().to_owned(),
        steps: steps.into_iter().map(|(name, _)| name).collect(),
        kernels: today,
        choices: Vec::new(),
        notices,
    };
    let session = Session::on(device);
    let [rounds, shapes] = if quick { QUICK } else { CAREFUL };
    // A variant that needs features is listed along with the plain ones.
    let choices = Kernels::choices()?;
    let mut named = choices.iter().filter(|(_, variants)| !variants.is_empty());
    let plain = named.try_fold(today, |kernels, (name, variants)| kernels.choosing(name, variants[0]))?;
    // Numeric choices depend on all others, so they come last.
    let (numbers, words): (Vec<_>, Vec<_>) = choices.iter().partition(|(_, variants)| variants.is_empty());
    follow.begin("choices measured", choices.len());
    for (name, variants) in words.into_iter().chain(numbers) {
        let chosen = tuned.kernels.chosen(name)?;
        let variants = match variants.is_empty() {
            true => powers_around(&chosen),
            false => variants.iter().map(|&variant| variant.to_owned()).collect(),
        };
        let mut targets = Vec::new();
        for variant in variants {
            let mut asks = Target::from(plain.choosing(name, &variant)?);
            let mut target = Target { kernels: tuned.kernels.choosing(name, &variant)?, ..verdict.target };
            if FAMILIES.iter().all(|family| *(family.switch)(&mut asks) <= *(family.switch)(&mut target)) {
                targets.push((variant, target));
            }
        }
        let mut affected: Vec<_> = cases.iter().filter(|case| case.depends(&targets)).collect();
        // Products of halves decide only what no other op depends on: most steps have none.
        if affected.iter().any(|case| !case.halves) {
            affected.retain(|case| !case.halves);
        }
        affected.sort_by_key(|case| std::cmp::Reverse(case.weight(verdict.target)));
        affected.truncate(shapes);
        let best = best(&session, name, &affected, &targets, &chosen, rounds, &mut tuned.notices)?;
        if let Some((variant, _)) = &best {
            tuned.kernels = tuned.kernels.choosing(name, variant)?;
        }
        tuned.choices.push(Choice { name: name.clone(), current: chosen, proposal: best, shapes: affected.len() });
        follow.file();
    }
    tuned.choices.sort_by_key(|choice| choices.iter().position(|(name, _)| *name == choice.name));
    Ok(tuned)
}

/// The training steps whose shapes are measured, by name; smaller ones on software adapters.
fn steps(class: Class, quick: bool) -> Result<Vec<(String, Config)>> {
    let sizes: &[(&str, &[&str])] = match (class, quick) {
        (_, true) => &[("nano", &["train.crop=64", "batch.global=4"])],
        (Class::Cpu, false) => &[
            ("nano", &["train.crop=64", "batch.global=4"]),
            ("voc", &["train.crop=128", "batch.global=2", "loss.replica_size=2"]),
        ],
        (Class::Gpu, false) => &[("nano", &[]), ("voc", &[])],
    };
    let step = |(preset, settings): &(&str, &[&str])| {
        let mut config = Config::preset(preset)?;
        settings.iter().try_for_each(|setting| config.set(setting))?;
        Ok((format!("{preset} at {}², batch {}", config.train_crop, config.batch_global), config))
    };
    sizes.iter().map(step).collect()
}

/// The powers of two around a number, from a quarter of it to four times.
fn powers_around(number: &str) -> Vec<String> {
    let middle = number.parse().map_or(0, usize::ilog2);
    let powers = (middle.saturating_sub(2)..=(middle + 2).min(20)).map(|power| (1 << power).to_string());
    let mut all: Vec<_> = powers.collect();
    if !all.iter().any(|power| power == number) {
        all.push(number.to_owned());
    }
    all
}

/// The variant with the largest clear speed-up over `chosen`, with its factor. A variant whose results differ from
/// those of the first one is reported and skipped.
fn best(
    session: &Session,
    name: &str,
    cases: &[&Case],
    targets: &[(String, Target)],
    chosen: &str,
    rounds: usize,
    notices: &mut Vec<String>,
) -> Result<Option<(String, f64)>> {
    let mut seconds = vec![vec![0.0; rounds]; targets.len()];
    let mut right = vec![true; targets.len()];
    for case in cases {
        for (index, timed) in case.measure(session, targets, rounds)?.into_iter().enumerate() {
            if timed.error > WRONG {
                right[index] = false;
                let variant = &targets[index].0;
                notices.push(format!("{name} = {variant}: squared error {:.0e} at {case}, skipped", timed.error));
            }
            seconds[index].iter_mut().zip(timed.seconds).for_each(|(sum, seconds)| *sum += seconds);
        }
    }
    let Some(today) = targets.iter().position(|(variant, _)| variant == chosen) else { return Ok(None) };
    if cases.is_empty() {
        return Ok(None);
    }
    let gains = (0..targets.len()).filter(|&index| index != today && right[index]).filter_map(|index| {
        let gain = gain(&seconds[today], &seconds[index])?;
        Some((targets[index].0.clone(), gain))
    });
    Ok(gains.max_by(|one, other| one.1.total_cmp(&other.1)))
}

/// The median speed-up of `now` over `before` over the rounds; `None` if it is too small, or if it
/// is not a speed-up in a quarter of them.
fn gain(before: &[f64], now: &[f64]) -> Option<f64> {
    let mut ratios: Vec<_> = before.iter().zip(now).map(|(before, now)| before / now).collect();
    ratios.sort_by(f64::total_cmp);
    let [quarter, half] = [ratios[ratios.len() / 4], ratios[ratios.len() / 2]];
    (quarter > 1.0 && half >= CLEAR).then_some(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: nothing is proposed for a speed-up that is small or that other rounds do not confirm.
    #[test]
    fn only_a_clear_speed_up_counts() {
        let before = [1.0; 8];
        assert_eq!(gain(&before, &[0.5; 8]), Some(2.0));
        assert_eq!(gain(&before, &[0.97; 8]), None);
        assert_eq!(gain(&before, &[0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 2.0, 2.0]), None);
        assert_eq!(gain(&before, &[2.0; 8]), None);
    }

    #[test]
    fn numbers_are_tried_by_powers_of_two() {
        assert_eq!(powers_around("512"), ["128", "256", "512", "1024", "2048"]);
        assert_eq!(powers_around("1"), ["1", "2", "4"]);
        assert_eq!(powers_around("100"), ["16", "32", "64", "128", "256", "100"]);
        assert_eq!(powers_around("1048576").last().map(String::as_str), Some("1048576"));
    }
}
