//! Convolution as products with the patches of an image, which are never stored.

use std::sync::{Arc, Mutex, PoisonError};

use super::matmul::mismatch;
use super::product::{Layout, Product};
use crate::engine::geometry::matrix::MatrixView;
pub use crate::engine::geometry::patches::Patches;
pub use crate::engine::geometry::window::Padding;
use crate::engine::graph::{Backward, BackwardError, DType, Op, Storage, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

impl Patches {
    /// Rows \[O, ky, kx, c\] as the second operand of that product: \[reach − 1 − ty, reach − 1 − tx, O, ry, rx, c\],
    /// zeros where the kernel has no tap (ky, kx) = stride·(ty, tx) + (ry, rx).
    pub(crate) fn spread(&self, rows: &Tensor) -> Result<Tensor> {
        let (outputs, channels) = (rows.shape()[0], self.image[3]);
        let (stride, reach) = (self.stride, self.reach());
        let mut taps = rows.reshape([outputs, self.kernel, self.kernel, channels])?;
        for axis in [1, 2] {
            if stride * reach > self.kernel {
                taps = taps.pad(axis, 0, stride * reach)?;
            }
        }
        if reach > 1 {
            if stride > 1 {
                taps = taps.reshape([outputs * reach, stride, reach, stride * channels])?.permute(&[0, 2, 1, 3])?;
            }
            taps = taps.reshape([outputs, reach * reach, stride * stride * channels])?.flip(1)?.permute(&[1, 0, 2])?;
        }
        taps.reshape([reach * reach * outputs, stride * stride * channels])
    }
}

/// A convolution or one of its gradients. Channels are fours.
#[derive(Clone, Copy, Debug)]
struct Conv2d {
    patches: Patches,
    outputs: usize,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Part {
    /// x \[B, H, W, C\], rows \[O, k·k·C\] and maybe bias \[O\] → \[B, OH, OW, O\].
    Forward,
    /// grad \[B, OH, OW, O\] and spread rows → \[B, H, W, C\].
    InputGradient,
    /// grad \[B, OH, OW, O\] and x → \[O, k·k·C\].
    WeightGradient,
}

impl Conv2d {
    /// Extents of the inputs and the output.
    fn shapes(&self) -> [Vec<usize>; 3] {
        let Conv2d { patches, outputs, part } = *self;
        let [batch, .., channels] = patches.image;
        let (image, map) = (patches.image.to_vec(), vec![batch, patches.grid[0], patches.grid[1], outputs]);
        let rows = vec![outputs, patches.columns()];
        let area = |side: usize| side * side;
        match part {
            Part::Forward => [image, rows, map],
            Part::InputGradient => [map, vec![area(patches.reach()) * outputs, area(patches.stride) * channels], image],
            Part::WeightGradient => [map, image, rows],
        }
    }

    fn product(&self, biased: bool) -> Product {
        let Conv2d { patches, outputs, part } = *self;
        let matrix = |row: usize, column: usize| Layout::Strided(MatrixView { batch: [0, 0], row, column });
        let (rows, columns) = (patches.rows(), patches.columns());
        let (m, n, k, a, b, out) = match part {
            Part::Forward => (rows, outputs, columns, Layout::Patches(patches), matrix(1, columns), matrix(outputs, 1)),
            Part::InputGradient => {
                let (read, written) = patches.transposed(outputs);
                let (n, k) = (written.columns(), read.columns());
                (written.rows(), n, k, Layout::Patches(read), matrix(n, 1), Layout::Patches(written))
            }
            Part::WeightGradient => {
                (outputs, columns, rows, matrix(1, outputs), Layout::Patches(patches), matrix(columns, 1))
            }
        };
        Product { m, n, k, batch: [1, 1], a, b, out, biased }
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Forward => "conv2d",
            Part::InputGradient => "conv2d_input",
            Part::WeightGradient => "conv2d_weight",
        }
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [first, second, output] = self.shapes();
        let bias = vec![self.outputs];
        for (input, shape) in inputs.iter().zip([first, second, bias]) {
            if input.shape[..] != shape || input.dtype != DType::F32 {
                return Err(format!("needs real operands, one of shape {shape:?}"));
            }
        }
        Ok(TensorType::f32(output))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        if self.part != Part::Forward {
            return Err(BackwardError::Undefined);
        }
        let (x, rows, grad) = (&context.inputs[0], &context.inputs[1], context.grad);
        let mut gradients = vec![None, None];
        if context.needed[0] {
            let spread = self.patches.spread(rows)?;
            gradients[0] = Some(Tensor::record(Conv2d { part: Part::InputGradient, ..*self }, &[grad, &spread])?);
        }
        if context.needed[1] {
            gradients[1] = Some(Tensor::record(Conv2d { part: Part::WeightGradient, ..*self }, &[grad, x])?);
        }
        if context.inputs.len() == 3 {
            let rows = grad.reshape([self.patches.rows(), self.outputs])?;
            gradients.push(Some(rows.sum_keep(0)?.reshape([self.outputs])?));
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        self.product(context.inputs.len() == 3).launches(context.target)
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        use reference::conv2d::{conv2d, input_gradient, weight_gradient};
        vec![match self.part {
            Part::Forward => conv2d(&self.patches, inputs[0], inputs[1], inputs.get(2).copied()),
            Part::InputGradient => input_gradient(&self.patches, inputs[0], inputs[1]),
            Part::WeightGradient => weight_gradient(&self.patches, inputs[0], inputs[1]),
        }]
    }
}

/// The weight \[O, C, k, k\] of convolutions, converted once to the order in which their kernel reads it: (ky, kx, c),
/// where neighbouring channels are read together. The number of channels is padded with zeros to a multiple of four.
///
/// They are converted in full precision and with a gradient, wherever they are first used, and again after an update of
/// the weight: every use gives what [`Tensor::conv2d`] with the weight would. Clones share the conversion.
#[derive(Clone, Debug)]
pub struct Taps {
    weight: Tensor,
    rows: Arc<Mutex<Option<Tensor>>>,
}

impl Taps {
    /// Those of a weight \[O, C, k, k\].
    pub fn new(weight: &Tensor) -> Self {
        Taps { weight: weight.clone(), rows: Arc::default() }
    }

    /// \[O, k·k·C\], both axes padded to multiples of four channels.
    #[track_caller]
    fn rows(&self, [outputs, channels, kernel, _]: [usize; 4]) -> Result<Tensor> {
        // Only whole tensors are stored here, so that it stays valid if a thread panics.
        let mut shared = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = shared.as_ref().filter(|rows| !self.weight.is_updated_since(rows)) {
            return Ok(rows.clone());
        }
        let rows = self.weight.graph().apart(|| {
            let rows = self.weight.reshape([outputs, channels, kernel * kernel])?.permute(&[0, 2, 1])?;
            let inner = channels.next_multiple_of(4);
            let rows = filled(&filled(&rows, 2, inner)?, 0, outputs.next_multiple_of(4))?;
            rows.reshape([rows.shape()[0], kernel * kernel * inner])
        })?;
        Ok(shared.insert(rows).clone())
    }
}

/// A tensor padded with zeros at the end of an axis. Only pictures, weights and maps of odd sizes are padded: no
/// features, so they are stored in full precision.
#[track_caller]
fn filled(tensor: &Tensor, axis: usize, extent: usize) -> Result<Tensor> {
    match tensor.shape()[axis] == extent {
        true => Ok(tensor.clone()),
        false => tensor.graph().stored(Storage::Whole, || tensor.pad(axis as isize, 0, extent)),
    }
}

impl Tensor {
    /// Convolution: \[B, H, W, C\] with weight \[O, C, k, k\] and bias \[O\] → \[B, OH, OW, O\].
    ///
    /// OH = ⌊(H + padding − k) / stride⌋ + 1, with the zeros of both sides: rows and columns at the end that do not
    /// fill a patch are dropped. A number pads all sides alike; [`Padding`] can differ, as TensorFlow's SAME does.
    ///
    /// # Errors
    /// If the shapes do not fit, or the padding of a side is not less than the kernel.
    #[track_caller]
    pub fn conv2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: impl Into<Padding>,
    ) -> Result<Tensor> {
        self.conv2d_with(&Taps::new(weight), bias, stride, padding)
    }

    /// [`Tensor::conv2d`] with a weight that other convolutions of the graph share.
    ///
    /// # Errors
    /// As [`Tensor::conv2d`].
    #[track_caller]
    pub fn conv2d_with(
        &self,
        taps: &Taps,
        bias: Option<&Tensor>,
        stride: usize,
        padding: impl Into<Padding>,
    ) -> Result<Tensor> {
        let (weight, padding) = (&taps.weight, padding.into());
        let (&[batch, height, width, channels], &[outputs, inner, kernel, across]) =
            (&self.shape()[..], &weight.shape()[..])
        else {
            return Err(mismatch("conv2d", &[self, weight], "needs x [B, H, W, C] and weight [O, C, k, k]"));
        };
        if inner != channels || across != kernel || bias.is_some_and(|bias| bias.shape()[..] != [outputs]) {
            return Err(mismatch("conv2d", &[self, weight], "x, weight [O, C, k, k] and bias [O] do not fit together"));
        }
        if (kernel, stride, padding) == (1, 1, Padding::default()) {
            return self.linear(&weight.reshape([outputs, channels])?, bias);
        }
        let (inner, outer) = (channels.next_multiple_of(4), outputs.next_multiple_of(4));
        let patches = Patches::of([batch, height, width, inner], kernel, stride, padding)
            .map_err(|reason| mismatch("conv2d", &[self, weight], &reason))?;
        let x = filled(self, 3, inner)?;
        let rows = taps.rows([outputs, channels, kernel, across])?.weight_for(&x)?;
        let op = Conv2d { patches, outputs: outer, part: Part::Forward };
        let y = match bias {
            Some(bias) => Tensor::record(op, &[&x, &rows, &filled(bias, 0, outer)?])?,
            None => Tensor::record(op, &[&x, &rows])?,
        };
        if outer == outputs { Ok(y) } else { y.slice(3, 0..outputs) }
    }
}
