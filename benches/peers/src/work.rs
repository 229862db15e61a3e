//! The compared work, with the same numbers for every engine.

/// A product, or the mean of a function's result times fixed weights and its gradient with respect to every operand.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Product of two square matrices of this side; nothing is differentiated.
    MatMul(usize),
    /// Batch, inputs, hidden units, classes: ReLU, softmax cross-entropy, a step of Adam.
    Mlp([usize; 4]),
    /// Batch, side, channels in, channels out: 3×3 with padding 1.
    Conv([usize; 4]),
    /// Rows and their width.
    Softmax([usize; 2]),
    /// Rows and their width.
    LayerNorm([usize; 2]),
    /// Tokens, heads, channels of a head.
    Attention([usize; 3]),
}

/// Named values of a shape.
#[derive(Clone, Debug)]
pub struct Values {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Values {
    /// Repeatable values in [−0.5, 0.5), different for every name.
    pub fn noise(name: &'static str, shape: &[usize]) -> Self {
        let seed: usize = name.bytes().map(usize::from).sum();
        let value = |index: usize| ((index * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5;
        Values { name, shape: shape.to_vec(), values: (0..shape.iter().product()).map(value).collect() }
    }
}

impl Work {
    /// The operands that the work multiplies or differentiates. Pictures are [B, C, H, W], weights of a layer [in,
    /// out].
    pub fn operands(self) -> Vec<Values> {
        let noise = Values::noise;
        match self {
            Work::MatMul(side) => vec![noise("a", &[side, side]), noise("b", &[side, side])],
            Work::Mlp([_, inputs, hidden, classes]) => vec![
                noise("w1", &[inputs, hidden]),
                noise("b1", &[hidden]),
                noise("w2", &[hidden, classes]),
                noise("b2", &[classes]),
            ],
            Work::Conv([batch, side, inputs, outputs]) => {
                vec![noise("x", &[batch, inputs, side, side]), noise("w", &[outputs, inputs, 3, 3])]
            }
            Work::Softmax(shape) => vec![noise("x", &shape)],
            Work::LayerNorm([rows, width]) => {
                vec![noise("x", &[rows, width]), noise("gamma", &[width]), noise("beta", &[width])]
            }
            Work::Attention([tokens, heads, width]) => {
                ["q", "k", "v"].map(|name| noise(name, &[tokens, heads * width])).to_vec()
            }
        }
    }

    /// The weights of the mean, in the shape of the function's result; for the network its pictures and their classes.
    pub fn given(self) -> Vec<Values> {
        match self {
            Work::MatMul(_) => vec![],
            Work::Mlp([batch, inputs, _, classes]) => {
                let one_hot = |index: usize| f32::from(u8::from(index % classes == index / classes % classes));
                let values = (0..batch * classes).map(one_hot).collect();
                vec![
                    Values::noise("picture", &[batch, inputs]),
                    Values { name: "class", shape: vec![batch, classes], values },
                ]
            }
            Work::Conv([batch, side, _, outputs]) => vec![Values::noise("weight", &[batch, outputs, side, side])],
            Work::Softmax(shape) | Work::LayerNorm(shape) => vec![Values::noise("weight", &shape)],
            Work::Attention([tokens, heads, width]) => vec![Values::noise("weight", &[tokens, heads * width])],
        }
    }
}

/// Work in an engine, compiled and ready.
pub trait Engine {
    /// The adapter that it runs on.
    fn adapter(&self) -> &str;

    /// Runs once and reads one number of the result, which waits for the run to finish.
    fn run(&mut self) -> f32;

    /// The results of the last run: the product, the gradients in the order of the operands, or the trained parameters.
    fn results(&mut self) -> Vec<Vec<f32>>;
}
