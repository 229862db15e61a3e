//! Reads values of a device back to the host.

use futures_channel::oneshot;

use super::device::Device;
use crate::error::{Error, Result};

/// Bytes that are read back together.
const STAGED: u64 = 64 << 20;

/// The first elements of a part of a buffer.
pub(super) fn first(slice: wgpu::BufferSlice<'_>, elements: usize) -> wgpu::BufferSlice<'_> {
    slice.slice(..elements as u64 * 4)
}

/// Reads the first elements of a part of a buffer back; waits for the device.
pub(super) async fn read(device: &Device, slice: wgpu::BufferSlice<'_>, elements: usize) -> Result<Vec<u8>> {
    let mut all = read_all(device, &[first(slice, elements)]).await?;
    Ok(all.pop().unwrap_or_default())
}

/// Reads parts of buffers back, with one wait for the device in [`STAGED`] bytes.
pub(super) async fn read_all(device: &Device, slices: &[wgpu::BufferSlice<'_>]) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(slices.len());
    while let Some(rest) = slices.get(all.len()..).filter(|rest| !rest.is_empty()) {
        let mut size = rest[0].size();
        let fits = |slice: &&wgpu::BufferSlice<'_>| {
            size += slice.size();
            size <= STAGED
        };
        let part = &rest[..1 + rest[1..].iter().take_while(fits).count()];
        all.extend(Copied::of(device, part).read(device).await?);
    }
    Ok(all)
}

/// A copy of parts of buffers that the device makes, when its turn comes, for the host.
pub(super) struct Copied {
    /// Bytes of each part.
    sizes: Vec<usize>,
    /// None if there are no bytes.
    staging: Option<Staging>,
}

struct Staging {
    buffer: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    told: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Copied {
    /// Submits the copy.
    pub(super) fn of(device: &Device, slices: &[wgpu::BufferSlice<'_>]) -> Self {
        let sizes = slices.iter().map(|slice| slice.size() as usize).collect();
        let size = slices.iter().map(wgpu::BufferSlice::size).sum();
        if size == 0 {
            return Copied { sizes, staging: None };
        }
        let buffer = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let mut place = 0;
        for slice in slices {
            encoder.copy_buffer_to_buffer(slice.buffer(), slice.offset(), &buffer, place, slice.size());
            place += slice.size();
        }
        let submission = device.queue.submit([encoder.finish()]);
        let (done, told) = oneshot::channel();
        buffer.slice(..).map_async(wgpu::MapMode::Read, |mapping| drop(done.send(mapping)));
        Copied { sizes, staging: Some(Staging { buffer, submission, told }) }
    }

    /// The bytes of each part. Waits for the copy, and not for what was submitted after it.
    pub(super) async fn read(self, device: &Device) -> Result<Vec<Vec<u8>>> {
        let Some(Staging { buffer, submission, told }) = self.staging else {
            return Ok(vec![Vec::new(); self.sizes.len()]);
        };
        let failed = |error: String| Error::device(format!("reading back failed: {error}"), "restart the program");
        device.until(told, Some(submission)).await?.map_err(|error| failed(error.to_string()))?;
        let mapped = buffer.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
        let mut rest: &[u8] = &mapped;
        let values = self.sizes.into_iter().map(|size| {
            let (values, after) = rest.split_at(size);
            rest = after;
            values.to_vec()
        });
        let values = values.collect();
        drop(mapped);
        buffer.destroy();
        Ok(values)
    }
}
