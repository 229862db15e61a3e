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
    let failed = |error: String| Error::device(format!("reading back failed: {error}"), "restart the program");
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
