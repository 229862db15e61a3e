//! A compiled graph on a device: buffers, pipelines and bind groups created once, replayed in a few submissions.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::bytes::mebibytes;
use super::device::Device;
use super::fault::SMALLER;
use super::pace;
use super::plan::{Place, Plan, PlannedExchange, Step};
use super::read_back::{Copied, first, read};
use super::states::{Bytes, States};
use crate::engine::graph::{DType, Graph, Kind, NodeId};
use crate::engine::kernel::Slot;
use crate::engine::ranks::{Exchange, Peers};
use crate::error::{Error, Result};

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

/// An exchange with other ranks that has begun.
struct Open {
    planned: PlannedExchange,
    sent: Copied,
}

/// A graph compiled for a device.
pub struct Program {
    pub(super) device: Device,
    pub(super) graph: Graph,
    pub(super) plan: Plan,
    pub(super) dispatches: Vec<Dispatch>,
    inputs: HashMap<NodeId, wgpu::Buffer>,
    pool: Vec<wgpu::Buffer>,
    states: States,
    /// The count of state moves when the states were bound.
    moves: u64,
    constants: HashMap<NodeId, wgpu::Buffer>,
    /// The dispatches of every submission of a run.
    submissions: Vec<Range<usize>>,
    exchanges: Vec<PlannedExchange>,
    peers: Peers,
    /// The last submissions of runs that may still be in progress.
    in_flight: Vec<wgpu::SubmissionIndex>,
}

impl Program {
    /// Plans `graph` for `outputs` and prepares everything that running it needs.
    ///
    /// # Errors
    /// [`Error::Graph`] if a state has no value; [`Error::Memory`] if the plan does not fit the device, with its bytes;
    /// [`Error::Device`] if a kernel is refused.
    pub(crate) fn compile(
        device: &Device,
        graph: &Graph,
        outputs: &[NodeId],
        states: &States,
        peers: &Peers,
    ) -> Result<Self> {
        let plan = plan(device, graph, outputs)?;
        let planned = plan.bytes();
        let allocate = || Self::allocate(device, graph, plan, states, peers);
        let allocated = device.catch(wgpu::ErrorFilter::OutOfMemory, allocate);
        let mut program = allocated.map_err(|_| {
            let reason =
                format!("the plan needs {:.1} MiB, more than is free on {}", mebibytes(planned), device.name());
            Error::Memory { reason, remedy: SMALLER.into() }
        })??;
        program.prepare()?;
        Ok(program)
    }

