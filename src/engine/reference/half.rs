//! Storage in half precision.

/// The largest half.
const LARGEST: f64 = 65504.0;

/// `value`, rounded to f32, as it is read after being stored in half precision: rounded to the nearest half, ties to
/// even. Finite numbers beyond the largest half are clamped to it; infinities and NaN are unchanged.
pub fn stored(value: f64) -> f64 {
    let value = f64::from(value as f32);
    if !value.is_finite() || value == 0.0 {
        return value;
    }
    // Halves are a multiple of 2⁻²⁴ apart, below 2⁻¹⁴ just that.
    let exponent = value.abs().log2().floor().max(-14.0);
    let step = (exponent - 10.0).exp2();
    ((value / step).round_ties_even() * step).clamp(-LARGEST, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: rounding at every kind of border.
    #[test]
    fn halves_are_the_nearest() {
        let pairs = [
            (0.0, 0.0),
            (1.0, 1.0),
            (-0.1, -0.0999755859375),
            (1.0 + 2.0_f64.powi(-11), 1.0),
            (1.0 + 3.0 * 2.0_f64.powi(-11), 1.0 + 2.0_f64.powi(-9)),
            (2047.9, 2048.0),
            (65519.0, 65504.0),
            (-1e9, -65504.0),
            (2.0_f64.powi(-25), 0.0),
            (-1.5 * 2.0_f64.powi(-24), -2.0_f64.powi(-23)),
            (f64::INFINITY, f64::INFINITY),
        ];
        for (value, half) in pairs {
            assert_eq!(stored(value), half, "{value:e}");
        }
        assert!(stored(f64::NAN).is_nan());
    }
}
