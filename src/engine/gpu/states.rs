//! Tensors that persist between runs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bytes::mebibytes;
use super::device::Device;
use super::fault::SMALLER;
use super::read_back::{first, read, read_all};
use crate::engine::graph::TensorType;
use crate::engine::kernel::Packing;
use crate::error::{Error, Result};

/// Tensors that persist between runs, by name. Clones share them.
#[derive(Clone, Default)]
pub struct States(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    states: HashMap<String, State>,
    /// How often states were moved to another buffer.
    moves: u64,
}

#[derive(Clone)]
struct State {
    ty: TensorType,
    bytes: Bytes,
}

/// A part of a buffer.
#[derive(Clone, PartialEq)]
pub(super) struct Bytes {
    pub(super) buffer: wgpu::Buffer,
    pub(super) range: Range<u64>,
}

impl Bytes {
    /// All of a buffer.
    pub(super) fn of(buffer: &wgpu::Buffer) -> Self {
        Bytes { buffer: buffer.clone(), range: 0..buffer.size() }
    }

    pub(super) fn slice(&self) -> wgpu::BufferSlice<'_> {
        self.buffer.slice(self.range.clone())
    }

    pub(super) fn resource(&self) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZero::new(self.range.end - self.range.start);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: self.range.start, size })
    }
}

impl States {
    /// The table. The lock is held for single reads and writes, which leave it consistent.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a state, in place if it exists, in which case its type must match.
    ///
    /// # Errors
    /// [`Error::Memory`] if it is larger than what the device binds or has free; then it is not there.
    pub(crate) fn set(&self, device: &Device, name: &str, ty: &TensorType, values: &[f32]) -> Result<()> {
        let states = &mut self.lock().states;
        let bytes = match states.get(name) {
            Some(state) => state.bytes.clone(),
            None => Bytes::of(&buffer(device, name, ty.bytes())?),
        };
        let write = || device.queue.write_buffer(&bytes.buffer, bytes.range.start, bytemuck::cast_slice(values));
        device.catch(wgpu::ErrorFilter::OutOfMemory, write).map_err(|_| lacking(device, name, ty.bytes()))?;
        states.entry(name.to_owned()).or_insert_with(|| State { ty: ty.clone(), bytes });
        Ok(())
    }