    /// Packs states that are bound together, creates the other buffers and fills the constants.
    fn allocate(device: &Device, graph: &Graph, plan: Plan, states: &States, peers: &Peers) -> Result<Self> {
        let nodes = graph.nodes();
        for (node, _) in nodes.iter().zip(&plan.places).filter(|(_, place)| place.is_some()) {
            if let Kind::State(name) = &node.kind {
                states.check(name, &node.ty)?;
            }
        }
        plan.packed.iter().try_for_each(|names| states.pack(device, names))?;
        let exchanges = plan.exchanges();
        let cuts: Vec<_> = exchanges.iter().flat_map(|exchange| [exchange.begins, exchange.until]).collect();
        let mut program = Program {
            device: device.clone(),
            graph: graph.clone(),
            dispatches: Vec::with_capacity(plan.dispatches()),
            inputs: HashMap::new(),
            pool: plan.pool.iter().map(|&bytes| device.buffer("pool", bytes)).collect(),
            states: states.clone(),
            moves: 0,
            constants: HashMap::new(),
            submissions: pace::submissions(&plan.times(), &cuts, device.nice()),
            exchanges,
            peers: peers.clone(),
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
                Kind::State(_) | Kind::Op(_) => {}
            }
        }
        Ok(program)
    }

    /// Creates pipelines, the uniform blocks (one buffer for all) and bind groups.
    fn prepare(&mut self) -> Result<()> {
        self.moves = self.states.moves();
        let alignment = self.device.limits().min_uniform_buffer_offset_alignment as usize;
        let mut blocks: Vec<u8> = Vec::new();
        let mut offsets = Vec::new();
        for launch in self.plan.steps.iter().flat_map(|step| &step.launches.list) {
            blocks.resize(blocks.len().next_multiple_of(alignment), 0);
            offsets.push(blocks.len());
            blocks.extend_from_slice(bytemuck::cast_slice(&launch.block()));
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
                let size = ((launch.block().len() * 4).next_multiple_of(16)) as u64;
                let block = wgpu::BufferBinding { buffer: &uniforms, offset, size: std::num::NonZero::new(size) };
                let mut entries =
                    vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(block) }];
                let mut bound = Vec::with_capacity(launch.bindings.len());
                for (binding, slot) in launch.bindings.iter().enumerate() {
                    bound.push((binding as u32 + 1, self.bound(step, *slot)?));
                }
                entries.extend(
                    bound
                        .iter()
                        .map(|(binding, bound)| wgpu::BindGroupEntry { binding: *binding, resource: bound.resource() }),
                );
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

    fn bound(&self, step: &Step, slot: Slot) -> Result<Bytes> {
        match slot {
            Slot::Input(index) => self.place(&step.inputs[index]),
            Slot::Output => Ok(self.value(step.output)),
            Slot::Scratch(index) => Ok(self.value(step.scratch[index])),
            Slot::States { first, count } => {
                let names = step.inputs[first..first + count].iter().map(|place| match place {
                    Place::State(name) => Ok(name.as_str()),
                    _ => Err(Error::Graph(format!("op `{}` updates a value that is not a state", step.name))),
                });
                self.states.find_all(&names.collect::<Result<Vec<_>>>()?)
            }
        }
    }

    fn place(&self, place: &Place) -> Result<Bytes> {
        match place {
            Place::Input(id) => Ok(Bytes::of(&self.inputs[id])),
            Place::Constant(id) => Ok(Bytes::of(&self.constants[id])),
            Place::State(name) => self.states.find(name),
            Place::Value(index) => Ok(self.value(*index)),
        }
    }

    fn value(&self, index: usize) -> Bytes {
        let value = &self.plan.values[index];
        Bytes { buffer: self.pool[value.buffer].clone(), range: value.range() }
    }

    /// Binds states again if another program has moved some of them since.
    pub(super) fn bind_anew(&mut self) -> Result<()> {
        if self.moves == self.states.moves() {
            return Ok(());
        }
        self.plan.packed.iter().try_for_each(|names| self.states.pack(&self.device, names))?;
        self.prepare()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The recording it was compiled from.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Writes an input; `bytes` are its elements. Inputs that the plan does not need are ignored.
    pub(crate) fn write_bytes(&self, id: NodeId, bytes: &[u8]) {
        if let Some(buffer) = self.inputs.get(&id) {
            self.device.queue.write_buffer(buffer, 0, bytes);
        }
    }

    /// Submits all dispatches once, in portions that do not occupy the device for long. At most two runs are in flight:
    /// a third waits for the first.
    ///
    /// # Errors
    /// [`Error::Device`] if the device was lost.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.bind_anew()?;
        if self.in_flight.len() == 2 {
            let submission_index = Some(self.in_flight.remove(0));
            self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None })?;
        }
        let mut open = VecDeque::new();
        self.begin_exchanges(0, &mut open)?;
        for (portion, left) in self.submissions.iter().zip((0..self.submissions.len()).rev()) {
            self.end_exchanges(portion.start, &mut open)?;
            let mut encoder = self.device.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                for dispatch in &self.dispatches[portion.clone()] {
                    dispatch.record(&mut pass);
                }
            }
            let submission = self.device.queue.submit([encoder.finish()]);
            // A browser never blocks: there, short submissions alone let others have a turn.
            if self.device.nice() && cfg!(not(target_arch = "wasm32")) {
                self.device.rest(submission)?;
            } else if left == 0 {
                self.in_flight.push(submission);
            }
            if portion.end > 0 {
                self.begin_exchanges(portion.end, &mut open)?;
            }
        }
        self.end_exchanges(usize::MAX, &mut open)
    }

    /// Has the device copy what other ranks wait for after a number of dispatches.
    fn begin_exchanges(&self, after: usize, open: &mut VecDeque<Open>) -> Result<()> {
        for &planned in self.exchanges.iter().filter(|exchange| exchange.begins == after) {
            // It may send what another one received.
            self.end_exchanges(after, open)?;
            let step = &self.plan.steps[planned.step];
            let elements = self.graph.tensor(step.node).ty().shape.len();
            let own = match planned.exchange {
                Exchange::Gather => elements / self.peers.world.size(),
                Exchange::Sum => elements,
            };
            let sent = self.place(&step.inputs[0])?;
            open.push_back(Open { planned, sent: Copied::of(&self.device, &[first(sent.slice(), own)]) });
        }
        Ok(())
    }

    /// Exchanges, in order, up to the last one whose result is read right after a number of dispatches. Meanwhile the
    /// device runs what has been submitted.
    fn end_exchanges(&self, before: usize, open: &mut VecDeque<Open>) -> Result<()> {
        let due = open.iter().rposition(|open| open.planned.until <= before).map_or(0, |last| last + 1);
        for Open { planned, sent } in open.drain(..due) {
            let sent = now(sent.read(&self.device))?.pop().unwrap_or_default();
            let received = self.peers.f32(planned.exchange, &sent)?;
            let Bytes { buffer, range } = self.value(self.plan.steps[planned.step].output);
            self.device.queue.write_buffer(&buffer, range.start, &received);
        }
        Ok(())
    }

    /// Reads a value back: an output, an input or a state.
    ///
    /// # Errors
    /// [`Error::Graph`] if the value is not stored; [`Error::Device`] if the device was lost.
    pub(crate) async fn read(&self, id: NodeId) -> Result<Vec<f64>> {
        let place = self.plan.places.get(id.0).and_then(Option::as_ref);
        let place = place.ok_or_else(|| Error::Graph(format!("%{} is not stored", id.0)))?;
        let ty = self.graph.tensor(id).ty().clone();
        let bytes = read(&self.device, self.place(place)?.slice(), ty.shape.len()).await?;
        Ok(match ty.dtype {
            DType::F32 => bytemuck::pod_collect_to_vec::<_, f32>(&bytes).into_iter().map(f64::from).collect(),
            DType::I32 => bytemuck::pod_collect_to_vec::<_, i32>(&bytes).into_iter().map(f64::from).collect(),
        })
    }
}

