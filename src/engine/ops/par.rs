//! Pixel-adaptive refinement: masks spread along weights that fall with colour distance (method.md 4.1).

use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, MOST_TURNS, Registers, Shader, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// The constants of the refinement.
#[derive(Clone, PartialEq, Debug)]
pub struct Par {
    /// Distances of the rings of eight neighbours; at most eight rings.
    pub dilations: Vec<usize>,
    /// Width of the colour and position terms, in standard deviations.
    pub w1: f64,
    /// Share of the position term; the weights of a pixel sum to 1 + w2.
    pub w2: f64,
}

impl Default for Par {
    fn default() -> Self {
        Par { dilations: vec![1, 2, 4, 8, 12, 24], w1: 0.3, w2: 0.01 }
    }
}

/// Most rings in the kernels' parameters.
const MAX_RINGS: usize = 8;

fn check_rings(dilations: &[usize]) -> Result<(), String> {
    if !(1..=MAX_RINGS).contains(&dilations.len()) || dilations.iter().any(|d| !(1..1 << 16).contains(d)) {
        return Err(format!("takes one to {MAX_RINGS} dilations, each at least 1"));
    }
    Ok(())
}

fn is_extent(extent: &TensorType, batch: usize) -> bool {
    extent.dtype == DType::I32 && extent.shape[..] == [batch, 2]
}

/// A launch whose parameters start with the image's size and the number of rings.
fn launch(shader: Shader, image: &TensorType, dilations: &[usize], layers: usize) -> Launch {
    let [batch, height, width] = [image.shape[0], image.shape[1], image.shape[2]];
    Launch::new(shader, batch * height * width, layers).uints(&[batch, height, width, dilations.len()])
}

/// A number for each ring, as kernels read them.
fn rings(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    numbers.chain(std::iter::repeat(0)).take(MAX_RINGS).collect()
}

/// The same, followed by the vertical and horizontal distances to the neighbours of every ring, clamped to the image and
/// counted in elements, of which a pixel has `elements`.
fn gathering(shader: Shader, image: &TensorType, dilations: &[usize], layers: usize, elements: usize) -> Launch {
    let [height, width] = [image.shape[1], image.shape[2]];
    let rows = rings(dilations.iter().map(|&distance| distance.min(height) * width * elements));
    let columns = rings(dilations.iter().map(|&distance| distance.min(width) * elements));
    launch(shader, image, dilations, layers).uints(&rows).uints(&columns)
}

/// Image \[B, H, W, 4\] and extent \[B, 2\] to the weights of every neighbour, \[B, H, W, 8·rings\].
#[derive(Debug)]
struct Weights {
    par: Par,
    position: Vec<f64>,
}

impl Op for Weights {
    fn name(&self) -> &'static str {
        "par_weights"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check_rings(&self.par.dilations)?;
        let (image, extent) = (inputs[0], inputs[1]);
        let fits = image.shape.rank() == 4 && image.shape[3] == 4 && is_extent(extent, image.shape[0]);
        if !fits || image.dtype != DType::F32 {
            return Err("needs a real image [B, H, W, 3] and its integer extent [B, 2]".into());
        }
        let [batch, height, width] = [image.shape[0], image.shape[1], image.shape[2]];
        Ok(TensorType::f32([batch, height, width, 8 * self.par.dilations.len()]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let mut position = self.position.clone();
        position.resize(8 * MAX_RINGS, 0.0);
        gathering(shader!("par_weights"), context.inputs[0], &self.par.dilations, 1, 1)
            .floats(&position)
            .floats(&[1.0 / self.par.w1])
            // A difference, a square and the spread's update in three channels.
            .operations(&[27, context.output.shape.len()])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Output])
            .fours(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let Par { dilations, w1, .. } = &self.par;
        vec![reference::par::par_weights(dilations, *w1, &self.position, inputs[0], inputs[1])]
    }
}

/// Mask \[B, H, W, P\], weights, extent and classes \[B, P\] to the mask one iteration later.
#[derive(Clone, Debug)]
struct Step {
    dilations: Vec<usize>,
}

