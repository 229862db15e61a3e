//! Bilinear resize without antialiasing, by size or by factor (spec 0.2).

use crate::engine::graph::{
    Backward, BackwardError, DType, Launch, LaunchContext, Launches, Op, Shape, Slot, Tensor, TensorType,
};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;
use crate::shader;

/// Where the outputs of a resize lie on the input, along one axis.
///
/// The source coordinate of output d is scale·d with `align_corners`, else scale·(d + ½) − ½. The kernels hold it as
/// a fraction of integers, (step·d + shift) / unit: exact, so that the forward and the gradient agree on every cell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Axis {
    /// Extent of the input.
    pub input: usize,
    /// Extent of the output.
    pub output: usize,
    /// Input cells per output cell.
    pub scale: f64,
    /// Whether the centres of the outermost cells coincide, rather than their borders.
    pub align_corners: bool,
    step: i64,
    shift: i64,
    unit: i64,
}

impl Axis {
    /// To a given extent.
    pub fn by_size(input: usize, output: usize, align_corners: bool) -> Self {
        let (cells, outputs) = (input as i64, output as i64);
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
        if input == 1 || output == 1 {
            // Everything comes from the first cell, whatever the step.
            return Axis { input, output, scale: 0.0, align_corners, ..Self::fraction(1, 0, 1) };
        }
        let scale = (input - 1) as f64 / (output - 1) as f64;
        Axis { input, output, scale, align_corners, ..Self::fraction(cells - 1, 0, outputs - 1) }
    }

    /// By a given factor: the extent is rounded down, and coordinates use 1/factor, not the ratio of the extents.
    pub fn by_factor(input: usize, factor: f64) -> Self {
        let output = (input as f64 * factor).floor() as usize;
        let largest = (1 << 29) / input.max(output).max(1) as i64;
        let (p, q) = rational(factor, largest);
        Axis { input, output, scale: 1.0 / factor, align_corners: false, ..Self::fraction(2 * q, q - p, 2 * p) }
    }

    fn fraction(step: i64, shift: i64, unit: i64) -> Self {
        let divisor = gcd(gcd(step, shift.abs()), unit).max(1);
        let (step, shift, unit) = (step / divisor, shift / divisor, unit / divisor);
        Axis { input: 0, output: 0, scale: 0.0, align_corners: false, step, shift, unit }
    }

    /// Whether every output is the input of the same index.
    pub(super) fn is_identity(&self) -> bool {
        self.input == self.output && self.step == self.unit && self.shift == 0
    }

    /// Whether four neighbouring outputs lie within three cells: three steps advance by two at most.
    pub(super) fn is_near(&self) -> bool {
        3 * self.step <= 2 * self.unit
    }

    /// Whether the kernels' integers hold all coordinates.
    pub(super) fn fits(&self) -> bool {
        let reach = (self.output as i64 + 1) * self.step + self.shift.abs();
        reach.max((self.input as i64 + 1) * self.unit) < 1 << 31
    }

    pub(super) fn params(&self) -> [u32; 8] {
        let inverse = (1.0 / self.unit as f64) as f32;
        let [step, shift, unit] = [self.step, self.shift, self.unit].map(|value| value as u32);
        [self.input as u32, self.output as u32, step, shift, unit, inverse.to_bits(), 0, 0]
    }
}

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
        let next = (term as i64 * p.1 + p.0, term as i64 * q.1 + q.0);
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

impl Resize {
    /// Whether the result is the input.
    fn is_identity(&self) -> bool {
        self.rows.is_identity() && self.columns.is_identity()
    }

    fn check(&self, x: &TensorType, rows: usize, columns: usize) -> Result<(), String> {
        if x.dtype != DType::F32 || x.shape.len() != self.outer * rows * columns * self.inner {
            return Err(format!("takes real maps of {rows} by {columns}"));
        }
        let extents = [self.rows.input, self.rows.output, self.columns.input, self.columns.output];
        if extents.contains(&0) {
            return Err("a side is empty".into());
        }
        if !self.rows.fits() || !self.columns.fits() {
            return Err("the sides are too long".into());
        }
        Ok(())
    }
}

/// The forward op with its result's shape; a second input is what the result is added to.
#[derive(Clone, Debug)]
struct Forward(Resize, Shape);

impl Op for Forward {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.check(inputs[0], self.0.rows.input, self.0.columns.input)?;
        let output = TensorType::f32(self.1.clone());
        if inputs.get(1).is_some_and(|base| **base != output) {
            return Err("adds to real maps of the batch, the size and the channels of its result".into());
        }
        Ok(output)
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let transpose = Transpose(self.0.clone(), context.inputs[0].shape().clone());
        let mut gradients = vec![None; context.inputs.len()];
        if context.needed[0] {
            gradients[0] = Some(Tensor::record(transpose, &[context.grad])?);
        }
        if let Some(base) = gradients.get_mut(1) {
            *base = Some(context.grad.clone());
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let Resize { outer, rows, columns, inner } = &self.0;
        let outputs = context.output.shape.len();
        let (variant, inner, invocations) = if inner.is_multiple_of(4) {
            ("VECTOR", inner / 4, outputs / 4)
        } else if *inner == 1 && columns.output.is_multiple_of(4) {
            (if columns.is_near() { "NEAR" } else { "FAR" }, 1, outputs / 4)
        } else {
            ("SCALAR", *inner, outputs)
        };
        let launch = Launch::new(shader!("resize"), invocations, 1).define(variant, 1);
        let mut launch = match context.inputs.len() {
            1 => launch.bind(&[Slot::Input(0), Slot::Output]),
            _ => launch.define("ONTO", 1).bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]),
        };
        launch.params.extend(rows.params());
        launch.params.extend(columns.params());
        launch.uints(&[*outer, inner]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::resize::resize(&self.0, &self.1, inputs[0], inputs.get(1).copied())]
    }
}

