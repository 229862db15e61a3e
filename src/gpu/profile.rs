//! Time per kernel of a program, from timestamps around every dispatch.

use super::Program;
use crate::error::{Error, Result};

/// Time of one dispatch.
#[derive(Clone, Debug)]
pub struct KernelTime {
    /// The op.
    pub op: &'static str,
    /// Shape and type of its output.
    pub output: String,
    /// The shader.
    pub shader: &'static str,
    /// Seconds on the device.
    pub seconds: f64,
}

impl Program {
    /// Runs once with a timestamp after every dispatch. Updates of states happen as in a plain run.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter has no timestamps inside passes, or was lost.
    pub fn profile(&mut self) -> Result<Vec<KernelTime>> {
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        if !self.device.device.features().contains(wanted) {
            let reason = format!("{} has no timestamps inside passes", self.device.name());
            return Err(Error::device(reason, "profile on another adapter"));
        }
        self.check_inputs()?;
        let mut seconds = Vec::with_capacity(self.dispatches.len());
        // A query set holds a limited number of timestamps: long programs are measured in parts.
        let part = wgpu::QUERY_SET_MAX_QUERIES as usize - 1;
        for dispatches in self.dispatches.chunks(part) {
            let count = dispatches.len() as u32 + 1;
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
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.write_timestamp(&queries, 0);
                for (index, dispatch) in dispatches.iter().enumerate() {
                    dispatch.record(&mut pass);
                    pass.write_timestamp(&queries, index as u32 + 1);
                }
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            self.device.queue.submit([encoder.finish()]);
            let bytes = super::program::read(&self.device, &resolved, count as usize * 2)?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            let period = f64::from(self.device.queue.get_timestamp_period()) * 1e-9;
            seconds.extend(ticks.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period));
        }
        let steps = self.plan.steps.iter().flat_map(|step| step.launches.list.iter().map(move |launch| (step, launch)));
        Ok(steps
            .zip(seconds)
            .map(|((step, launch), seconds)| KernelTime {
                op: step.name,
                output: format!("{:?}", self.graph.tensor(step.node).ty()),
                shader: launch.shader.name,
                seconds,
            })
            .collect())
    }
}
