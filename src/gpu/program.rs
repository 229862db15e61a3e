//! A compiled graph on a device: buffers, pipelines and bind groups made once, replayed in few submissions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use futures_channel::oneshot;

use super::bytes::mebibytes;
use super::plan::{Place, Plan, Step};
use super::{Device, pace};
use crate::error::{Error, Result};
use crate::graph::{DType, Graph, Kind, NodeId, Slot, TensorType};

/// Tensors that live between runs, by name. Clones share them.
#[derive(Clone, Default)]
pub struct States {
    buffers: Rc<RefCell<HashMap<String, (TensorType, wgpu::Buffer)>>>,
}

impl States {
    /// Sets a state, in place if it exists: then it has this type.
    pub(crate) fn set(&self, device: &Device, name: &str, ty: &TensorType, values: &[f32]) {
        let mut buffers = self.buffers.borrow_mut();
        let entry = buffers.entry(name.to_owned());
        let (_, buffer) = entry.or_insert_with(|| (ty.clone(), device.buffer(name, ty.bytes())));
        device.queue.write_buffer(buffer, 0, bytemuck::cast_slice(values));
    }

    /// The type of a state, if there is one of that name.
    pub(crate) fn ty(&self, name: &str) -> Option<TensorType> {
        self.buffers.borrow().get(name).map(|(ty, _)| ty.clone())
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of that name; [`Error::Device`] if the device was lost.
    pub async fn get(&self, device: &Device, name: &str) -> Result<(TensorType, Vec<f32>)> {
        let (ty, buffer) = self.find(name)?;
        let bytes = read(device, buffer.slice(..), ty.shape.len()).await?;
        Ok((ty, bytemuck::pod_collect_to_vec(&bytes)))
    }

    /// Reads many states back at once.
    ///
    /// # Errors
    /// As [`States::get`].
    pub async fn get_all(&self, device: &Device, names: &[&str]) -> Result<Vec<(TensorType, Vec<f32>)>> {
        let found = names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>>>()?;
        let buffers: Vec<_> = found.iter().map(|(ty, buffer)| first(buffer.slice(..), ty.shape.len())).collect();
        let values = read_all(device, &buffers).await?.into_iter().map(|bytes| bytemuck::pod_collect_to_vec(&bytes));
        Ok(found.iter().map(|(ty, _)| ty.clone()).zip(values).collect())
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.buffers.borrow().keys().cloned().collect();
        names.sort();
        names
    }

    fn find(&self, name: &str) -> Result<(TensorType, wgpu::Buffer)> {
        self.buffers.borrow().get(name).cloned().ok_or_else(|| {
            Error::Graph(format!("state `{name}` has no value; set it before the program is compiled or run"))
        })
    }
}

/// Bytes that are read back together.
const STAGED: u64 = 64 << 20;

/// The first elements of a part of a buffer.
fn first(slice: wgpu::BufferSlice<'_>, elements: usize) -> wgpu::BufferSlice<'_> {
    slice.slice(..(elements * 4) as u64)
}

/// Reads the first elements of a part of a buffer back; waits for the device.
pub(super) async fn read(device: &Device, slice: wgpu::BufferSlice<'_>, elements: usize) -> Result<Vec<u8>> {
    let mut all = read_all(device, &[first(slice, elements)]).await?;
    Ok(all.pop().unwrap_or_default())
}

/// Reads parts of buffers back, with one wait for the device in [`STAGED`] bytes.
async fn read_all(device: &Device, slices: &[wgpu::BufferSlice<'_>]) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(slices.len());
    while let Some(rest) = slices.get(all.len()..).filter(|rest| !rest.is_empty()) {
        let mut size = rest[0].size();
        let fits = |slice: &&wgpu::BufferSlice<'_>| {
            size += slice.size();
            size <= STAGED
        };
        let part = &rest[..1 + rest[1..].iter().take_while(fits).count()];
        all.extend(read_part(device, part).await?);
    }
    Ok(all)
}

/// Reads through one staging buffer.
async fn read_part(device: &Device, slices: &[wgpu::BufferSlice<'_>]) -> Result<Vec<Vec<u8>>> {
    let size = slices.iter().map(wgpu::BufferSlice::size).sum();
    if size == 0 {
        return Ok(vec![Vec::new(); slices.len()]);
    }
    let staging = device.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read back"),
        size,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.device.create_command_encoder(&Default::default());
    let mut place = 0;
    for slice in slices {
        encoder.copy_buffer_to_buffer(slice.buffer(), slice.offset(), &staging, place, slice.size());
        place += slice.size();
    }
    device.queue.submit([encoder.finish()]);
    let staged = staging.slice(..);
    let (done, told) = oneshot::channel();
    staged.map_async(wgpu::MapMode::Read, |mapping| drop(done.send(mapping)));
    let failed = |error: String| Error::device(format!("reading back failed: {error}"), "start again");
    device.until(told).await?.map_err(|error| failed(error.to_string()))?;
    let mapped = staged.get_mapped_range().map_err(|error| failed(error.to_string()))?;
    let mut rest: &[u8] = &mapped;
    let values = slices.iter().map(|slice| {
        let (values, after) = rest.split_at(slice.size() as usize);
        rest = after;
        values.to_vec()
    });
    let values = values.collect();
    drop(mapped);
    staging.destroy();
    Ok(values)
}

pub(super) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

impl Dispatch {
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// A graph compiled for a device.
pub struct Program {
    pub(super) device: Device,
    pub(super) graph: Graph,
    pub(super) plan: Plan,
    pub(super) dispatches: Vec<Dispatch>,
    inputs: HashMap<NodeId, wgpu::Buffer>,
    pool: Vec<wgpu::Buffer>,
    states: HashMap<String, wgpu::Buffer>,
    constants: HashMap<NodeId, wgpu::Buffer>,
    /// The dispatches of every submission of a run.
    submissions: Vec<Range<usize>>,
    /// The last submissions of runs that may not be done.
    in_flight: Vec<wgpu::SubmissionIndex>,
}

impl Program {
    /// Plans `graph` for `outputs` and prepares everything that running it needs.
    ///
    /// # Errors
    /// [`Error::Graph`] if a state has no value; [`Error::Memory`] if the plan does not fit the device, with its bytes;
    /// [`Error::Device`] if a kernel is refused.
    pub fn compile(device: &Device, graph: &Graph, outputs: &[NodeId], states: &States) -> Result<Self> {
        let plan = plan(device, graph, outputs)?;
        let planned = plan.bytes();
        let allocated = device.catch(wgpu::ErrorFilter::OutOfMemory, || Self::allocate(device, graph, plan, states));
        let mut program = allocated.map_err(|_| {
            let reason = format!("the plan needs {:.1} MiB, more than {} has free", mebibytes(planned), device.name());
            Error::Memory { reason, remedy: SMALLER.into() }
        })??;
        program.prepare()?;
        Ok(program)
    }

    /// Makes the buffers and fills the constants.
    fn allocate(device: &Device, graph: &Graph, plan: Plan, states: &States) -> Result<Self> {
        let nodes = graph.nodes();
        let mut program = Program {
            device: device.clone(),
            graph: graph.clone(),
            dispatches: Vec::with_capacity(plan.dispatches()),
            inputs: HashMap::new(),
            pool: plan.pool.iter().map(|&bytes| device.buffer("pool", bytes)).collect(),
            states: HashMap::new(),
            constants: HashMap::new(),
            submissions: pace::submissions(&plan.work(), device.nice()),
            in_flight: Vec::new(),
            plan,
        };
        for (index, node) in nodes.iter().enumerate().filter(|(index, _)| program.plan.places[*index].is_some()) {
            let id = NodeId(index);
            match &node.kind {
                Kind::Input(name) => {
                    program.inputs.insert(id, device.buffer(name, node.ty.bytes()));
                }
                Kind::Constant(values) => {
                    let buffer = device.buffer("constant", node.ty.bytes());
                    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                    device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
                    program.constants.insert(id, buffer);
                }
                Kind::State(name) => {
                    let (ty, buffer) = states.find(name)?;
                    if ty != node.ty {
                        return Err(Error::Graph(format!("state `{name}` is {ty:?}, the program wants {:?}", node.ty)));
                    }
                    program.states.insert(name.clone(), buffer);
                }
                Kind::Op(_) => {}
            }
        }
        Ok(program)
    }

    /// Makes pipelines, the uniform blocks (one buffer for all) and bind groups.
    fn prepare(&mut self) -> Result<()> {
        let alignment = self.device.limits().min_uniform_buffer_offset_alignment as usize;
        let mut blocks: Vec<u8> = Vec::new();
        let mut offsets = Vec::new();
        for launch in self.plan.steps.iter().flat_map(|step| &step.launches.list) {
            blocks.resize(blocks.len().next_multiple_of(alignment), 0);
            offsets.push(blocks.len());
            blocks.extend_from_slice(bytemuck::cast_slice(&launch.params));
            blocks.resize(blocks.len().next_multiple_of(16), 0);
        }
        let uniforms = self.device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: blocks.len().max(16) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.device.queue.write_buffer(&uniforms, 0, &blocks);

        let mut offsets = offsets.into_iter();
        let mut dispatches = Vec::new();
        for step in &self.plan.steps {
            for launch in &step.launches.list {
                let pipeline = self.device.pipeline(launch)?;
                let offset = offsets.next().unwrap_or(0) as u64;
                let size = ((launch.params.len() * 4).next_multiple_of(16)) as u64;
                let block = wgpu::BufferBinding { buffer: &uniforms, offset, size: std::num::NonZero::new(size) };
                let mut entries =
                    vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(block) }];
                for (binding, slot) in launch.bindings.iter().enumerate() {
                    let slice = self.slice_of(step, *slot);
                    let (offset, size) = (slice.offset(), std::num::NonZero::new(slice.size()));
                    let resource = wgpu::BufferBinding { buffer: slice.buffer(), offset, size };
                    let resource = wgpu::BindingResource::Buffer(resource);
                    entries.push(wgpu::BindGroupEntry { binding: binding as u32 + 1, resource });
                }
                let group = self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(launch.shader.name),
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                });
                dispatches.push(Dispatch { pipeline, group, workgroups: launch.workgroups });
            }
        }
        self.dispatches = dispatches;
        Ok(())
    }