/// The gradient of [`Forward`] with its result's shape.
#[derive(Clone, Debug)]
struct Transpose(Resize, Shape);

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "resize_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.0.check(inputs[0], self.0.rows.output, self.0.columns.output)?;
        Ok(TensorType::f32(self.1.clone()))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let forward = Forward(self.0.clone(), context.inputs[0].shape().clone());
        Ok(vec![Some(Tensor::record(forward, &[context.grad])?)])
    }

    /// One launch per axis: first the columns, then the rows.
    fn launches(&self, _context: &LaunchContext<'_>) -> Launches {
        let Resize { outer, rows, columns, inner } = &self.0;
        let along_columns = |to| transposed(columns, outer * rows.output, *inner, Slot::Input(0), to);
        let along_rows = |from| transposed(rows, *outer, columns.input * inner, from, Slot::Output);
        if rows.is_identity() {
            return along_columns(Slot::Output).into();
        }
        if columns.is_identity() {
            return along_rows(Slot::Input(0)).into();
        }
        Launches {
            list: vec![along_columns(Slot::Scratch(0)), along_rows(Slot::Scratch(0))],
            scratch: vec![outer * rows.output * columns.input * inner],
        }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::resize::gradient(&self.0, &self.1, inputs[0])]
    }
}

/// The launch that transposes a resize along one axis, with products `outer` and `inner` of the axes around it.
pub(super) fn transposed(axis: &Axis, outer: usize, inner: usize, from: Slot, to: Slot) -> Launch {
    let vector = inner.is_multiple_of(4);
    let variant = match vector {
        true => "VECTOR",
        false if inner == 1 && axis.output.is_multiple_of(4) => "ALONG",
        false => "SCALAR",
    };
    let inner = if vector { inner / 4 } else { inner };
    let mut launch =
        Launch::new(shader!("resize_gradient"), outer * axis.input * inner, 1).define(variant, 1).bind(&[from, to]);
    launch.params.extend(axis.params());
    launch.uints(&[outer, inner])
}

impl Tensor {
    /// Bilinear resize of maps \[B, C, H, W\] to `size` = \[height, width\].
    ///
    /// # Errors
    /// If the tensor does not have four axes, is not real, or a side is empty.
    #[track_caller]
    pub fn resize(&self, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
        let [b, c, h, w] = self.extents()?;
        let (rows, columns) = (Axis::by_size(h, size[0], align_corners), Axis::by_size(w, size[1], align_corners));
        self.resized(Resize { outer: b * c, rows, columns, inner: 1 }, [b, c, size[0], size[1]])
    }

    /// Bilinear resize of maps \[B, C, H, W\] by a factor: sides are rounded down, and coordinates use 1/factor.
    ///
    /// # Errors
    /// If the tensor does not have four axes, is not real, or a side is or becomes empty.
    #[track_caller]
    pub fn resize_by_factor(&self, factor: f64) -> Result<Tensor> {
        let [b, c, h, w] = self.extents()?;
        let (rows, columns) = (Axis::by_factor(h, factor), Axis::by_factor(w, factor));
        self.resized(Resize { outer: b * c, rows, columns, inner: 1 }, [b, c, rows.output, columns.output])
    }

    /// Bilinear resize of features \[B, H, W, C\] to `size` = \[height, width\].
    ///
    /// # Errors
    /// If the tensor does not have four axes, is not real, or a side is empty.
    #[track_caller]
    pub fn resize_channels_last(&self, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
        let (op, shape) = self.channels_last(size, align_corners)?;
        self.resized(op, shape)
    }

    /// `base` \[B, H', W', C\] and to it the bilinear resize of features \[B, H, W, C\] to its size, which is never
    /// stored.
    ///
    /// # Errors
    /// If the tensors do not have four axes, are not real, differ in batch or channels, or a side is empty.
    #[track_caller]
    pub fn resize_channels_last_onto(&self, base: &Tensor, align_corners: bool) -> Result<Tensor> {
        let [_, height, width, _] = base.extents()?;
        let (op, shape) = self.channels_last([height, width], align_corners)?;
        if op.is_identity() && base.shape()[..] == shape {
            return base.add(self);
        }
        Tensor::record(Forward(op, shape.into()), &[self, base])
    }

    #[track_caller]
    fn channels_last(&self, size: [usize; 2], align_corners: bool) -> Result<(Resize, [usize; 4])> {
        let [b, h, w, c] = self.extents()?;
        let (rows, columns) = (Axis::by_size(h, size[0], align_corners), Axis::by_size(w, size[1], align_corners));
        Ok((Resize { outer: b, rows, columns, inner: c }, [b, size[0], size[1], c]))
    }

    #[track_caller]
    fn resized(&self, op: Resize, shape: [usize; 4]) -> Result<Tensor> {
        if op.is_identity() {
            return Ok(self.clone());
        }
        Tensor::record(Forward(op, shape.into()), &[self])
    }
}
