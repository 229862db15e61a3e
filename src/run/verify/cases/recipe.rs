//! The hash recipe, checked against stored numbers; and the conversion of network input back to pixels.

use super::bench::Bench;
use super::trial::{Trial, channels_first};
use crate::error::{Error, Result};
use crate::parts::images::{Images, MEAN, STD};
use crate::run::verify::golden::GoldenCase;
use crate::run::verify::judge::Results;
use crate::run::verify::recipe;

/// `recipe_check`: hashes, keys and words of given names, and tensors made from them.
pub fn recipe_check(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    check_hashes(case)?;
    let name: String = case.constant("uniform/name")?;
    let (seed, c, a) = (case.constant("uniform/seed")?, case.constant("uniform/c")?, case.constant("uniform/a")?);
    let len = case.reals("uniform")?.len();
    let uniform = recipe::uniform(&name, seed, c, a, len);
    results.set("uniform", &[len], uniform.into_iter().map(f64::from).collect());

    let name: String = case.constant("integers/name")?;
    let len = case.integers("integers")?.len();
    let integers = recipe::integers(&name, case.constant("integers/seed")?, case.constant("integers/n")?, len);
    results.set("integers", &[len], integers.into_iter().map(f64::from).collect());

    // The others are parameters of a network, with the network's name in front.
    for name in case.names().filter(|name| !["uniform", "integers"].contains(name)) {
        let parameter = name.split_once('.').map_or(name, |(_, parameter)| parameter);
        set_weight(case, name, parameter, case.spec.seed, results)?;
    }
    Ok(())
}

/// The constants of `recipe_check` that are not tensors: `fnv1a`, `key` and `words`, written in hexadecimal; keys and
/// words have the key `name|seed`.
fn check_hashes(case: &GoldenCase) -> Result<()> {
    type Table<T> = std::collections::BTreeMap<String, T>;
    let check = |what: &str, of: &str, got: u64, want: &str| {
        if u64::from_str_radix(want.trim_start_matches("0x"), 16) == Ok(got) {
            return Ok(());
        }
        Err(Error::Graph(format!("{what} of `{of}` is {got:#018x} instead of {want}")))
    };
    let key = |of: &str| {
        let (name, seed) = of.rsplit_once('|').unwrap_or((of, ""));
        let no_seed = || Error::Graph(format!("the constant `{of}` of `{}` does not end in |SEED", case.name()));
        Ok::<_, Error>(recipe::key(name, seed.parse().map_err(|_| no_seed())?))
    };
    for (name, want) in case.constant::<Table<String>>("fnv1a")? {
        check("fnv1a", &name, recipe::fnv1a(&name), &want)?;
    }
    for (of, want) in case.constant::<Table<String>>("key")? {
        check("key", &of, key(&of)?, &want)?;
    }
    for (of, words) in case.constant::<Table<Vec<String>>>("words")? {
        for (i, want) in words.iter().enumerate() {
            check("a word", &of, recipe::word(key(&of)?, i as u64), want)?;
        }
    }
    Ok(())
}

/// `nano_weights`, `nano2_weights`: the recipe generates the stored weights.
pub fn weights(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let seed = bench.case.constant("weight_seed")?;
    bench.case.names().try_for_each(|name| set_weight(bench.case, name, name, seed, results))
}

fn set_weight(case: &GoldenCase, name: &str, parameter: &str, seed: u64, results: &mut Results) -> Result<()> {
    let shape = case.shape(name)?;
    let values = recipe::weight(parameter, seed, shape);
    results.set(name, shape, values.into_iter().map(f64::from).collect());
    Ok(())
}

/// `denormalise`: pixels to network input and back to an 8-bit picture.
///
/// The `safe` inputs carry half a grey step and come back exactly in any precision. The `lossy` ones do not: their
/// stored picture is what single precision gives if the product is rounded before the sum. A shader compiler may fuse
/// the two, and the interpreter computes in f64; what these give is compared with the same formula in their own
/// arithmetic.
pub fn denormalise(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let (mean, std): ([f64; 3], [f64; 3]) = (case.constant("mean")?, case.constant("std")?);
    if (mean, std) != (MEAN, STD) {
        return Err(Error::Graph(format!("case `{}` has a different mean or deviation", case.name())));
    }
    for (kind, half) in [("lossy", 0.0), ("safe", 0.5)] {
        let (input, back) = (format!("{kind}_input"), format!("{kind}_back"));
        // The pixels themselves: what the safe inputs give back.
        let pixels = case.tensor("safe_back")?;
        let [.., height, width]: [usize; 4] = case.extents("safe_back")?;
        for other in [&input, &back] {
            if case.shape(other)? != pixels.shape {
                return Err(Error::Graph(format!("`{other}` and `safe_back` differ in shape")));
            }
        }
        let channel = |index: usize| index / (height * width) % 3;

        let normalised = pixels.to_f64().into_iter().enumerate().map(|(index, pixel)| {
            let (mean, std) = (mean[channel(index)], std[channel(index)]);
            // The lossy inputs are made in single precision.
            let lossy = (pixel as f32 - mean as f32) / std as f32;
            f64::from(if kind == "lossy" { lossy } else { ((pixel + half - mean) / std) as f32 })
        });
        results.set(&input, &pixels.shape, normalised.collect());

        let mut trial = Trial::new(case, bench.session);
        let seen = channels_first(&Images::of_normalised(&trial.images(&input)?)?.pictures()?)?;
        trial.observe(&seen);
        let program = trial.run(results)?;
        let mut seen: Vec<f64> = program.read(&seen)?.into_iter().map(|value| (value * 255.0).round()).collect();
        if kind == "lossy" {
            let stored = case.tensor(&back)?.to_f64();
            let inputs = case.reals(&input)?;
            for (index, seen) in seen.iter_mut().enumerate() {
                let (x, mean, std) = (inputs[index], mean[channel(index)], std[channel(index)]);
                let own = match bench.session.is_reference() {
                    true => (f64::from(x) * std + mean).trunc(),
                    false => f64::from(x.mul_add(std as f32, mean as f32).trunc()),
                };
                if *seen == own {
                    *seen = stored[index];
                }
            }
        }
        results.set(&back, &pixels.shape, seen);
    }
    Ok(())
}
