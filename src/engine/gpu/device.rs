//! Adapters, the device made from one, and its pipelines.

use std::collections::HashMap;
use std::pin::pin;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::LazyLock;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::choice::{DeviceChoice, Limits};
use super::fault::Faults;
use crate::engine::kernel::{Class, KernelTable, Launch, Target, WORKGROUP, wgsl};
use crate::error::{Error, Result};

/// What a person needs to know of an adapter.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterReport {
    /// Position in the list; what `--device` takes.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// Graphics interface: Vulkan, Metal or Dx12.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Discrete, integrated, virtual or software.
    pub kind: &'static str,
    /// Whether half-precision arithmetic is there.
    pub f16: bool,
    /// Whether subgroup operations are there.
    pub subgroups: bool,
    /// Invocations of every subgroup, where they are 4 or 8 so that kernels may be chosen for them.
    pub subgroup: Option<usize>,
    /// Cooperative matrices that are there, as `8x8x8 f32 to f32`: rows, columns and terms of a product, what it takes
    /// and what it gives.
    pub matrices: Vec<String>,
    /// Whether those of f32 are among them that kernels may be chosen for.
    pub cooperative: bool,
    /// Whether timestamps are there.
    pub timestamps: bool,
    /// The class of device that kernels are chosen for.
    pub class: Class,
    /// The section of the kernel table that it takes its kernels from.
    pub section: String,
    /// Largest storage binding, in bytes.
    pub max_binding: u64,
    /// Largest buffer, in bytes.
    pub max_buffer: u64,
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: u32,
    /// Whether `--device auto` takes it.
    pub automatic: bool,
}

const NO_ADAPTER: &str = "install the driver of your card, or a software one (Debian, Ubuntu: \
     apt-get install mesa-vulkan-drivers), or run on the CPU with `--device reference`";

/// Features that are used where they are there. Nothing computed depends on one; timestamps serve the profile.
const OPTIONAL: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY;

/// What kernels with cooperative matrices need: asked for where a kernel table names them.
const COOPERATIVE: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SUBGROUP);

/// Whether an adapter multiplies cooperative matrices of 8×8 f32. wgpu offers the feature for matrices of any kind, of
/// which most drivers have others; and a workgroup must be whole subgroups.
fn is_cooperative(adapter: &wgpu::Adapter) -> bool {
    let whole = wgpu::CooperativeScalarType::F32;
    let fits = |kind: &wgpu::CooperativeMatrixProperties| {
        [kind.m_size, kind.n_size, kind.k_size] == [8; 3] && [kind.ab_type, kind.cr_type] == [whole; 2]
    };
    adapter.features().contains(COOPERATIVE)
        && adapter.get_info().subgroup_max_size <= WORKGROUP as u32
        && adapter.cooperative_matrix_properties().iter().any(fits)
}

/// The invocations of every subgroup of an adapter, where all have four or eight: a vector of the processor that a
/// software device computes with.
fn subgroup(adapter: &wgpu::Adapter) -> Option<usize> {
    let info = adapter.get_info();
    let sizes = [info.subgroup_min_size, info.subgroup_max_size];
    [4, 8].into_iter().find(|&size| adapter.features().contains(wgpu::Features::SUBGROUP) && sizes == [size as u32; 2])
}

fn described(kind: &wgpu::CooperativeMatrixProperties) -> String {
    let text = format!("{}x{}x{} {:?} to {:?}", kind.m_size, kind.n_size, kind.k_size, kind.ab_type, kind.cr_type);
    text.to_lowercase()
}

/// One for all threads: Vulkan's loader 1.4.309 crashes where several make and drop their own.
#[cfg(not(target_arch = "wasm32"))]
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: LazyLock<wgpu::Instance> =
        LazyLock::new(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
    &INSTANCE
}

/// A browser's cannot be shared between threads, and is made in no time.
#[cfg(target_arch = "wasm32")]
fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle())
}

async fn enumerate() -> Vec<wgpu::Adapter> {
    instance().enumerate_adapters(wgpu::Backends::PRIMARY).await
}

