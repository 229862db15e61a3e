//! The work in meganeura, by its own names and layouts.

use meganeura::{CompileOptions, Graph, Mode, NodeId, Session, SessionConfig, build};

use super::{Engine, Work, labels, noise};

struct Peer {
    session: Session,
    trains: bool,
}

impl Engine for Peer {
    fn run(&mut self) {
        self.session.step();
        self.session.wait();
    }

    fn loss(&mut self) -> f32 {
        if self.trains { self.session.read_loss() } else { self.session.read_output(1)[0] }
    }
}

/// A graph that remembers what its operands hold.
#[derive(Default)]
struct Recorder {
    graph: Graph,
    parameters: Vec<(&'static str, Vec<f32>)>,
    inputs: Vec<(&'static str, Vec<f32>)>,
}

impl Recorder {
    fn parameter(&mut self, name: &'static str, shape: &[usize]) -> NodeId {
        let seed = self.parameters.len();
        self.parameters.push((name, noise(seed, shape.iter().product())));
        self.graph.parameter(name, shape)
    }

    fn input(&mut self, name: &'static str, shape: &[usize], values: Vec<f32>) -> NodeId {
        self.inputs.push((name, values));
        self.graph.input(name, shape)
    }

    /// The mean of y · weight, with a weight of its own for every element.
    fn weighted_mean(&mut self, y: NodeId, shape: &[usize]) -> NodeId {
        let weight = self.input("weight", shape, noise(9, shape.iter().product()));
        let product = self.graph.mul(y, weight);
        self.graph.mean_all(product)
    }
}

pub fn engine(work: Work) -> Box<dyn Engine> {
    let mut r = Recorder::default();
    let (result, mode) = match work {
        Work::MatMul(side) => {
            let (a, b) = (r.parameter("a", &[side, side]), r.parameter("b", &[side, side]));
            (r.graph.matmul(a, b), Mode::Inference)
        }
        Work::Mlp([batch, inputs, hidden, classes]) => {
            let w1 = r.parameter("w1", &[inputs, hidden]);
            let b1 = r.parameter("b1", &[hidden]);
            let w2 = r.parameter("w2", &[hidden, classes]);
            let b2 = r.parameter("b2", &[classes]);
            let x = r.input("x", &[batch, inputs], noise(7, batch * inputs));
            let truth = r.input("truth", &[batch, classes], labels(batch, classes));
            let product = r.graph.matmul(x, w1);
            let sum = r.graph.bias_add(product, b1);
            let active = r.graph.relu(sum);
            let product = r.graph.matmul(active, w2);
            let logits = r.graph.bias_add(product, b2);
            (r.graph.cross_entropy_loss(logits, truth), Mode::Training)
        }
        Work::Conv([batch, side, inputs, outputs]) => {
            let x = r.parameter("x", &[batch * inputs * side * side]);
            let w = r.parameter("w", &[outputs * inputs * 9]);
            let of = |value: usize| value as u32;
            let (batch_, side_) = (of(batch), of(side));
            let y = r.graph.conv2d(x, w, batch_, of(inputs), side_, side_, of(outputs), 3, 3, 1, 1);
            (r.graph.mean_all(y), Mode::Training)
        }
        Work::Softmax(shape) => {
            let x = r.parameter("x", &shape);
            let y = r.graph.softmax(x);
            (r.weighted_mean(y, &shape), Mode::Training)
        }
        Work::LayerNorm(shape) => {
            let x = r.parameter("x", &shape);
            let (gamma, beta) = (r.parameter("gamma", &shape[1..]), r.parameter("beta", &shape[1..]));
            let y = r.graph.layer_norm(x, gamma, beta, 1e-5);
            (r.weighted_mean(y, &shape), Mode::Training)
        }
        Work::Attention([tokens, heads, width]) => {
            let shape = [tokens, heads * width];
            let [q, k, v] = ["q", "k", "v"].map(|name| r.parameter(name, &shape));
            let (heads, width) = (heads as u32, width as u32);
            let y = r.graph.multi_head_attn(q, k, v, heads, heads, width, false);
            (r.weighted_mean(y, &shape), Mode::Training)
        }
    };
    r.graph.set_outputs(vec![result]);
    let config = SessionConfig { mode, options: CompileOptions::default(), ..SessionConfig::default() };
    let mut session = build(&r.graph, config).0;
    for (name, values) in &r.parameters {
        session.set_parameter(name, values);
    }
    for (name, values) in &r.inputs {
        session.set_input(name, values);
    }
    if let Work::Mlp(_) = work {
        session.set_adam(1e-3, 0.9, 0.999, 1e-8);
    }
    Box::new(Peer { session, trains: mode == Mode::Training })
}
