//! The windows of a convolution: their side, their steps, and the zeros around the image.

/// Zeros around an image, down and across.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Padding {
    /// Rows above and columns on the left.
    pub before: [usize; 2],
    /// Rows below and columns on the right.
    pub after: [usize; 2],
}

impl Padding {
    /// TensorFlow's SAME: as many zeros as ⌈extent / stride⌉ windows need. An odd one stands behind the image.
    pub fn same(extents: [usize; 2], kernel: usize, stride: usize, dilation: usize) -> Self {
        let total = extents.map(|extent| {
            let last = extent.div_ceil(stride.max(1)).saturating_sub(1) * stride;
            last.saturating_add(side(kernel, dilation)).saturating_sub(extent)
        });
        let before = total.map(|total| total / 2);
        Padding { before, after: [total[0] - before[0], total[1] - before[1]] }
    }
}

impl From<usize> for Padding {
    /// The same on all sides.
    fn from(zeros: usize) -> Self {
        Padding { before: [zeros; 2], after: [zeros; 2] }
    }
}

/// Pixels along a side of a window, those between its taps included.
fn side(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

/// Windows of `kernel` × `kernel` taps: tap k of window o is at pixel o·stride + k·dilation − padding.before, along
/// either axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Taps down, and across.
    pub kernel: usize,
    /// Pixels from window to window.
    pub stride: usize,
    /// Pixels from tap to tap.
    pub dilation: usize,
    /// Zeros around the image.
    pub padding: Padding,
}

impl Window {
    /// All whole windows on an image: ⌊(extent + padding − (kernel − 1)·dilation − 1) / stride⌋ + 1 down and across.
    pub(crate) fn grid(&self, extents: [usize; 2]) -> Result<[usize; 2], String> {
        let Window { kernel, stride, dilation, padding: Padding { before, after } } = *self;
        let side = side(kernel, dilation);
        let padded = [0, 1].map(|axis| extents[axis].saturating_add(before[axis]).saturating_add(after[axis]));
        let narrow = before.iter().chain(&after).all(|&zeros| zeros < side);
        let positive = [kernel, stride, dilation, extents[0], extents[1]].iter().all(|&size| size > 0);
        match positive && narrow && padded.iter().all(|&extent| extent >= side) {
            true => Ok(padded.map(|extent| (extent - side) / stride + 1)),
            false => Err(format!(
                "an image {extents:?} has no windows of {kernel}, stride {stride}, dilation {dilation}, padding \
                 {before:?} and {after:?} (less than a window)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: zeros and extents of TensorFlow's SAME, by its documentation: with stride 2 an even extent is padded
    /// behind alone, an odd one on both sides.
    #[test]
    fn same_padding_is_asymmetric() {
        for (extents, kernel, stride, dilation, before, after) in [
            ([96, 97], 3, 2, 1, [0, 1], [1, 1]),
            ([24, 25], 5, 2, 1, [1, 2], [2, 2]),
            ([6, 7], 5, 1, 2, [4, 4], [4, 4]),
            ([1, 2], 3, 2, 1, [1, 0], [1, 1]),
            ([8, 9], 1, 2, 1, [0, 0], [0, 0]),
        ] {
            let padding = Padding::same(extents, kernel, stride, dilation);
            assert_eq!(padding, Padding { before, after }, "{extents:?} {kernel} {stride} {dilation}");
            let window = Window { kernel, stride, dilation, padding };
            assert_eq!(window.grid(extents), Ok(extents.map(|extent| extent.div_ceil(stride))));
        }
    }
}
