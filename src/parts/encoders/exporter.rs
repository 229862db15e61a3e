//! Layers as operators of ONNX, with the weights of a trained network. Maps are \[N, C, H, W\], tokens \[N, T, C\]; the
//! number of images and the sides of maps are only known when the network runs.

use crate::error::{Error, Result};
use crate::formats::onnx::Attribute::{Int, Ints, Real, Word};
use crate::formats::onnx::Onnx;
use crate::formats::sealed::Tensors;

/// A network that is written as ONNX.
pub struct Exporter<'a> {
    /// The graph.
    pub onnx: Onnx,
    weights: &'a Tensors,
}

/// A convolution's window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Distance of the taps.
    pub dilation: usize,
    /// Groups of channels.
    pub groups: usize,
    /// Padding of every side; `None` pads as TensorFlow's SAME, from the size of the map.
    pub padding: Option<usize>,
}

impl Window {
    /// A window of one pixel.
    pub const PIXEL: Window = Window { kernel: 1, stride: 1, dilation: 1, groups: 1, padding: Some(0) };
}

impl<'a> Exporter<'a> {
    /// A graph of a network with these weights.
    pub fn new(onnx: Onnx, weights: &'a Tensors) -> Self {
        Exporter { onnx, weights }
    }

    /// Shape and values of a weight.
    ///
    /// # Errors
    /// If the network has none of this name.
    pub fn weight(&self, name: &str) -> Result<(&'a [usize], &'a [f32])> {
        let missing = || Error::Graph(format!("the network has no tensor `{name}`"));
        self.weights.get(name).map(|(shape, values)| (&shape[..], &values[..])).ok_or_else(missing)
    }

    /// A convolution with given weights.
    pub fn conv_with(&mut self, map: &str, weight: (&[usize], &[f32]), bias: &[f32], window: Window) -> String {
        let Window { kernel, stride, dilation, groups, padding } = window;
        let weight = self.onnx.reals("weight", weight.0, weight.1);
        let bias = self.onnx.reals("bias", &[bias.len()], bias);
        let twice = |side: usize| Ints(vec![side as i64; 2]);
        let mut attributes = vec![
            ("kernel_shape", twice(kernel)),
            ("strides", twice(stride)),
            ("dilations", twice(dilation)),
            ("group", Int(groups as i64)),
        ];
        match padding {
            Some(padding) => attributes.push(("pads", Ints(vec![padding as i64; 4]))),
            None => attributes.push(("auto_pad", Word("SAME_UPPER"))),
        }
        self.onnx.op("Conv", &[map, &weight, &bias], &attributes)
    }

    /// The convolution `name`.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn conv(&mut self, map: &str, name: &str, window: Window) -> Result<String> {
        let (weight, (_, bias)) = (self.weight(&format!("{name}.weight"))?, self.weight(&format!("{name}.bias"))?);
        Ok(self.conv_with(map, weight, bias, window))
    }

    /// x·wᵀ + b on the last axis, with rows `from..from + outputs` of the weight `name`.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn linear_rows(&mut self, x: &str, name: &str, from: usize, outputs: usize) -> Result<String> {
        let ((shape, weight), (_, bias)) =
            (self.weight(&format!("{name}.weight"))?, self.weight(&format!("{name}.bias"))?);
        let inputs = shape.get(1).copied().unwrap_or(1);
        let rows = &weight[from * inputs..][..outputs * inputs];
        let turned: Vec<f32> = (0..inputs).flat_map(|i| (0..outputs).map(move |o| rows[o * inputs + i])).collect();
        let weight = self.onnx.reals(name, &[inputs, outputs], &turned);
        let bias = self.onnx.reals(name, &[outputs], &bias[from..][..outputs]);
        let product = self.onnx.op("MatMul", &[x, &weight], &[]);
        Ok(self.onnx.op("Add", &[&product, &bias], &[]))
    }

    /// The linear layer `name`.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn linear(&mut self, x: &str, name: &str) -> Result<String> {
        let outputs = self.weight(&format!("{name}.bias"))?.1.len();
        self.linear_rows(x, name, 0, outputs)
    }

    /// Layer norm over the last axis.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn layer_norm(&mut self, x: &str, name: &str, eps: f32) -> Result<String> {
        let ((shape, weight), (_, bias)) =
            (self.weight(&format!("{name}.weight"))?, self.weight(&format!("{name}.bias"))?);
        let (weight, bias) = (self.onnx.reals(name, shape, weight), self.onnx.reals(name, shape, bias));
        Ok(self.onnx.op("LayerNormalization", &[x, &weight, &bias], &[("axis", Int(-1)), ("epsilon", Real(eps))]))
    }

    /// x/2 · (1 + erf(x/√2)).
    pub fn gelu(&mut self, x: &str) -> String {
        let [root, one, half] =
            [std::f32::consts::FRAC_1_SQRT_2, 1.0, 0.5].map(|number| self.onnx.reals("number", &[], &[number]));
        let scaled = self.onnx.op("Mul", &[x, &root], &[]);
        let erf = self.onnx.op("Erf", &[&scaled], &[]);
        let share = self.onnx.op("Add", &[&erf, &one], &[]);
        let product = self.onnx.op("Mul", &[x, &share], &[]);
        self.onnx.op("Mul", &[&product, &half], &[])
    }

    /// Tokens of a map, row by row.
    pub fn tokens(&mut self, map: &str) -> String {
        let shape = self.onnx.integers(&[0, 0, -1]);
        let rows = self.onnx.op("Reshape", &[map, &shape], &[]);
        self.transpose(&rows, &[0, 2, 1])
    }

    /// The map of tokens on the grid of `like`, which may have other channels.
    pub fn map(&mut self, tokens: &str, like: &str) -> String {
        let rows = self.transpose(tokens, &[0, 2, 1]);
        let [images, sides] = self.images_and_sides(like);
        let channels = self.onnx.integers(&[-1]);
        let shape = self.onnx.op("Concat", &[&images, &channels, &sides], &[("axis", Int(0))]);
        self.onnx.op("Reshape", &[&rows, &shape], &[])
    }

    /// A map at the size of another one, bilinear without aligned corners.
    pub fn resize(&mut self, map: &str, like: &str) -> String {
        let [_, sides] = self.images_and_sides(like);
        let own = self.onnx.op("Shape", &[map], &[("start", Int(0)), ("end", Int(2))]);
        let sizes = self.onnx.op("Concat", &[&own, &sides], &[("axis", Int(0))]);
        let bilinear = [("mode", Word("linear")), ("coordinate_transformation_mode", Word("half_pixel"))];
        self.onnx.op("Resize", &[map, "", "", &sizes], &bilinear)
    }

    fn images_and_sides(&mut self, map: &str) -> [String; 2] {
        [(0, 1), (2, 4)].map(|(start, end)| self.onnx.op("Shape", &[map], &[("start", Int(start)), ("end", Int(end))]))
    }

    /// A tensor with its axes in another order.
    pub fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.onnx.op("Transpose", &[x], &[("perm", Ints(order.to_vec()))])
    }
}
