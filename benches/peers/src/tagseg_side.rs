//! The work in tagseg.

use tagseg::graph::{DType, Graph, Tensor};
use tagseg::ops::adamw::{AdamW, adamw};
use tagseg::{Program, Result, Session};

use super::{Engine, Work, labels, noise};

struct Ours {
    session: Session,
    program: Program,
    loss: Tensor,
}

impl Engine for Ours {
    fn run(&mut self) {
        self.program.run().and_then(|()| self.session.wait()).expect("the device runs");
    }

    fn loss(&mut self) -> f32 {
        self.program.read(&self.loss).expect("the loss is an output")[0] as f32
    }
}

pub fn engine(work: Work) -> Box<dyn Engine> {
    Box::new(compile(work).expect("the work fits the device"))
}

fn compile(work: Work) -> Result<Ours> {
    let mut session = Session::open("auto")?;
    let graph = Graph::new();
    let mut inputs: Vec<(Tensor, Vec<f32>)> = Vec::new();
    let mut input = |name: &str, shape: &[usize], values: Vec<f32>| {
        let tensor = graph.input(name, shape, DType::F32);
        inputs.push((tensor.clone(), values));
        tensor
    };
    let fill = |seed: usize, shape: &[usize]| noise(seed, shape.iter().product());
    let mut operands: Vec<Tensor> = Vec::new();
    let mut weighted = None;
    let loss = match work {
        Work::MatMul(side) => {
            let [a, b] = [0, 1].map(|seed| input(["a", "b"][seed], &[side, side], fill(seed, &[side, side])));
            a.matmul(&b)?
        }
        Work::Mlp([batch, width, hidden, classes]) => {
            let shapes: [&[usize]; 4] = [&[width, hidden], &[hidden], &[hidden, classes], &[classes]];
            for (seed, shape) in shapes.into_iter().enumerate() {
                let name = ["w1", "b1", "w2", "b2"][seed];
                session.set_state(name, shape, &fill(seed, shape))?;
                operands.push(graph.state(name, shape));
            }
            let x = input("x", &[batch, width], fill(7, &[batch, width]));
            let truth = input("truth", &[batch, classes], labels(batch, classes));
            let active = x.matmul(&operands[0])?.add(&operands[1])?.relu()?;
            let logits = active.matmul(&operands[2])?.add(&operands[3])?;
            logits.log_softmax(1)?.mul(&truth)?.sum_all()?.scale(-1.0 / batch as f64)?
        }
        Work::Conv([batch, side, channels, outputs]) => {
            // Their operands are [B, C, H, W]; ours are the same numbers with channels last.
            let theirs = fill(0, &[batch, channels, side, side]);
            let plane = side * side;
            let moved = (0..theirs.len()).map(|i| {
                let (c, s, b) = (i % channels, i / channels % plane, i / channels / plane);
                theirs[(b * channels + c) * plane + s]
            });
            operands.push(input("x", &[batch, side, side, channels], moved.collect()));
            let shape = [outputs, channels, 3, 3];
            operands.push(input("w", &shape, fill(1, &shape)));
            operands[0].conv2d(&operands[1], None, 1, 1)?.mean_all()?
        }
        Work::Softmax(shape) => {
            operands.push(input("x", &shape, fill(0, &shape)));
            weighted.insert(operands[0].softmax(1.0)?).clone()
        }
        Work::LayerNorm([rows, width]) => {
            for (seed, shape) in [&[rows, width][..], &[width], &[width]].into_iter().enumerate() {
                operands.push(input(["x", "gamma", "beta"][seed], shape, fill(seed, shape)));
            }
            weighted.insert(operands[0].layer_norm(&operands[1], &operands[2], 1e-5)?).clone()
        }
        Work::Attention([tokens, heads, width]) => {
            let shape = [1, tokens, heads * width];
            for seed in 0..3 {
                operands.push(input(["q", "k", "v"][seed], &shape, fill(seed, &shape)));
            }
            let scores = operands[0].attention_scores(&operands[1], heads)?;
            let shares = scores.softmax((width as f64).powf(-0.5))?;
            weighted.insert(shares.attention_values(&operands[2])?).clone()
        }
    };
    let loss = match weighted {
        Some(y) => {
            let weight = input("weight", y.shape(), fill(9, y.shape()));
            y.mul(&weight)?.mean_all()?
        }
        None => loss,
    };
    let mut outputs = vec![loss.clone()];
    if !operands.is_empty() {
        let gradients = graph.gradients(&loss, &operands)?;
        if let Work::Mlp(_) = work {
            let hyper = input("hyper", &[4], AdamW::default().hyper(1e-3, 0.0, 1).map(|value| value as f32).to_vec());
            for (parameter, gradient) in operands.iter().zip(&gradients) {
                let name = parameter.name().unwrap_or_default();
                let moments = ["m", "v"].map(|kind| format!("{name}.{kind}"));
                for moment in &moments {
                    session.set_state(moment, parameter.shape(), &vec![0.0; parameter.shape().len()])?;
                }
                let [m, v] = moments.map(|moment| graph.state(&moment, parameter.shape().clone()));
                adamw(AdamW::default(), parameter, gradient, &m, &v, &hyper, None)?;
            }
        } else {
            outputs.extend(gradients);
        }
    }
    let mut program = session.compile(&graph, &outputs.iter().collect::<Vec<_>>())?;
    for (tensor, values) in &inputs {
        program.write(tensor, values)?;
    }
    Ok(Ours { session, program, loss })
}
