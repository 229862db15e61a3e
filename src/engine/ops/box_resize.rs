//! Bilinear resize from rectangle to rectangle, both of them data (method.md 4.5: the crop to the image and back).

use std::ops::Range;

use super::rows::Lanes;
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, MOST_TURNS, Shader, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// x \[B, H, W, C\] and two rectangles \[B, 4\] to \[B, size, C\].
#[derive(Clone, Debug)]
struct BoxResize {
    size: [usize; 2],
    align_corners: bool,
}

impl BoxResize {
    /// A launch over the elements of `to`, where `result` is the result of the resize and `x` what it resizes. The
    /// transpose adds up `rows` of the result.
    fn launch(
        &self,
        shader: Shader,
        to: &TensorType,
        result: &TensorType,
        x: &TensorType,
        rows: Range<usize>,
    ) -> Launch {
        let (out, x) = (&result.shape, &x.shape);
        let lanes = Lanes::of(x[3]);
        let launch = Launch::new(shader, to.shape.len() / lanes.count, 1)
            .uints(&[out[0], out[1], out[2], out[3] / lanes.count, x[1], x[2], usize::from(self.align_corners)])
            .uints(&[rows.start, rows.end])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output]);
        lanes.of_launch(launch, &[Slot::Input(0), Slot::Output])
    }
}

impl Op for BoxResize {
    fn name(&self) -> &'static str {
        "box_resize"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = inputs[0];
        let is_box = |ty: &TensorType| ty.dtype == DType::I32 && ty.shape[..] == [x.shape[0], 4];
        if x.dtype != DType::F32 || x.shape.rank() != 4 || !is_box(inputs[1]) || !is_box(inputs[2]) {
            return Err("needs real features [B, H, W, C] and integer boxes [B, 4]".into());
        }
        let longest = x.shape[1].max(x.shape[2]).max(self.size[0]).max(self.size[1]);
        if x.shape.is_empty() || self.size.contains(&0) || longest > 1 << 14 {
            return Err("a side is empty or too long".into());
        }
        Ok(TensorType::f32([x.shape[0], self.size[0], self.size[1], x.shape[3]]))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let [x, from, to] = context.inputs else { unreachable!("an op of three inputs") };
        let transpose = Gradient { forward: self.clone(), x: x.ty().clone() };
        Ok(vec![Some(Tensor::record(transpose, &[context.grad, from, to])?), None, None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        self.launch(shader!("box_resize"), context.output, context.output, context.inputs[0], 0..0).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::box_resize::box_resize(self.size, self.align_corners, inputs[0], inputs[1], inputs[2])]
    }
}

/// The transpose of [`BoxResize`]: inputs are the result's gradient and the two rectangles.
#[derive(Debug)]
struct Gradient {
    forward: BoxResize,
    /// What was resized.
    x: TensorType,
}

impl Op for Gradient {
    fn name(&self) -> &'static str {
        "box_resize_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if self.forward.output(&[&self.x, inputs[1], inputs[2]])? != *inputs[0] {
            return Err("needs one real gradient per result".into());
        }
        Ok(self.x.clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (x, result) = (context.output, context.inputs[0]);
        let [height, width] = self.forward.size;
        // If a cell of x was enlarged to the whole result, an invocation visits all of it.
        let most = (MOST_TURNS / (width + 1)).max(1);
        let strips = (0..height).step_by(most).map(|begin| {
            let rows = begin..height.min(begin + most);
            let launch = self.forward.launch(shader!("box_resize_gradient"), x, result, x, rows);
            if begin == 0 { launch } else { launch.define("CONTINUED", 1) }
        });
        Launches { list: strips.collect(), scratch: Vec::new() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let align_corners = self.forward.align_corners;
        vec![reference::box_resize::gradient(&self.x.shape, align_corners, inputs[0], inputs[1], inputs[2])]
    }
}

impl Tensor {
    /// Bilinear resize of rectangle `from` of features \[B, H, W, C\] onto rectangle `to` of a result \[B, size, C\].
    ///
    /// Both are integers \[B, 4\]: y, x, height and width per image, sides at least 1, `from` inside the features.
    /// Only `from` is read: neighbours beyond it are replaced by its border. The result is 0 outside `to`; any part of
    /// `to` outside the result is ignored. Rectangles have no gradient. 2·(side of `from`)·(side of `to`) must be below
    /// 2³¹, as it is for sides of `to` up to 65 535: beyond that a device's integers overflow, which is not checked.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn box_resize(&self, from: &Tensor, to: &Tensor, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
        Tensor::record(BoxResize { size, align_corners }, &[self, from, to])
    }
}