/// Waits for a device. A browser, which never blocks, has no other ranks.
#[cfg(not(target_arch = "wasm32"))]
fn now<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    pollster::block_on(answer)
}

#[cfg(target_arch = "wasm32")]
fn now<T>(_: impl Future<Output = Result<T>>) -> Result<T> {
    Err(Error::device("a browser has no other ranks", "run one process"))
}

/// Plans `graph` for `outputs` on a device without allocating anything.
///
/// # Errors
/// [`Error::Memory`] if a buffer exceeds the device's limits, or the plan those of the graph, with the planned bytes.
pub fn plan(device: &Device, graph: &Graph, outputs: &[NodeId]) -> Result<Plan> {
    let plan = match graph.memory_limit() {
        Some(limit) => Plan::within(graph, outputs, device.target(), limit)?,
        None => Plan::new(graph, outputs, device.target()),
    };
    let largest_binding = device.largest_binding();
    if plan.largest() > largest_binding {
        let reason = format!(
            "the plan needs a buffer of {:.1} MiB ({:.1} MiB in total), but {} binds at most {:.1} MiB",
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
    use crate::engine::graph::Tensor;

    /// Protects: a launch that is cut into pieces computes the same bits, on a grid that is folded or not, for kernels
    /// with layers and without, and so does a device with `nice` set.
    #[test]
    fn pieces_and_rests_change_nothing() {
        let graph = Graph::new();
        let x = graph.input("x", [3, 131, 29], DType::F32);
        let product = x.matmul_nt(&x).unwrap();
        let outputs = [x.gelu().unwrap().softmax(-1).unwrap(), product.sum_keep(1).unwrap(), product];
        let ids = outputs.each_ref().map(Tensor::id);
        let values: Vec<f32> = (0..3 * 131 * 29).map(|index| (index % 101) as f32 / 50.0 - 1.0).collect();
        let run = |nice: bool, count: u64| {
            let choice = super::super::choice::DeviceChoice::default().nice(nice);
            let device = pollster::block_on(Device::open(&choice)).unwrap();
            let mut plan = plan(&device, &graph, &ids).unwrap();
            for step in &mut plan.steps {
                let list = std::mem::take(&mut step.launches.list);
                step.launches.list = list.into_iter().flat_map(|launch| launch.pieces(count)).collect();
                step.traffic = vec![0; step.launches.list.len()];
            }
            let dispatches = plan.dispatches();
            let mut program = Program::allocate(&device, &graph, plan, &States::default(), &Peers::default()).unwrap();
            program.prepare().unwrap();
            program.write_bytes(x.id(), bytemuck::cast_slice(&values));
            program.run().unwrap();
            (dispatches, ids.map(|id| pollster::block_on(program.read(id)).unwrap()))
        };
        let (whole, want) = run(false, 1);
        let (pieces, got) = run(false, 3);
        assert!(pieces > whole && got == want, "{pieces} dispatches for {whole}");
        assert!(run(true, 7).1 == want);
    }
}
