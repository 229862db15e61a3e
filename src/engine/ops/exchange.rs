//! Exchanges between ranks: a program stops there, and the host sends what has been computed.

use crate::engine::graph::{Op, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches};
use crate::engine::ranks::Exchange;
use crate::engine::reference::Array;
use crate::error::Result;

/// An exchange among a number of ranks.
#[derive(Debug)]
struct Among {
    ranks: usize,
    exchange: Exchange,
}

impl Op for Among {
    fn name(&self) -> &'static str {
        match self.exchange {
            Exchange::Gather => "gather_ranks",
            Exchange::Sum => "sum_ranks",
        }
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match (inputs, self.exchange) {
            ([x], _) if **x != TensorType::f32(x.shape.clone()) => Err("only real tensors are exchanged".into()),
            ([x], Exchange::Gather) => Ok(TensorType::f32([&[self.ranks], &x.shape[..]].concat())),
            ([x], Exchange::Sum) => Ok((*x).clone()),
            _ => Err("takes one tensor".into()),
        }
    }

    fn launches(&self, _: &LaunchContext<'_>) -> Launches {
        Launches::default()
    }

    /// That of ranks with equal values; an interpreter exchanges instead.
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let Array { shape, data } = inputs[0];
        vec![match self.exchange {
            Exchange::Gather => Array::new(&[&[self.ranks], &shape[..]].concat(), data.repeat(self.ranks)),
            Exchange::Sum => Array::new(shape, data.iter().map(|value| value * self.ranks as f64).collect()),
        }]
    }

    fn exchange(&self) -> Option<(Exchange, usize)> {
        Some((self.exchange, self.ranks))
    }
}

impl Tensor {
    /// The values of all `ranks` that run this graph, in their order: \[ranks, …\]. It has no gradient.
    ///
    /// # Errors
    /// If the tensor is not real.
    #[track_caller]
    pub(crate) fn gather_ranks(&self, ranks: usize) -> Result<Tensor> {
        Tensor::record(Among { ranks, exchange: Exchange::Gather }, &[self])
    }

    /// The sum of the values of all `ranks` that run this graph, added in their order. It has no gradient.
    ///
    /// # Errors
    /// If the tensor is not real.
    #[track_caller]
    pub(crate) fn sum_ranks(&self, ranks: usize) -> Result<Tensor> {
        Tensor::record(Among { ranks, exchange: Exchange::Sum }, &[self])
    }
}
