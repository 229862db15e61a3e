//! The backend that runs on the interpreter.

use std::future::ready;
use std::sync::Arc;

use super::interface::{Answer, Engine, Runnable};
use crate::engine::gpu::{Device, KernelTime, Plan};
use crate::engine::graph::interpreter::{ArrayStates, Interpreter};
use crate::engine::graph::{Graph, Kind, NodeId, Tensor, TensorType};
use crate::engine::kernel::Target;
use crate::engine::ranks::Peers;
use crate::engine::reference::Array;
use crate::engine::values::Values;
use crate::error::{Error, Result};

/// The interpreter with its states.
#[derive(Clone, Default)]
pub(crate) struct OnInterpreter {
    states: ArrayStates,
    peers: Peers,
}

impl OnInterpreter {
    fn array(&self, name: &str) -> Result<Array> {
        let array = self.states.lock().get(name).cloned();
        array.ok_or_else(|| Error::Graph(format!("state `{name}` has no value")))
    }
}

impl Engine for OnInterpreter {
    fn device(&self) -> Option<&Device> {
        None
    }

    fn peers(&self) -> &Peers {
        &self.peers
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn among(&self, peers: Peers) -> Arc<dyn Engine> {
        Arc::new(OnInterpreter { states: self.states.clone(), peers })
    }

    fn fresh(&self) -> Arc<dyn Engine> {
        Arc::new(OnInterpreter { states: ArrayStates::default(), peers: self.peers.clone() })
    }

    /// It has no kernels to choose from.
    fn aimed_at(&self, _: Target) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    fn set_state(&self, name: &str, ty: &TensorType, values: &[f32]) -> Result<()> {
        let data = values.iter().map(|&value| f64::from(value)).collect();
        self.states.lock().insert(name.to_owned(), Array::new(&ty.shape, data));
        Ok(())
    }

    fn state_type(&self, name: &str) -> Option<TensorType> {
        self.states.lock().get(name).map(|array| TensorType::f32(&array.shape[..]))
    }

    fn state<'a>(&'a self, name: &'a str) -> Answer<'a, (Vec<usize>, Vec<f64>)> {
        Box::pin(ready(self.array(name).map(|array| (array.shape, array.data))))
    }

    fn states<'a>(&'a self, names: &'a [&'a str]) -> Answer<'a, Vec<(Vec<usize>, Vec<f32>)>> {
        let rounded = |array: Array| (array.shape, array.data.into_iter().map(|value| value as f32).collect());
        Box::pin(ready(names.iter().map(|name| self.array(name).map(rounded)).collect()))
    }

    fn state_names(&self) -> Vec<String> {
        self.states.lock().keys().cloned().collect()
    }

    /// It computes in f64, so states are rounded to the f32 of a checkpoint.
    fn settle(&self) {
        let mut states = self.states.lock();
        let values = states.values_mut().flat_map(|array| &mut array.data);
        values.for_each(|value| *value = f64::from(*value as f32));
    }

    fn compile(&self, graph: &Graph, outputs: &[NodeId]) -> Result<Box<dyn Runnable>> {
        for (node, live) in graph.nodes().iter().zip(graph.live(outputs)) {
            if let (Kind::State(name), true) = (&node.kind, live) {
                let own = self.state_type(name).ok_or_else(|| Error::Graph(format!("state `{name}` has no value")))?;
                own.check_as_state(name, &node.ty)?;
            }
        }
        // Where a device rounds does not depend on its class.
        let half = Plan::new(graph, outputs, Target::software()).half;
        Ok(Box::new(Interpreter::new(graph, outputs, &half, &self.states, &self.peers)))
    }

    fn plan(&self, _: &Graph, _: &[NodeId]) -> Result<Option<Plan>> {
        Ok(None)
    }

    fn wait(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

impl Runnable for Interpreter {
    fn write(&mut self, input: &Tensor, values: &Values<'_>) {
        Interpreter::write(self, input.id(), values.to_f64());
    }

    fn run(&mut self) -> Result<()> {
        Interpreter::run(self)
    }

    fn read(&self, id: NodeId) -> Answer<'_, Vec<f64>> {
        Box::pin(ready(Interpreter::read(self, id)))
    }

    fn profile(&mut self) -> Answer<'_, Vec<KernelTime>> {
        Box::pin(ready(Interpreter::run(self).map(|()| Vec::new())))
    }

    fn plan(&self) -> Option<&Plan> {
        None
    }
}