impl Op for Step {
    fn name(&self) -> &'static str {
        "par_step"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check_rings(&self.dilations)?;
        let (mask, weights, extent, classes) = (inputs[0], inputs[1], inputs[2], inputs[3]);
        if mask.shape.rank() != 4 || !mask.shape[3].is_multiple_of(4) || mask.dtype != DType::F32 {
            return Err("needs a real mask [B, H, W, P], P a multiple of four".into());
        }
        let [batch, height, width, slots] = [mask.shape[0], mask.shape[1], mask.shape[2], mask.shape[3]];
        if weights.dtype != DType::F32 || weights.shape[..] != [batch, height, width, 8 * self.dilations.len()] {
            return Err("needs eight real weights per dilation and pixel of the mask".into());
        }
        if !is_extent(extent, batch) || classes.dtype != DType::I32 || classes.shape[..] != [batch, slots] {
            return Err("needs an integer extent [B, 2] and integer classes [B, P]".into());
        }
        Ok(mask.clone())
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let [_, weights, extent, classes] = context.inputs else { unreachable!("an op of four inputs") };
        if context.needed[1] {
            return Err(BackwardError::Undefined);
        }
        let mask = Tensor::record(StepGradient(self.clone()), &[context.grad, weights, extent, classes])?;
        Ok(vec![Some(mask), None, None, None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let fours = context.inputs[0].shape[3] / 4;
        let step = gathering(shader!("par_step"), context.inputs[0], &self.dilations, fours.div_ceil(2), fours)
            .uints(&[fours])
            .operations(&[16, self.dilations.len(), context.output.shape.len()])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Input(3), Slot::Output])
            .fours(&[Slot::Input(0), Slot::Input(1), Slot::Output]);
        if fours <= 1 {
            return step.into();
        }
        let pair = step.define("PAIR", 1);
        match context.target.kernels.registers {
            Registers::Many => pair.define("RINGS", self.dilations.len()).into(),
            _ => pair.into(),
        }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::par::par_step(&self.dilations, inputs[0], inputs[1], inputs[2], inputs[3])]
    }
}

/// Gradient of [`Step`] with respect to the mask: inputs are the result's gradient, weights, extent and classes.
#[derive(Debug)]
struct StepGradient(Step);

impl Op for StepGradient {
    fn name(&self) -> &'static str {
        "par_step_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let mask = self.0.output(inputs)?;
        // A corner is a neighbour of all pixels within a ring of it.
        let side = |dilation: &usize, extent: usize| dilation.min(&extent) + 2;
        let corner = |dilation| side(dilation, mask.shape[1]) * side(dilation, mask.shape[2]);
        if self.0.dilations.iter().map(corner).sum::<usize>() > MOST_TURNS {
            return Err("has no gradient for rings as wide as these".into());
        }
        Ok(mask)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let Step { dilations } = &self.0;
        let fours = context.inputs[0].shape[3] / 4;
        launch(shader!("par_step_gradient"), context.inputs[0], dilations, fours)
            .uints(&rings(dilations.iter().copied()))
            .uints(&[fours])
            .operations(&[16, dilations.len(), context.output.shape.len()])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Input(3), Slot::Output])
            .fours(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::par::par_step_gradient(&self.0.dilations, inputs[0], inputs[1], inputs[2], inputs[3])]
    }
}

impl Tensor {
    /// Weights of the neighbours of every pixel of an image \[B, H, W, 3\] in \[0, 1\]: \[B, H, W, 8·dilations\].
    ///
    /// `extent` \[B, 2\] holds the height and width of each picture, which lies top-left, and is cut to the image if it
    /// is larger; neighbours beyond it are replaced by its border, and pixels beyond it get zeros. The weights of a
    /// pixel sum to 1 + w2. Has no gradient.
    ///
    /// # Errors
    /// If the shapes or types do not fit, or there are too many dilations.
    #[track_caller]
    pub fn par_weights(&self, extent: &Tensor, par: &Par) -> Result<Tensor> {
        // A pixel is one load of four numbers.
        let image = self.pad(3, 0, 4)?;
        let position = reference::par::position(&par.dilations, par.w1, par.w2);
        Tensor::record(Weights { par: par.clone(), position }, &[&image, extent])
    }

    /// One refinement of a mask \[B, H, W, P\], P a multiple of four: every pixel becomes the weighted sum of its
    /// neighbours. All pixels change at once.
    ///
    /// `weights` and `extent` are those of [`Tensor::par_weights`] with the same dilations. Pixels outside the extent
    /// are 0, and so are groups of four slots whose `classes` \[B, P\] are all −1, which are skipped. The gradient is
    /// that of the mask; weights have none.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn par_step(&self, weights: &Tensor, extent: &Tensor, classes: &Tensor, dilations: &[usize]) -> Result<Tensor> {
        Tensor::record(Step { dilations: dilations.to_vec() }, &[self, weights, extent, classes])
    }
}