    fn slice_of(&self, step: &Step, slot: Slot) -> wgpu::BufferSlice<'_> {
        match slot {
            Slot::Input(index) => self.place(&step.inputs[index]),
            Slot::Output => self.value(step.output),
            Slot::Scratch(index) => self.value(step.scratch[index]),
        }
    }

    fn place(&self, place: &Place) -> wgpu::BufferSlice<'_> {
        match place {
            Place::Input(id) => self.inputs[id].slice(..),
            Place::Constant(id) => self.constants[id].slice(..),
            Place::State(name) => self.states[name].slice(..),
            Place::Value(index) => self.value(*index),
        }
    }

    fn value(&self, index: usize) -> wgpu::BufferSlice<'_> {
        let value = &self.plan.values[index];
        self.pool[value.buffer].slice(value.range())
    }

    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The recording it was compiled from.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Writes an input; `bytes` are its elements. Inputs that the plan does not need are ignored.
    pub(crate) fn write(&self, id: NodeId, bytes: &[u8]) {
        if let Some(buffer) = self.inputs.get(&id) {
            self.device.queue.write_buffer(buffer, 0, bytes);
        }
    }

    /// Submits all dispatches once, in portions that do not hold the device for long. At most two runs are in flight:
    /// a third waits for the first.
    ///
    /// # Errors
    /// [`Error::Device`] if the device was lost.
    pub(crate) fn run(&mut self) -> Result<()> {
        if self.in_flight.len() == 2 {
            let submission_index = Some(self.in_flight.remove(0));
            self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None })?;
        }
        for (portion, left) in self.submissions.iter().zip((0..self.submissions.len()).rev()) {
            let mut encoder = self.device.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                for dispatch in &self.dispatches[portion.clone()] {
                    dispatch.record(&mut pass);
                }
            }
            let submission = self.device.queue.submit([encoder.finish()]);
            if self.device.nice() {
                self.device.rest(submission)?;
            } else if left == 0 {
                self.in_flight.push(submission);
            }
        }
        Ok(())
    }

    /// Reads a value back: an output, an input or a state.
    ///
    /// # Errors
    /// [`Error::Graph`] if the value is not stored; [`Error::Device`] if the device was lost.
    pub(crate) async fn read(&self, id: NodeId) -> Result<Vec<f64>> {
        let place = self.plan.places.get(id.0).and_then(Option::as_ref);
        let place = place.ok_or_else(|| Error::Graph(format!("%{} is not kept", id.0)))?;
        let ty = self.graph.tensor(id).ty().clone();
        let bytes = read(&self.device, self.place(place), ty.shape.len()).await?;
        Ok(match ty.dtype {
            DType::F32 => bytemuck::pod_collect_to_vec::<_, f32>(&bytes).into_iter().map(f64::from).collect(),
            DType::I32 => bytemuck::pod_collect_to_vec::<_, i32>(&bytes).into_iter().map(f64::from).collect(),
        })
    }
}

