//! The work in meganeura.

use meganeura::{Graph, Mode, NodeId, Session, SessionConfig, build};

use crate::work::{Engine, Values, Work};

struct Peer {
    session: Session,
    work: Work,
}

/// Compiles the work, with meganeura's own tuning.
pub fn engine(work: Work) -> Option<Box<dyn Engine>> {
    let mut graph = Graph::new();
    let operands = work.operands();
    let given = work.given();
    // Convolution takes pictures and weights as flat lists.
    let shape = |values: &Values| match work {
        Work::Conv(_) => vec![values.values.len()],
        _ => values.shape.clone(),
    };
    let parameters: Vec<NodeId> = operands.iter().map(|values| graph.parameter(values.name, &shape(values))).collect();
    let inputs: Vec<NodeId> = given.iter().map(|values| graph.input(values.name, &shape(values))).collect();
    let of = |size: usize| size as u32;
    let output = match (work, &parameters[..]) {
        (Work::MatMul(_), &[a, b]) => graph.matmul(a, b),
        (Work::Mlp(_), &[w1, b1, w2, b2]) => {
            let product = graph.matmul(inputs[0], w1);
            let sum = graph.bias_add(product, b1);
            let hidden = graph.relu(sum);
            let product = graph.matmul(hidden, w2);
            let logits = graph.bias_add(product, b2);
            graph.cross_entropy_loss(logits, inputs[1])
        }
        (Work::Conv([batch, side, channels, outputs]), &[x, w]) => {
            graph.conv2d(x, w, of(batch), of(channels), of(side), of(side), of(outputs), 3, 3, 1, 1)
        }
        (Work::Softmax(_), &[x]) => graph.softmax(x),
        (Work::LayerNorm(_), &[x, gamma, beta]) => graph.layer_norm(x, gamma, beta, 1e-5),
        (Work::Attention([_, heads, width]), &[q, k, v]) => {
            graph.multi_head_attn(q, k, v, of(heads), of(heads), of(width), false)
        }
        (work, _) => unreachable!("{work:?} has other operands"),
    };
    let output = match (work, &inputs[..]) {
        (Work::MatMul(_) | Work::Mlp(_), _) => output,
        (_, inputs) => {
            let weighted = graph.mul(output, inputs[0]);
            graph.mean_all(weighted)
        }
    };
    graph.set_outputs(vec![output]);
    let mode = if matches!(work, Work::MatMul(_)) { Mode::Inference } else { Mode::Training };
    let (mut session, _) = build(&graph, SessionConfig { mode, tune: true, ..SessionConfig::default() });
    for values in &operands {
        session.set_parameter(values.name, &values.values);
    }
    for values in &given {
        session.set_input(values.name, &values.values);
    }
    if let Work::Mlp(_) = work {
        session.set_adam(1e-3, 0.9, 0.999, 1e-8);
    }
    Some(Box::new(Peer { session, work }))
}

impl Engine for Peer {
    fn adapter(&self) -> &str {
        &self.session.device_information().device_name
    }

    fn run(&mut self) -> f32 {
        self.session.step();
        self.session.wait();
        match self.work {
            Work::MatMul(_) => self.session.read_output(1)[0],
            _ => self.session.read_loss(),
        }
    }

    fn results(&mut self) -> Vec<Vec<f32>> {
        if let Work::MatMul(side) = self.work {
            return vec![self.session.read_output(side * side)];
        }
        let read = |Values { name, mut values, .. }: Values| {
            match self.work {
                Work::Mlp(_) => self.session.read_param(name, &mut values),
                _ => self.session.read_param_grad(name, &mut values),
            }
            values
        };
        self.work.operands().into_iter().map(read).collect()
    }
}
