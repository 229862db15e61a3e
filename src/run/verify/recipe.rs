//! The integer hash recipe: weights and inputs that any language can reproduce, bit for bit, from a name and a seed.
//!
//! All integer arithmetic is modulo 2⁶⁴. A name and a seed give a [`key`], a key and an element's row-major index give
//! a [`word`], and its upper 24 bits give s in [−1, 1), exactly representable; an element is c + a·s, computed in f64
//! and rounded once to f32.

/// 2⁶⁴ divided by the golden ratio.
const G: u64 = 0x9E37_79B9_7F4A_7C15;

/// Scatters the bits of an integer (the finaliser of SplitMix64).
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The 64-bit FNV-1a hash of a name.
pub fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
}

/// The key of a tensor.
pub fn key(name: &str, seed: u64) -> u64 {
    mix(fnv1a(name).wrapping_add(seed.wrapping_mul(G)))
}

/// The 64 random bits of element `i`.
pub fn word(key: u64, i: u64) -> u64 {
    mix(key.wrapping_add((i + 1).wrapping_mul(G)))
}

/// The number in [−1, 1) of element `i`.
pub fn symmetric(key: u64, i: u64) -> f64 {
    ((word(key, i) >> 40) as f64 - 8_388_608.0) / 8_388_608.0
}

/// `len` values around `c` with amplitude `a`.
pub fn uniform(name: &str, seed: u64, c: f64, a: f64, len: usize) -> Vec<f32> {
    let key = key(name, seed);
    (0..len as u64).map(|i| (c + a * symmetric(key, i)) as f32).collect()
}

/// `len` integers in [0, n): the upper half of a word, scaled.
pub fn integers(name: &str, seed: u64, n: u32, len: usize) -> Vec<i32> {
    let key = key(name, seed);
    (0..len as u64).map(|i| (((word(key, i) >> 32) * u64::from(n)) >> 32) as i32).collect()
}

/// The tensor `name` of a checkpoint of the given shape, according to the kind of layer in its name.
pub fn weight(name: &str, seed: u64, shape: &[usize]) -> Vec<f32> {
    let mut path = name.rsplit('.');
    let (parameter, owner) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let is_norm = owner.starts_with("norm") || owner.starts_with("_bn") || owner == "bn";
    let (c, a) = match parameter {
        "num_batches_tracked" => (0.0, 0.0),
        "running_var" => (1.0, 0.25),
        "running_mean" | "bias" => (0.0, 0.1),
        _ if is_norm => (1.0, 0.2),
        _ => {
            let gain = if name.ends_with("attn_proj.weight") { 0.25 } else { 1.0 };
            let fan_in: usize = shape.iter().skip(1).product();
            (0.0, gain * (3.0 / fan_in as f64).sqrt())
        }
    };
    uniform(name, seed, c, a, shape.iter().product())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the `recipe_check` case of the published set.
    #[test]
    fn hashes_of_known_names() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(key("classifier.weight", 20_240_601), 0x86c6_e1d4_0d04_f79f);
        assert_eq!(word(key("classifier.weight", 20_240_601), 3), 0xd88e_3e40_99e6_4762);
    }

    #[test]
    fn a_weight_is_made_by_the_kind_of_its_layer() {
        let spread = |name: &str, shape: &[usize]| {
            let values = weight(name, 1, shape);
            let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            ((low + high) / 2.0, (high - low) / 2.0)
        };
        let near = |(c, a): (f32, f32), expected: (f32, f32)| {
            assert!((c - expected.0).abs() < 0.02 && (a / expected.1 - 1.0).abs() < 0.05, "{c} {a}");
        };
        near(spread("encoder.block1.0.norm1.weight", &[4000]), (1.0, 0.2));
        near(spread("encoder._blocks.1._bn0.weight", &[4000]), (1.0, 0.2));
        near(spread("decoder.linear_fuse.bn.weight", &[4000]), (1.0, 0.2));
        near(spread("decoder.linear_fuse.bn.running_var", &[4000]), (1.0, 0.25));
        near(spread("encoder.norm4.bias", &[4000]), (0.0, 0.1));
        near(spread("encoder.block1.0.attn.sr.weight", &[100, 12, 2, 2]), (0.0, 0.25));
        near(spread("attn_proj.weight", &[1, 3, 40, 40]), (0.0, 0.25 / 40.0));
    }
}
