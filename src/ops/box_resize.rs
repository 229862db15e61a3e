//! Bilinear resize from rectangle to rectangle, both of them data (spec 4.5: the crop to the image and back).

use crate::error::Result;
use crate::graph::{DType, Launch, LaunchContext, Launches, Op, Slot, Tensor, TensorType};
use crate::reference::{self, Array};
use crate::shader;

/// x \[B, H, W, C\] and two rectangles \[B, 4\] to \[B, size, C\].
#[derive(Debug)]
struct BoxResize {
    size: [usize; 2],
    align_corners: bool,
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

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (x, out) = (&context.inputs[0].shape, &context.output.shape);
        let vector = x[3].is_multiple_of(4);
        let width = if vector { 4 } else { 1 };
        Launch::new(shader!("box_resize"), out.len() / width, 1)
            .define("VALUE", if vector { "vec4<f32>" } else { "f32" })
            .uints(&[out[0], out[1], out[2], out[3] / width, x[1], x[2], usize::from(self.align_corners)])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::box_resize::box_resize(self.size, self.align_corners, inputs[0], inputs[1], inputs[2])]
    }
}

impl Tensor {
    /// Bilinear resize of rectangle `from` of features \[B, H, W, C\] onto rectangle `to` of a result \[B, size, C\].
    ///
    /// Both are integers \[B, 4\]: y, x, height and width per image, sides at least 1, `from` inside the features.
    /// Only `from` is read: neighbours beyond it are replaced by its border. The result is 0 outside `to`; a part of
    /// `to` beyond the result is left out. Has no gradient.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn box_resize(&self, from: &Tensor, to: &Tensor, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
        Tensor::record(BoxResize { size, align_corners }, &[self, from, to])
    }
}
