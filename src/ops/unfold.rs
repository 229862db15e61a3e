//! Patches of an image as rows, and convolution as a product with them.

use super::matmul::mismatch;
use super::norm_sums::Lanes;
use crate::error::Result;
use crate::graph::{Backward, BackwardError, DType, Launch, LaunchContext, Launches, Op, Slot, Tensor, TensorType};
use crate::reference::{self, Array};
use crate::shader;

/// Where the patches of an image lie.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    /// Extents \[B, H, W, C\] of the image.
    pub image: [usize; 4],
    /// Height and width of a patch.
    pub kernel: [usize; 2],
    /// Step from patch to patch.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
}

impl Window {
    /// Patches down and across: ⌊(extent + 2·padding − kernel) / stride⌋ + 1.
    pub fn out(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.image[axis + 1] + 2 * self.padding - self.kernel[axis]) / self.stride + 1)
    }

    fn patches(&self) -> TensorType {
        let [out_height, out_width] = self.out();
        TensorType::f32([self.image[0], out_height * out_width, self.kernel[0] * self.kernel[1] * self.image[3]])
    }

    fn check(&self) -> Result<(), String> {
        let fits = (0..2).all(|axis| self.image[axis + 1] + 2 * self.padding >= self.kernel[axis]);
        let whole = self.stride > 0 && self.kernel.iter().chain(&self.image).all(|&extent| extent > 0);
        if fits && whole { Ok(()) } else { Err(format!("{self:?} holds no patch")) }
    }
}

/// \[B, H, W, C\] → \[B, OH·OW, kh·kw·C\], columns in the order (ky, kx, c).
#[derive(Debug)]
struct Unfold(Window);

/// The adjoint of [`Unfold`].
#[derive(Debug)]
struct Fold(Window);

impl Op for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs[0].shape[..] != self.0.image || inputs[0].dtype != DType::F32 {
            return Err(format!("is no real image of extents {:?}", self.0.image));
        }
        self.0.check()?;
        Ok(self.0.patches())
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(Tensor::record(Fold(self.0), &[context.grad])?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let Window { image: [batch, height, width, channels], kernel, stride, padding } = self.0;
        let [out_height, out_width] = self.0.out();
        let lanes = Lanes::of(channels);
        let loads = channels / lanes.count;
        let run = kernel[1] * loads;
        let parts = context.target.walkers(run);
        let total = batch * out_height * out_width * kernel[0] * parts;
        Launch::new(shader!("unfold"), total, 1)
            .define("VALUE", lanes.value)
            .uints(&[total, height, width * loads, loads, out_height, out_width])
            .uints(&[kernel[0], run, stride, padding, parts])
            .bind(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::unfold::unfold(&self.0, inputs[0])]
    }
}

impl Op for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if *inputs[0] != self.0.patches() {
            return Err(format!("are no patches of {:?}", self.0));
        }
        Ok(TensorType::f32(self.0.image))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(Tensor::record(Unfold(self.0), &[context.grad])?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let Window { image: [batch, height, width, channels], kernel, stride, padding } = self.0;
        let [out_height, out_width] = self.0.out();
        let lanes = Lanes::of(channels);
        let loads = channels / lanes.count;
        let parts = context.target.walkers(loads);
        let total = batch * height * width * parts;
        Launch::new(shader!("fold"), total, 1)
            .define("VALUE", lanes.value)
            .uints(&[total, height, width, loads, out_height, out_width])
            .uints(&[kernel[0], kernel[1], stride, padding, parts])
            .bind(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::unfold::fold(&self.0, inputs[0])]
    }
}

impl Tensor {
    /// Patches of \[B, H, W, C\] as rows: \[B, OH·OW, kh·kw·C\], columns in the order (ky, kx, c), zeros outside.
    ///
    /// # Errors
    /// If the tensor is no image or a patch does not fit into it.
    #[track_caller]
    pub fn unfold(&self, kernel: [usize; 2], stride: usize, padding: usize) -> Result<Tensor> {
        let [batch, height, width, channels] = self.shape()[..] else {
            return Err(mismatch("unfold", &[self], "needs an image [B, H, W, C]"));
        };
        let image = [batch, height, width, channels];
        Tensor::record(Unfold(Window { image, kernel, stride, padding }), &[self])
    }

    /// Convolution: \[B, H, W, C\] with weight \[O, C, kh, kw\] and bias \[O\] → \[B, OH, OW, O\].
    ///
    /// OH = ⌊(H + 2·padding − kh) / stride⌋ + 1: rows and columns at the end that fill no patch are dropped. The
    /// patches lie as (ky, kx, c), which reads and writes neighbouring channels together; the weight is brought into
    /// that order, which costs little beside it.
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
        let (&[batch, height, width, channels], &[out, inner, kernel_height, kernel_width]) =
            (&self.shape()[..], &weight.shape()[..])
        else {
            return Err(mismatch("conv2d", &[self, weight], "needs x [B, H, W, C] and weight [O, C, kh, kw]"));
        };
        let kernel = [kernel_height, kernel_width];
        let window = Window { image: [batch, height, width, channels], kernel, stride, padding };
        if inner != channels || bias.is_some_and(|bias| bias.shape()[..] != [out]) {
            return Err(mismatch("conv2d", &[self, weight], "the channels of x, weight and bias differ"));
        }
        if let Err(reason) = window.check() {
            return Err(mismatch("conv2d", &[self, weight], &reason));
        }
        let taps = kernel_height * kernel_width;
        let result = if taps == 1 && stride == 1 && padding == 0 {
            self.linear(&weight.reshape([out, channels])?, bias)?
        } else {
            let rows = weight.reshape([out, channels, taps])?.permute(&[0, 2, 1])?.reshape([out, taps * channels])?;
            self.unfold(kernel, stride, padding)?.linear(&rows, bias)?
        };
        let [out_height, out_width] = window.out();
        result.reshape([batch, out_height, out_width, out])
    }
}