/// Every adapter of this machine, in the order of `--device` indices; in a browser, the one that it offers.
pub async fn adapters() -> Vec<AdapterReport> {
    let adapters = enumerate().await;
    let automatic = best(&adapters);
    adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
            let class = class(info.device_type);
            let (section, _) = KernelTable::choose(None, &info.name, class);
            AdapterReport {
                index,
                name: info.name,
                backend: format!("{:?}", info.backend),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                kind: kind(info.device_type),
                f16: features.contains(wgpu::Features::SHADER_F16),
                subgroups: features.contains(wgpu::Features::SUBGROUP),
                subgroup: subgroup(adapter),
                matrices: adapter.cooperative_matrix_properties().iter().map(described).collect(),
                cooperative: is_cooperative(adapter),
                timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
                class,
                section: section.to_owned(),
                max_binding: limits.max_storage_buffer_binding_size,
                max_buffer: limits.max_buffer_size,
                storage_buffers: limits.max_storage_buffers_per_shader_stage,
                automatic: automatic == Some(index),
            }
        })
        .collect()
}

/// The kernels that suit a type of device.
fn class(device_type: wgpu::DeviceType) -> Class {
    match device_type {
        wgpu::DeviceType::Cpu => Class::Cpu,
        _ => Class::Gpu,
    }
}

fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "unknown",
    }
}

/// The best real card, else a software device; the first of equals.
fn best(adapters: &[wgpu::Adapter]) -> Option<usize> {
    let rank = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    (0..adapters.len()).min_by_key(|&index| (rank(&adapters[index]), index))
}

/// A device with its queue and compiled pipelines. Clones share them.
#[derive(Clone)]
pub struct Device {
    pub(crate) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    name: String,
    driver: String,
    class: Class,
    section: String,
    target: Target,
    cooperative: bool,
    subgroup: Option<usize>,
    choice: Arc<DeviceChoice>,
    limits: wgpu::Limits,
    faults: Faults,
    pipelines: Arc<Mutex<HashMap<String, wgpu::ComputePipeline>>>,
}