/// What to do where a plan does not fit.
pub(super) const SMALLER: &str = "choose a smaller crop, batch or model";

/// Plans `graph` for `outputs` on a device; nothing is made there.
///
/// # Errors
/// [`Error::Memory`] if a buffer exceeds the device's limits, or the plan those of the graph, with the planned bytes.
pub fn plan(device: &Device, graph: &Graph, outputs: &[NodeId]) -> Result<Plan> {
    let plan = match graph.memory_limit() {
        Some(limit) => Plan::within(graph, outputs, device.target(), limit)?,
        None => Plan::new(graph, outputs, device.target()),
    };
    let limits = device.limits();
    let largest_binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
    if plan.largest() > largest_binding {
        let reason = format!(
            "the plan needs a buffer of {:.1} MiB ({:.1} MiB in all), {} binds at most {:.1} MiB",
            mebibytes(plan.largest()),
            mebibytes(plan.bytes()),
            device.name(),
            mebibytes(largest_binding)
        );
        return Err(Error::Memory { reason, remedy: SMALLER.into() });
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;

    /// Protects: a launch that is cut into pieces computes the same bits, on a grid that is folded or not, for kernels
    /// with layers and without, and so does a device that rests.
    #[test]
    fn pieces_and_rests_change_nothing() {
        let graph = Graph::new();
        let x = graph.input("x", [3, 67, 29], DType::F32);
        let product = x.matmul_nt(&x).unwrap();
        let outputs = [x.gelu().unwrap().softmax(1.0).unwrap(), product.sum(1..2).unwrap(), product];
        let ids = outputs.each_ref().map(Tensor::id);
        let values: Vec<f32> = (0..3 * 67 * 29).map(|index| (index % 101) as f32 / 50.0 - 1.0).collect();
        let run = |nice: bool, count: u64| {
            let choice = super::super::DeviceChoice { nice, ..Default::default() };
            let device = pollster::block_on(Device::open(&choice)).unwrap();
            let mut plan = plan(&device, &graph, &ids).unwrap();
            for step in &mut plan.steps {
                let list = std::mem::take(&mut step.launches.list);
                step.launches.list = list.into_iter().flat_map(|launch| launch.pieces(count)).collect();
                step.traffic = vec![0; step.launches.list.len()];
            }
            let dispatches = plan.dispatches();
            let mut program = Program::allocate(&device, &graph, plan, &States::default()).unwrap();
            program.prepare().unwrap();
            program.write(x.id(), bytemuck::cast_slice(&values));
            program.run().unwrap();
            (dispatches, ids.map(|id| pollster::block_on(program.read(id)).unwrap()))
        };
        let (whole, want) = run(false, 1);
        let (pieces, got) = run(false, 3);
        assert!(pieces > whole && got == want, "{pieces} dispatches for {whole}");
        assert!(run(true, 7).1 == want);
    }
}
