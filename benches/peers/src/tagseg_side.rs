//! The work in tagseg.

use tagseg::engine::graph::{DType, Graph, Tensor};
use tagseg::engine::ops::adamw::{Constants, Trained, adamw};
use tagseg::engine::ops::pack::Packed;
use tagseg::{Program, Result, Session};

use crate::work::{Engine, Values, Work};

struct Ours {
    session: Session,
    program: Program,
    /// One number that is known when the run is finished.
    number: Tensor,
    results: Vec<(Tensor, Layout)>,
    /// The inputs of the optimiser for every run, and the number of the last step.
    hyper: Option<Tensor>,
    step: u64,
}

/// The layout of values relative to those of the [`Work`].
#[derive(Clone, Copy)]
enum Layout {
    Same,
    /// So many matrices of rows and columns, each transposed.
    Transposed([usize; 3]),
}

impl Layout {
    fn of(work: Work, values: &Values) -> Self {
        match (work, &values.shape[..]) {
            // Pictures in tagseg are channels-last, and the weights of its layers are [out, in].
            (Work::Conv(_), &[batch, channels, height, width]) if values.name != "w" => {
                Layout::Transposed([batch, channels, height * width])
            }
            (Work::Mlp(_), &[inputs, outputs]) if values.name.starts_with('w') => {
                Layout::Transposed([1, inputs, outputs])
            }
            _ => Layout::Same,
        }
    }

    fn shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Layout::Transposed(_), &[batch, channels, height, width]) => vec![batch, height, width, channels],
            (Layout::Transposed(_), &[inputs, outputs]) => vec![outputs, inputs],
            _ => shape.to_vec(),
        }
    }

    fn to_ours(self, values: &[f32]) -> Vec<f32> {
        match self {
            Layout::Same => values.to_vec(),
            Layout::Transposed([_, rows, columns]) => {
                let element = |index: usize| {
                    let (row, column) = (index % rows, index / rows % columns);
                    values[index / (rows * columns) * rows * columns + row * columns + column]
                };
                (0..values.len()).map(element).collect()
            }
        }
    }

    fn to_theirs(self, values: &[f32]) -> Vec<f32> {
        match self {
            Layout::Same => values.to_vec(),
            Layout::Transposed([count, rows, columns]) => Layout::Transposed([count, columns, rows]).to_ours(values),
        }
    }
}

/// Compiles the work for the adapter `device`.
pub fn engine(work: Work, device: &str) -> Result<Box<dyn Engine>> {
    let mut session = tagseg::run::device::open(device)?;
    let graph = Graph::new();
    let trains = matches!(work, Work::Mlp(_));
    let mut written = Vec::new();
    let mut input = |values: &Values| {
        let layout = Layout::of(work, values);
        let tensor = graph.input(values.name, layout.shape(&values.shape), DType::F32);
        written.push((tensor.clone(), layout.to_ours(&values.values)));
        tensor
    };
    let mut operands = Vec::new();
    for values in work.operands() {
        let layout = Layout::of(work, &values);
        let tensor = if trains {
            let shape = layout.shape(&values.shape);
            session.set_state(values.name, &shape, &layout.to_ours(&values.values))?;
            graph.state(values.name, shape)
        } else {
            input(&values)
        };
        operands.push((tensor, layout));
    }
    let given: Vec<Tensor> = work.given().iter().map(input).collect();
    let operand = |index: usize| &operands[index].0;
    let y = match work {
        Work::MatMul(_) => operand(0).matmul(operand(1))?,
        Work::Mlp(_) => {
            let hidden = given[0].linear(operand(0), Some(operand(1)))?.relu()?;
            hidden.linear(operand(2), Some(operand(3)))?.log_softmax(1)?
        }
        Work::Conv(_) => operand(0).conv2d(operand(1), None, 1, 1)?,
        Work::Softmax(_) => operand(0).softmax(-1)?,
        Work::LayerNorm(_) => operand(0).layer_norm(operand(1), operand(2), 1e-5)?,
        Work::Attention([tokens, heads, width]) => {
            let batch = |index: usize| operand(index).reshape([1, tokens, heads * width]);
            let scores = batch(0)?.attention_scores(&batch(1)?, heads)?;
            let shares = scores.softmax_scaled((width as f64).powf(-0.5))?;
            shares.attention_values(&batch(2)?)?.reshape([tokens, heads * width])?
        }
    };
    let (number, results) = match work {
        Work::MatMul(_) => (y.slice(0, 0..1)?.slice(1, 0..1)?, vec![(y, Layout::Same)]),
        Work::Mlp([batch, ..]) => (y.mul(&given[1])?.sum_all()?.scale(-1.0 / batch as f64)?, operands.clone()),
        _ => {
            let loss = y.mul(&given[0])?.mean_all()?;
            let tensors: Vec<Tensor> = operands.iter().map(|(tensor, _)| tensor.clone()).collect();
            let layouts = operands.iter().map(|(_, layout)| *layout);
            let gradients = graph.gradients(&loss, &tensors)?.into_iter().zip(layouts).collect();
            (loss, gradients)
        }
    };
    let hyper = trains.then(|| graph.input("hyper", [1, 4], DType::F32));
    if let Some(hyper) = &hyper {
        let tensors: Vec<Tensor> = operands.iter().map(|(tensor, _)| tensor.clone()).collect();
        let mut trained = Vec::new();
        for param in tensors.iter().cloned() {
            let mut moment = |kind: &str| {
                let name = format!("{}.{kind}", param.name().unwrap_or_default());
                session.set_state(&name, param.shape(), &vec![0.0; param.shape().len()])?;
                tagseg::Result::Ok(graph.state(&name, param.shape().clone()))
            };
            let (m, v) = (moment("m")?, moment("v")?);
            trained.push(Trained { param, m, v, group: 0 });
        }
        let gradients = Packed::new(&graph.gradients(&number, &tensors)?)?;
        adamw(Constants::default(), &trained, &gradients, hyper, None)?;
    }
    let computed = results.iter().map(|(tensor, _)| tensor).filter(|tensor| !tensor.is_state());
    let mut program = session.compile(&graph, &[&number].into_iter().chain(computed).collect::<Vec<_>>())?;
    for (tensor, values) in &written {
        program.write(tensor, values)?;
    }
    Ok(Box::new(Ours { session, program, number, results, hyper, step: 0 }))
}

impl Ours {
    fn step(&mut self) -> Result<f32> {
        self.step += 1;
        if let Some(hyper) = &self.hyper {
            self.program.write(hyper, &Constants::default().hyper(1e-3, 0.0, self.step))?;
        }
        self.program.run()?;
        Ok(self.program.read(&self.number)?[0] as f32)
    }

    fn read(&self, tensor: &Tensor, layout: Layout) -> Result<Vec<f32>> {
        let values: Vec<f32> = self.program.read(tensor)?.into_iter().map(|value| value as f32).collect();
        Ok(layout.to_theirs(&values))
    }
}

impl Engine for Ours {
    fn adapter(&self) -> &str {
        self.session.name()
    }

    fn run(&mut self) -> f32 {
        self.step().expect("a compiled step runs")
    }

    fn results(&mut self) -> Vec<Vec<f32>> {
        let read =
            |(tensor, layout): &(Tensor, Layout)| self.read(tensor, *layout).expect("outputs can be read");
        self.results.iter().map(read).collect()
    }
}
