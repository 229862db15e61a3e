//! The deviation of values from the reference.

/// Σ (got − want)² / Σ want²; infinite if either is NaN.
pub fn square_error(got: &[f64], want: &[f64]) -> f64 {
    let error: f64 = got.iter().zip(want).map(|(got, want)| (got - want).powi(2)).sum();
    let error = error / want.iter().map(|want| want * want).sum::<f64>().max(f64::MIN_POSITIVE);
    if error.is_finite() { error } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_relative_and_never_hidden() {
        assert_eq!(square_error(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(square_error(&[3.0, 4.5], &[3.0, 4.0]), 0.01);
        assert_eq!(square_error(&[f64::NAN, 4.0], &[3.0, 4.0]), f64::INFINITY);
    }
}