    /// The type of a state, if there is one of that name.
    pub(crate) fn ty(&self, name: &str) -> Option<TensorType> {
        self.lock().states.get(name).map(|state| state.ty.clone())
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of that name; [`Error::Device`] if the device was lost.
    pub async fn get(&self, device: &Device, name: &str) -> Result<(TensorType, Vec<f32>)> {
        let State { ty, bytes } = self.state(name)?;
        let values = read(device, bytes.slice(), ty.shape.len()).await?;
        Ok((ty, bytemuck::pod_collect_to_vec(&values)))
    }

    /// Reads many states back at once.
    ///
    /// # Errors
    /// As [`States::get`].
    pub async fn get_all(&self, device: &Device, names: &[&str]) -> Result<Vec<(TensorType, Vec<f32>)>> {
        let found = names.iter().map(|name| self.state(name)).collect::<Result<Vec<_>>>()?;
        let slices: Vec<_> = found.iter().map(|state| first(state.bytes.slice(), state.ty.shape.len())).collect();
        let values = read_all(device, &slices).await?.into_iter().map(|bytes| bytemuck::pod_collect_to_vec(&bytes));
        Ok(found.iter().map(|state| state.ty.clone()).zip(values).collect())
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.lock().states.keys().cloned().collect();
        names.sort();
        names
    }

    /// Whether there is a state of that name and type.
    ///
    /// # Errors
    /// [`Error::Graph`] if not.
    pub(super) fn check(&self, name: &str, ty: &TensorType) -> Result<()> {
        self.state(name)?.ty.check_as_state(name, ty)
    }

    /// The location of a state.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of that name.
    pub(super) fn find(&self, name: &str) -> Result<Bytes> {
        Ok(self.state(name)?.bytes)
    }

    /// The location of packed states.
    ///
    /// # Errors
    /// [`Error::Graph`] if they do not, since the same program packs some of them with others.
    pub(super) fn find_all(&self, names: &[&str]) -> Result<Bytes> {
        let states = names.iter().map(|name| self.state(name)).collect::<Result<Vec<_>>>()?;
        let apart =
            || Error::misuse(format!("the states {} are updated together, and some with others", names.join(", ")));
        together(&states).ok_or_else(apart)
    }

    /// Packs states into one buffer, unless they are.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of a name; [`Error::Memory`] if the device has no room for them.
    pub(super) fn pack(&self, device: &Device, names: &[String]) -> Result<()> {
        let states = names.iter().map(|name| self.state(name)).collect::<Result<Vec<_>>>()?;
        if together(&states).is_some() {
            return Ok(());
        }
        let packing = packing(&states);
        let buffer = buffer(device, "the states that are updated together", packing.len as u64 * 4)?;
        let mut encoder = device.device.create_command_encoder(&Default::default());
        for ((name, State { ty, bytes }), start) in names.iter().zip(states).zip(packing.starts) {
            let range = range(start, &ty);
            encoder.copy_buffer_to_buffer(&bytes.buffer, bytes.range.start, &buffer, range.start, ty.bytes());
            let moved = State { ty, bytes: Bytes { buffer: buffer.clone(), range } };
            self.lock().states.insert(name.clone(), moved);
        }
        device.queue.submit([encoder.finish()]);
        self.lock().moves += 1;
        Ok(())
    }

    /// How often states were moved to another buffer.
    pub(super) fn moves(&self) -> u64 {
        self.lock().moves
    }

    fn state(&self, name: &str) -> Result<State> {
        self.lock().states.get(name).cloned().ok_or_else(|| {
            Error::Graph(format!("state `{name}` has no value; set it before the program is compiled or run"))
        })
    }
}

/// A buffer for a state, or for several.
fn buffer(device: &Device, name: &str, bytes: u64) -> Result<wgpu::Buffer> {
    let most = device.largest_binding();
    if bytes > most {
        let (needed, most) = (mebibytes(bytes), mebibytes(most));
        let reason = format!("`{name}` takes {needed:.1} MiB, {} binds at most {most:.1} MiB", device.name());
        return Err(Error::Memory { reason, remedy: SMALLER.into() });
    }
    let made = device.catch(wgpu::ErrorFilter::OutOfMemory, || device.buffer(name, bytes));
    made.map_err(|_| lacking(device, name, bytes))
}

fn lacking(device: &Device, name: &str, bytes: u64) -> Error {
    let reason = format!("`{name}` takes {:.1} MiB, more than {} has free", mebibytes(bytes), device.name());
    Error::Memory { reason, remedy: SMALLER.into() }
}

fn packing(states: &[State]) -> Packing {
    Packing::of(states.iter().map(|state| state.ty.shape.len()))
}

/// The bytes of a state that starts at the beginning of a buffer.
fn range(start: usize, ty: &TensorType) -> Range<u64> {
    let start = start as u64 * 4;
    start..start + ty.bytes()
}

/// The byte range of all these states, if they are contiguous.
fn together(states: &[State]) -> Option<Bytes> {
    let Bytes { buffer, range: Range { start: base, .. } } = &states.first()?.bytes;
    let packing = packing(states);
    let lies = |(state, &start): (&State, &usize)| {
        let Range { start, end } = range(start, &state.ty);
        state.bytes == Bytes { buffer: buffer.clone(), range: base + start..base + end }
    };
    let whole = *base..base + packing.len as u64 * 4;
    states.iter().zip(&packing.starts).all(lies).then_some(Bytes { buffer: buffer.clone(), range: whole })
}
