//! Time per kernel of a program, from timestamps around every dispatch.

use super::device::Device;
use super::program::Program;
use crate::error::{Error, Result};

/// Time of one dispatch.
#[derive(Clone, Debug)]
pub struct KernelTime {
    /// The part of the computation, see [`Graph::begin`](crate::engine::graph::Graph::begin).
    pub part: &'static str,
    /// The op.
    pub op: &'static str,
    /// Shape and type of its output.
    pub output: String,
    /// The shader.
    pub shader: &'static str,
    /// Seconds on the device.
    pub seconds: f64,
    /// Arithmetic operations, 0 if they are not counted.
    pub operations: u64,
    /// Fewest bytes moved: each bound value once.
    pub traffic: u64,
}

impl Device {
    /// Refuses a device whose kernels cannot be timed.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter has no timestamps, or they were not requested.
    pub(crate) fn check_timestamps(&self) -> Result<()> {
        if self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(());
        }
        let reason = format!("{} has no timestamps", self.name());
        Err(Error::device(reason, "profile on another adapter, or with `--limits adapter`"))
    }
}

impl Program {
    /// Runs once with a timestamp at both ends of every dispatch. Updates of states happen as in a plain run.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter has no timestamps, or was lost.
    pub(crate) async fn profile(&mut self) -> Result<Vec<KernelTime>> {
        self.device.check_timestamps()?;
        if !self.plan.exchanges().is_empty() {
            return Err(Error::Graph("a program of several ranks is not profiled; profile that of one process".into()));
        }
        self.bind_anew()?;
        let mut seconds = Vec::with_capacity(self.dispatches.len());
        // A query set holds a limited number of timestamps: long programs are measured in parts.
        for dispatches in self.dispatches.chunks(wgpu::QUERY_SET_MAX_QUERIES as usize / 2) {
            let count = 2 * dispatches.len() as u32;
            let queries = self.device.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let resolved = self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("profile"),
                size: u64::from(count) * 8,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = self.device.device.create_command_encoder(&Default::default());
            for (dispatch, first) in dispatches.iter().zip((0..).step_by(2)) {
                // Not every adapter supports timestamps inside a pass: each dispatch gets its own pass.
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(first),
                        end_of_pass_write_index: Some(first + 1),
                    }),
                });
                dispatch.record(&mut pass);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            self.device.queue.submit([encoder.finish()]);
            let bytes = super::read_back::read(&self.device, resolved.slice(..), count as usize * 2).await?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            let period = f64::from(self.device.queue.get_timestamp_period()) * 1e-9;
            seconds.extend(ticks.chunks(2).map(|ends| ends[1].saturating_sub(ends[0]) as f64 * period));
        }
        let nodes = self.graph.nodes();
        let launches = self.plan.steps.iter().flat_map(|step| step.launches.list.iter().zip(&step.traffic));
        let steps = self.plan.steps.iter().flat_map(|step| std::iter::repeat_n(step, step.launches.list.len()));
        Ok(steps
            .zip(launches)
            .zip(seconds)
            .map(|((step, (launch, &traffic)), seconds)| KernelTime {
                part: nodes[step.node.0].part,
                op: step.name,
                output: format!("{:?}", nodes[step.node.0].ty),
                shader: launch.shader.name,
                seconds,
                operations: launch.operations,
                traffic,
            })
            .collect())
    }
}
