//! The backend that runs on a device.

use std::sync::Arc;

use super::interface::{Answer, Engine, Runnable};
use crate::engine::gpu::{Device, KernelTime, Plan, Program, States, plan};
use crate::engine::graph::{DType, Graph, NodeId, Tensor, TensorType};
use crate::engine::kernel::Target;
use crate::engine::ranks::Peers;
use crate::engine::values::Values;
use crate::error::Result;

/// A device with its states.
pub(crate) struct OnDevice {
    device: Device,
    states: States,
    peers: Peers,
}

impl OnDevice {
    /// A device without states.
    pub(crate) fn new(device: Device) -> Self {
        OnDevice { device, states: States::default(), peers: Peers::default() }
    }
}

impl Engine for OnDevice {
    fn device(&self) -> Option<&Device> {
        Some(&self.device)
    }

    fn peers(&self) -> &Peers {
        &self.peers
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn among(&self, peers: Peers) -> Arc<dyn Engine> {
        Arc::new(OnDevice { device: self.device.clone(), states: self.states.clone(), peers })
    }

    fn fresh(&self) -> Arc<dyn Engine> {
        Arc::new(OnDevice { device: self.device.clone(), states: States::default(), peers: self.peers.clone() })
    }

    fn aimed_at(&self, target: Target) -> Arc<dyn Engine> {
        let (device, states, peers) = (self.device.clone(), self.states.clone(), self.peers.clone());
        Arc::new(OnDevice { device: device.aimed_at(target), states, peers })
    }

    fn set_state(&self, name: &str, ty: &TensorType, values: &[f32]) -> Result<()> {
        self.states.set(&self.device, name, ty, values)
    }

    fn state_type(&self, name: &str) -> Option<TensorType> {
        self.states.ty(name)
    }

    fn state<'a>(&'a self, name: &'a str) -> Answer<'a, (Vec<usize>, Vec<f64>)> {
        Box::pin(async move {
            let (ty, values) = self.states.get(&self.device, name).await?;
            Ok((ty.shape.to_vec(), values.into_iter().map(f64::from).collect()))
        })
    }

    fn states<'a>(&'a self, names: &'a [&'a str]) -> Answer<'a, Vec<(Vec<usize>, Vec<f32>)>> {
        Box::pin(async move {
            let all = self.states.get_all(&self.device, names).await?;
            Ok(all.into_iter().map(|(ty, values)| (ty.shape.to_vec(), values)).collect())
        })
    }

    fn state_names(&self) -> Vec<String> {
        self.states.names()
    }

    /// A device stores f32 anyway.
    fn settle(&self) {}

    fn compile(&self, graph: &Graph, outputs: &[NodeId]) -> Result<Box<dyn Runnable>> {
        Ok(Box::new(Program::compile(&self.device, graph, outputs, &self.states, &self.peers)?))
    }

    fn plan(&self, graph: &Graph, outputs: &[NodeId]) -> Result<Option<Plan>> {
        plan(&self.device, graph, outputs).map(Some)
    }

    fn wait(&self) -> Answer<'_, ()> {
        Box::pin(self.device.wait())
    }
}

impl Runnable for Program {
    fn write(&mut self, input: &Tensor, values: &Values<'_>) {
        let id = input.id();
        match (input.dtype(), values) {
            (DType::F32, Values::F32(values)) => self.write_bytes(id, bytemuck::cast_slice(values)),
            (DType::I32, Values::I32(values)) => self.write_bytes(id, bytemuck::cast_slice(values)),
            (DType::I32, Values::U8(bytes)) if bytes.len().is_multiple_of(4) && cfg!(target_endian = "little") => {
                self.write_bytes(id, bytes);
            }
            (DType::F32, other) => {
                let values: Vec<f32> = other.to_f64().into_iter().map(|value| value as f32).collect();
                self.write_bytes(id, bytemuck::cast_slice(&values));
            }
            (DType::I32, other) => {
                let values: Vec<i32> = other.to_f64().into_iter().map(|value| value as i32).collect();
                self.write_bytes(id, bytemuck::cast_slice(&values));
            }
        }
    }

    fn run(&mut self) -> Result<()> {
        Program::run(self)
    }

    fn read(&self, id: NodeId) -> Answer<'_, Vec<f64>> {
        Box::pin(Program::read(self, id))
    }

    fn profile(&mut self) -> Answer<'_, Vec<KernelTime>> {
        Box::pin(Program::profile(self))
    }

    fn plan(&self) -> Option<&Plan> {
        Some(Program::plan(self))
    }
}
