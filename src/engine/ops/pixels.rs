//! Conversion of pictures of bytes, four bytes per word, to reals.

use crate::engine::graph::{DType, Op, Shape, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Words \[N\] and a table \[C, 256\] to reals of this shape \[B, H, W, C\].
#[derive(Debug)]
struct Pixels(Shape);

impl Op for Pixels {
    fn name(&self) -> &'static str {
        "pixels"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (words, table) = (inputs[0], inputs[1]);
        let fits = words.shape.rank() == 1 && words.shape[0] == words_of(self.0.len());
        if !fits || words.dtype != DType::I32 {
            return Err(format!("needs {} integers, one per four bytes of {:?}", words_of(self.0.len()), self.0));
        }
        if table.shape[..] != [self.0[3], 256] || table.dtype != DType::F32 || self.0[3] == 0 {
            return Err("needs a real table [C, 256] with a row for each channel".into());
        }
        Ok(TensorType::f32(self.0.clone()))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let length = self.0.len();
        let vector = length.is_multiple_of(4);
        let length = if vector { length / 4 } else { length };
        let launch = Launch::new(shader!("pixels"), length, 1)
            .define("OUT", if vector { "vec4<f32>" } else { "f32" })
            .uints(&[length, context.inputs[1].shape[0]])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]);
        if vector { launch.define("VECTOR", 1).into() } else { launch.into() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::pixels::pixels(inputs[0], inputs[1], &self.0)]
    }
}

/// Words that hold this many bytes.
pub fn words_of(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

impl Tensor {
    /// Pictures \[B, H, W, C\] of the bytes in integers \[⌈B·H·W·C / 4⌉\], four in each, the lowest bits first. Byte v
    /// of channel c becomes the entry \[c, v\] of a table \[C, 256\], so that the conversion is exact. Has no gradient.
    ///
    /// The host writes such integers as bytes, see [`Values::U8`](crate::Values::U8):
    ///
    /// ```
    /// use tagseg::Session;
    /// use tagseg::engine::graph::{DType, Graph};
    /// use tagseg::engine::ops::pixels::words_of;
    ///
    /// let graph = Graph::new();
    /// let bytes = graph.input("bytes", [words_of(5)], DType::I32);
    /// let halves: Vec<f64> = (0..256).map(|byte| f64::from(byte) / 2.0).collect();
    /// let picture = bytes.pixels([1, 1, 5, 1], &graph.constant(&halves, [1, 256]))?;
    /// let mut program = Session::open("reference")?.compile(&graph, &[&picture])?;
    /// program.write(&bytes, &[0_u8, 1, 255, 3, 8])?;
    /// program.run()?;
    /// assert_eq!(program.read(&picture)?, [0.0, 0.5, 127.5, 1.5, 4.0]);
    /// # Ok::<(), tagseg::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn pixels(&self, shape: [usize; 4], table: &Tensor) -> Result<Tensor> {
        Tensor::record(Pixels(shape.into()), &[self, table])
    }
}
