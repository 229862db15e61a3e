//! Reverse-mode differentiation: extends the graph by its gradient.

use std::collections::HashMap;

use super::node::{Backward, BackwardError, Tensor};
use super::{DType, Graph, NodeId};
use crate::error::{Error, Result};

impl Graph {
    /// Gradients of the scalar `objective` with respect to each of `parameters`.
    ///
    /// A parameter that the objective does not reach gets an exact zero of its shape.
    ///
    /// # Errors
    /// [`Error::Graph`] if the objective is not a scalar, or anything belongs to another graph; [`Error::Op`] if the
    /// path to a parameter runs through an op without a gradient (if that is intended, call [`Tensor::detach`]).
    #[track_caller]
    pub fn gradients(&self, objective: &Tensor, parameters: &[Tensor]) -> Result<Vec<Tensor>> {
        if objective.shape().len() != 1 {
            return Err(Error::misuse(format!(
                "gradients: {objective:?} is not a scalar; reduce it to one value first"
            )));
        }
        let seed = self.full(1.0, objective.shape().clone())?;
        self.pull_back(&[(objective.clone(), seed)], parameters)
    }

    /// Gradients of Σ output · cotangent over all pairs of `outputs`, with respect to each of `parameters`.
    ///
    /// # Errors
    /// As [`Graph::gradients`], and [`Error::Graph`] if a cotangent does not have its output's shape, or
    /// either is not real.
    #[track_caller]
    pub fn pull_back(&self, outputs: &[(Tensor, Tensor)], parameters: &[Tensor]) -> Result<Vec<Tensor>> {
        self.check()?;
        let pairs = outputs.iter().flat_map(|(output, cotangent)| [output, cotangent]);
        if let Some(stranger) = pairs.chain(parameters).find(|tensor| !tensor.graph().is(self)) {
            return Err(Error::misuse(format!("gradients: {stranger:?} belongs to another graph")));
        }
        if let Some((output, cotangent)) = outputs.iter().find(|(output, other)| output.shape() != other.shape()) {
            return Err(Error::misuse(format!("gradients: {cotangent:?} does not have the shape of {output:?}")));
        }
        let has_integers = |tensor: &&Tensor| tensor.dtype() != DType::F32;
        if let Some(integers) = outputs.iter().flat_map(|(output, other)| [output, other]).find(has_integers) {
            return Err(Error::misuse(format!("gradients: {integers:?} is not real")));
        }
        self.lock().differentiates = true;
        let gradients = self.record_gradients(outputs, parameters);
        self.lock().differentiates = false;
        gradients
    }

    #[track_caller]
    fn record_gradients(&self, outputs: &[(Tensor, Tensor)], parameters: &[Tensor]) -> Result<Vec<Tensor>> {
        let nodes = self.nodes();
        let mut reaches = vec![false; nodes.len()];
        for parameter in parameters {
            reaches[parameter.id().0] = true;
        }
        for (index, node) in nodes.iter().enumerate() {
            reaches[index] |= !node.constant && node.inputs.iter().any(|input| reaches[input.0]);
        }

        let mut gradients: HashMap<NodeId, Tensor> = HashMap::new();
        for (output, cotangent) in outputs {
            accumulate(&mut gradients, output.id(), cotangent.clone())?;
        }
        for index in (0..nodes.len()).rev() {
            let (id, node) = (NodeId(index), &nodes[index]);
            let (true, Some(op)) = (reaches[index], node.op()) else { continue };
            if parameters.iter().any(|parameter| parameter.id() == id) && node.inputs.is_empty() {
                continue;
            }
            let Some(grad) = gradients.get(&id).cloned() else { continue };
            let inputs: Vec<_> = node.inputs.iter().map(|&input| self.tensor(input)).collect();
            let needed: Vec<_> = node.inputs.iter().map(|input| reaches[input.0]).collect();
            let context = Backward { inputs: &inputs, output: &self.tensor(id), grad: &grad, needed: &needed };
            let parts = op.backward(&context).map_err(|error| match error {
                BackwardError::Record(error) => error,
                BackwardError::Undefined => Error::Op {
                    op: op.name(),
                    shapes: inputs.iter().map(|input| format!("{:?}", input.ty())).collect::<Vec<_>>().join(" "),
                    reason: "has no gradient; detach its operands if none is needed".into(),
                    at: node.at,
                },
            })?;
            for ((input, part), needed) in node.inputs.iter().zip(parts).zip(needed) {
                if let (Some(part), true) = (part, needed) {
                    accumulate(&mut gradients, *input, part)?;
                }
            }
        }
        parameters
            .iter()
            .map(|parameter| match gradients.get(&parameter.id()) {
                Some(gradient) => Ok(gradient.clone()),
                None => self.full(0.0, parameter.shape().clone()),
            })
            .collect()
    }
}

fn accumulate(gradients: &mut HashMap<NodeId, Tensor>, id: NodeId, part: Tensor) -> Result<()> {
    let sum = match gradients.remove(&id) {
        Some(sum) => sum.add(&part)?,
        None => part,
    };
    gradients.insert(id, sum);
    Ok(())
}