impl Device {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such adapter or it gives no device.
    pub async fn open(choice: &DeviceChoice) -> Result<Self> {
        let wish = choice.wish();
        let adapters = enumerate().await;
        if adapters.is_empty() {
            return Err(Error::device("no graphics adapter was found", NO_ADAPTER));
        }
        let named = |part: &str| {
            let part = part.to_lowercase();
            adapters.iter().position(|adapter| adapter.get_info().name.to_lowercase().contains(&part))
        };
        let chosen = match (wish, wish.parse::<usize>()) {
            ("auto", _) => best(&adapters),
            (_, Ok(index)) => (index < adapters.len()).then_some(index),
            (part, _) => named(part),
        };
        let adapter = chosen.map(|index| &adapters[index]).ok_or_else(|| {
            Error::device(format!("no adapter `{wish}`"), "choose an index or a name that `tagseg devices` prints")
        })?;
        let info = adapter.get_info();
        // Who chooses a class does not mean this adapter.
        let (name, class) = choice.class.map_or((info.name.as_str(), class(info.device_type)), |class| ("", class));
        let (section, kernels) = KernelTable::choose(choice.kernels.as_ref(), name, class);
        let section = section.to_owned();
        let target = Target::from(kernels);
        let whole = choice.limits.unwrap_or(Limits::Adapter) == Limits::Adapter;
        let (limits, mut features) = match whole {
            true => (adapter.limits(), adapter.features() & OPTIONAL),
            false => (wgpu::Limits::default(), wgpu::Features::empty()),
        };
        let subgroup = if whole { subgroup(adapter) } else { None };
        if subgroup.is_some() {
            features |= wgpu::Features::SUBGROUP;
        }
        let cooperative = whole && target.cooperative_products && is_cooperative(adapter);
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if cooperative {
            features |= COOPERATIVE;
            // SAFETY: asks to accept that wgpu may have mistakes here. The one kernel that uses the feature is valid by
            // naga, reads and writes within its operands, and runs only where a person's table names it.
            experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("tagseg"),
            required_limits: limits.clone(),
            required_features: features,
            experimental_features,
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) =
            opened.map_err(|error| Error::device(format!("{} gives no device: {error}", info.name), NO_ADAPTER))?;
        let faults = Faults::of(&device);
        // Browsers may keep the name to themselves.
        let name = if info.name.is_empty() { "the graphics adapter".to_owned() } else { info.name };
        let driver = format!("{name} ({:?}, {} {})", info.backend, info.driver, info.driver_info);
        let device = Device {
            device,
            queue,
            name,
            driver,
            class,
            section,
            target,
            cooperative,
            subgroup,
            choice: Arc::new(choice.clone()),
            limits,
            faults,
            pipelines: Arc::default(),
        };
        Ok(device.aimed_at(target))
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adapter, interface, driver and its version, on one line.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// The class of device that kernels are chosen for.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The section of the kernel table that it takes its kernels from.
    pub fn section(&self) -> &str {
        &self.section
    }

    /// What kernels are chosen for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The same device with kernels chosen for something else: without what its self-test refuses, or, to test them on
    /// a software device, those of graphics cards. What it was opened without is not chosen.
    pub fn aimed_at(self, mut target: Target) -> Self {
        target.cooperative_products &= self.cooperative;
        target.subgroup_products &= self.subgroup.is_some();
        target.subgroup = self.subgroup.unwrap_or(target.subgroup);
        Device { target, ..self }
    }

    /// Whether it works in small portions with rests between them.
    pub(super) fn nice(&self) -> bool {
        self.choice.nice
    }

    /// What it was opened by.
    pub(crate) fn choice(&self) -> &DeviceChoice {
        &self.choice
    }

    /// Waits for a submission and rests for as long as it took, a tenth of a second at most.
    pub(super) fn rest(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let start = Instant::now();
        self.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None })?;
        std::thread::sleep(start.elapsed().min(Duration::from_millis(100)));
        Ok(())
    }

    /// What may be bound and allocated at most.
    pub(crate) fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// The pipeline of a launch's kernel variant, compiled once.
    ///
    /// # Errors
    /// [`Error::Device`] with the compiler's words if the driver refuses the kernel.
    pub(super) fn pipeline(&self, launch: &Launch) -> Result<wgpu::ComputePipeline> {
        let text = wgsl::render(launch)?;
        // What is compiled stays valid, whoever panicked meanwhile.
        let pipelines = || self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines().get(&text) {
            return Ok(pipeline.clone());
        }
        let make = || {
            let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(launch.shader.name),
                source: wgpu::ShaderSource::Wgsl(text.as_str().into()),
            });
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(launch.shader.name),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
        };
        let pipeline = self.catch(wgpu::ErrorFilter::Validation, make).map_err(|error| {
            Error::device(
                format!("{} refuses kernel {}: {error}", self.name, launch.shader.name),
                "update the driver, or run with `--device reference`",
            )
        })?;
        pipelines().insert(text, pipeline.clone());
        Ok(pipeline)
    }

    /// Bytes that the driver holds for this device's buffers, where the interface tells.
    pub fn allocated(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// What `make` makes, or the error of one kind that this causes.
    ///
    /// A browser tells of errors later: there they become a fault, which the next wait finds.
    pub(super) fn catch<T>(&self, filter: wgpu::ErrorFilter, make: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
        if cfg!(target_arch = "wasm32") {
            return Ok(make());
        }
        let scope = self.device.push_error_scope(filter);
        let made = make();
        // The answer is there already: nothing needs to be woken for it.
        match pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(error)) => Err(error),
            _ => Ok(made),
        }
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// [`Error::Device`] if the device was lost.
    pub async fn wait(&self) -> Result<()> {
        let (done, told) = oneshot::channel();
        self.queue.on_submitted_work_done(|| done.send(()).unwrap_or_default());
        self.until(told).await
    }

    /// Waits until a callback of the device has sent something. A browser drives its devices by itself; elsewhere this
    /// does, so that the answer is there at once.
    pub(super) async fn until<T>(&self, told: oneshot::Receiver<T>) -> Result<T> {
        self.poll(wgpu::PollType::wait_indefinitely())?;
        let answer = told.await;
        self.faults.check(&self.name)?;
        answer.map_err(|_| Error::device(format!("{} was lost", self.name), "start again"))
    }

    pub(super) fn poll(&self, wait: wgpu::PollType) -> Result<()> {
        let polled = self.device.poll(wait);
        self.faults.check(&self.name)?;
        polled.map(|_| ()).map_err(|error| {
            Error::device(format!("{} was lost: {error}", self.name), "check the driver's log and start again")
        })
    }

    /// A storage buffer of at least `bytes`.
    pub(super) fn buffer(&self, label: &str, bytes: u64) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: `default` asks for no more than WebGPU grants everywhere, whatever the adapter has.
    #[test]
    fn default_limits_are_webgpus() {
        let choice = DeviceChoice::default().limits(Limits::Default);
        let device = pollster::block_on(Device::open(&choice)).unwrap();
        assert_eq!(device.limits(), &wgpu::Limits::default());
        assert_eq!(device.device.limits(), wgpu::Limits::default());
        assert!(device.device.features().is_empty());
    }
}
