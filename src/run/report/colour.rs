//! Colours: the inferno map for heat maps, and mixing.

/// Colour of `heat` in 0 … 1 (clamped) on the inferno map, black over red to pale yellow: evenly spaced to the eye.
///
/// A polynomial of degree six, within 2 % of the published table.
pub fn inferno(heat: f32) -> [u8; 3] {
    const RED: [f32; 7] = [0.00022, 0.10651, 11.60249, -41.704, 77.16294, -71.31943, 25.13113];
    const GREEN: [f32; 7] = [0.00165, 0.56396, -3.97285, 17.4364, -33.40236, 32.62606, -12.24267];
    const BLUE: [f32; 7] = [-0.01948, 3.93271, -15.94239, 44.35415, -81.80731, 73.20952, -23.07033];
    let heat = heat.clamp(0.0, 1.0);
    [RED, GREEN, BLUE].map(|polynomial| {
        let value = polynomial.iter().rev().fold(0.0, |sum, coefficient| sum * heat + coefficient);
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    })
}

/// `over` mixed into `under` with weight `alpha`.
pub(super) fn mix(under: [u8; 3], over: [u8; 3], alpha: f32) -> [u8; 3] {
    std::array::from_fn(|c| (f32::from(under[c]) * (1.0 - alpha) + f32::from(over[c]) * alpha).round() as u8)
}

/// The grey of the same brightness (Rec. 601).
pub(super) fn grey([r, g, b]: [u8; 3]) -> [u8; 3] {
    [(0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)).round() as u8; 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_runs_from_black_to_pale_yellow() {
        assert!(inferno(-1.0).iter().all(|value| *value < 8));
        let [r, g, b] = inferno(2.0);
        assert!(r > 240 && g > 240 && (140..190).contains(&b));
    }
}
