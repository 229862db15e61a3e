//! The axes of a bilinear resize: the source position of every output, in exact integers.

/// The source positions of the outputs of a resize, along one axis.
///
/// The source coordinate of output d is scale·d with `align_corners`, else scale·(d + ½) − ½. The kernels hold it as
/// a fraction of integers, (step·d + shift) / unit: exact, so that the forward and the gradient agree on every cell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Axis {
    /// Extent of the input.
    pub input: usize,
    /// Extent of the output.
    pub output: usize,
    /// Input cells per output cell: step / unit of the fraction.
    pub scale: f64,
    /// Whether the centres of the outermost cells coincide rather than their borders.
    pub align_corners: bool,
    step: i64,
    shift: i64,
    unit: i64,
    /// Cells by which the position of the last output differs from that of the exact factor.
    drift: f64,
}

impl Axis {
    /// To a given extent.
    pub fn by_size(input: usize, output: usize, align_corners: bool) -> Self {
        // No tensor is larger: such a size is refused when it is recorded.
        let [cells, outputs] = [input, output].map(|extent| (extent as u64).min(1 << 48) as i64);
        if !align_corners {
            let scale = input as f64 / output as f64;
            return Axis {
                input,
                output,
                scale,
                align_corners,
                ..Self::fraction(2 * cells, cells - outputs, 2 * outputs)
            };
        }
        if input <= 1 || output <= 1 {
            // Every output reads the first cell, whatever the step.
            return Axis { input, output, scale: 0.0, align_corners, ..Self::fraction(1, 0, 1) };
        }
        let scale = (input - 1) as f64 / (output - 1) as f64;
        Axis { input, output, scale, align_corners, ..Self::fraction(cells - 1, 0, outputs - 1) }
    }

    /// By a given factor: the extent is rounded down, and coordinates use 1/factor, not the ratio of the extents. The
    /// factor is the fraction next to it whose terms fit the kernels' integers.
    pub fn by_factor(input: usize, factor: f64) -> Self {
        if !(factor > 0.0 && input as f64 * factor < f64::from(u32::MAX)) {
            // No factor: nothing comes out, which the shape rule refuses.
            return Axis { input, output: 0, scale: 0.0, align_corners: false, ..Self::fraction(1, 0, 1) };
        }
        let output = (input as f64 * factor).floor() as usize;
        let largest = (1 << 29) / input.max(output).max(1) as i64;
        let (p, q) = rational(factor, largest);
        let scale = q as f64 / p as f64;
        let drift = (scale - 1.0 / factor).abs() * output as f64;
        Axis { input, output, scale, align_corners: false, drift, ..Self::fraction(2 * q, q - p, 2 * p) }
    }

    fn fraction(step: i64, shift: i64, unit: i64) -> Self {
        let divisor = gcd(gcd(step, shift.abs()), unit).max(1);
        let (step, shift, unit) = (step / divisor, shift / divisor, unit / divisor);
        Axis { input: 0, output: 0, scale: 0.0, align_corners: false, step, shift, unit, drift: 0.0 }
    }

    /// Whether the fraction puts every output where the exact factor would, to about a thousandth of a cell.
    pub(crate) fn is_faithful(&self) -> bool {
        self.drift <= MOST_DRIFT
    }

    /// Whether every output is the input of the same index.
    pub(crate) fn is_identity(&self) -> bool {
        self.input == self.output && self.step == self.unit && self.shift == 0
    }

    /// Whether four neighbouring outputs lie within three cells: three steps advance by two at most.
    pub(crate) fn is_near(&self) -> bool {
        3 * self.step <= 2 * self.unit
    }

    /// Whether all coordinates fit the kernels' integers, and the outputs that read an input fit a loop.
    pub(crate) fn fits(&self) -> bool {
        // Extents may be as large as anybody writes them.
        let [input, output] = [self.input, self.output].map(|extent| extent as i128 + 1);
        let [step, shift, unit] = [self.step, self.shift, self.unit].map(i128::from);
        // All outputs read a single cell, also where the step says otherwise.
        let is_steep = step * MOST_ENLARGED < unit || (self.input == 1 && output > MOST_ENLARGED + 1);
        (output * step + shift.abs()).max(input * unit) < 1 << 31 && !is_steep
    }

    pub(crate) fn params(&self) -> [u32; 8] {
        let inverse = (1.0 / self.unit as f64) as f32;
        let [step, shift, unit] = [self.step, self.shift, self.unit].map(|value| value as u32);
        [self.input as u32, self.output as u32, step, shift, unit, inverse.to_bits(), 0, 0]
    }
}

/// Cells between the positions of the last output with the exact factor and with its fraction, at most.
const MOST_DRIFT: f64 = 1e-3;

/// Outputs for an input, at most.
const MOST_ENLARGED: i128 = 1 << 14;

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The first continued fraction of `value` within 1e-12 of it, or the last with terms up to `largest`.
fn rational(value: f64, largest: i64) -> (i64, i64) {
    let (mut p, mut q) = ((1, value.floor() as i64), (0, 1));
    let mut rest = value.fract();
    while (value - p.1 as f64 / q.1 as f64).abs() > 1e-12 * value {
        let term = (1.0 / rest).floor();
        rest = (1.0 / rest).fract();
        let next = [(p.1, p.0), (q.1, q.0)].map(|(one, other)| (term as i64).saturating_mul(one).saturating_add(other));
        let next = (next[0], next[1]);
        if next.0.max(next.1) > largest {
            break;
        }
        (p, q) = ((p.1, next.0), (q.1, next.1));
    }
    (p.1, q.1)
}

/// out\[o, y, x, i\] = bilinear value of x\[o, ·, ·, i\] at the source position of (y, x).
#[derive(Clone, Debug)]
pub struct Resize {
    /// Product of the axes before the rows.
    pub outer: usize,
    /// Vertical axis.
    pub rows: Axis,
    /// Horizontal axis.
    pub columns: Axis,
    /// Product of the axes after the columns.
    pub inner: usize,
}
