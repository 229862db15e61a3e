//! Bilinear resize without antialiasing, by size or by factor (method.md 0.2).

pub use crate::engine::geometry::axis::{Axis, Resize};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Shape, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::engine::types::product;
use crate::error::Result;

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
        if !self.rows.is_faithful() || !self.columns.is_faithful() {
            let fix = "use one with smaller terms, or give the size";
            return Err(format!("no fraction is close enough to the factor for sides as long as these; {fix}"));
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
            return Err("needs a real base with the batch, size and channels of its result".into());
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
        let launch = match variant {
            "VECTOR" => launch.fours(&[Slot::Input(0), Slot::Input(1), Slot::Output]),
            "SCALAR" => launch,
            _ => launch.fours(&[Slot::Input(1), Slot::Output]),
        };
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
            scratch: vec![product(&[*outer, rows.output, columns.input, *inner])],
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
    let mut launch = Launch::new(shader!("resize_gradient"), product(&[outer, axis.input, inner]), 1)
        .define(variant, 1)
        .bind(&[from, to]);
    launch = launch.fours(&match variant {
        "VECTOR" => vec![from, to],
        "ALONG" => vec![from],
        _ => Vec::new(),
    });
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
    /// If the tensor does not have four axes, is not real, a side is or becomes empty, or no fraction of two integers
    /// that the kernels can hold is close to the factor: the last output would be read a thousandth of a cell off.
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

    /// Bilinear resize of features \[B, H, W, C\] by a factor: sides are rounded down, and coordinates use 1/factor.
    ///
    /// # Errors
    /// If the tensor does not have four axes, is not real, a side is or becomes empty, or no fraction of two integers
    /// that the kernels can hold is close to the factor: the last output would be read a thousandth of a cell off.
    #[track_caller]
    pub fn resize_channels_last_by_factor(&self, factor: f64) -> Result<Tensor> {
        let [b, h, w, c] = self.extents()?;
        let (rows, columns) = (Axis::by_factor(h, factor), Axis::by_factor(w, factor));
        self.resized(Resize { outer: b, rows, columns, inner: c }, [b, rows.output, columns.output, c])
    }

    /// The sum of `base` \[B, H', W', C\] and the bilinear resize of features \[B, H, W, C\] to its size, which is
    /// never stored.
    ///
    /// # Errors
    /// If the tensors do not have four axes, are not real, differ in batch or channels, or a side is empty.
    #[track_caller]
    pub fn resize_channels_last_onto(&self, base: &Tensor, align_corners: bool) -> Result<Tensor> {
        let [_, height, width, _] = base.extents()?;
        let (op, shape) = self.channels_last([height, width], align_corners)?;
        let forward = Forward(op, shape.into());
        if forward.0.is_identity() && forward.output(&[self.ty(), base.ty()]).is_ok() {
            return base.add(self);
        }
        Tensor::record(forward, &[self, base])
    }

    #[track_caller]
    fn channels_last(&self, size: [usize; 2], align_corners: bool) -> Result<(Resize, [usize; 4])> {
        let [b, h, w, c] = self.extents()?;
        let (rows, columns) = (Axis::by_size(h, size[0], align_corners), Axis::by_size(w, size[1], align_corners));
        Ok((Resize { outer: b, rows, columns, inner: c }, [b, size[0], size[1], c]))
    }

    #[track_caller]
    fn resized(&self, op: Resize, shape: [usize; 4]) -> Result<Tensor> {
        let forward = Forward(op, shape.into());
        // What is not to be resized is refused as if it were.
        if forward.0.is_identity() && forward.output(&[self.ty()]).is_ok() {
            return Ok(self.clone());
        }
        Tensor::record(forward, &[self])
    }
}
