//! Adapters, devices, and their pipelines.

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
use crate::engine::kernel::{Class, HalfMatrices, KernelTable, Launch, Target, WORKGROUP, wgsl};
use crate::error::{Error, Result};

/// Information about an adapter.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterReport {
    /// Position in the list, as for `--device`.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// Graphics interface: Vulkan, Metal or Dx12.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Discrete, integrated, virtual or software.
    pub kind: &'static str,
    /// Whether half-precision arithmetic is available.
    pub f16: bool,
    /// Whether subgroup operations are available.
    pub subgroups: bool,
    /// Invocations per subgroup, if they are always 4 or 8, for which there are kernels.
    pub subgroup: Option<usize>,
    /// Available cooperative matrices, as `8x8x8 f32 to f32`: rows, columns and terms of a product, types of the
    /// operands and of the result.
    pub matrices: Vec<String>,
    /// Whether they include the f32 matrices for which there are kernels.
    pub cooperative: bool,
    /// Rows, columns and terms of the cooperative matrices of halves, with sums in f32, that products may use.
    pub half_matrices: Option<usize>,
    /// Whether shaders may convert numbers to half precision and back.
    pub converts_halves: bool,
    /// Whether timestamps are available.
    pub timestamps: bool,
    /// The class of device that kernels are chosen for.
    pub class: Class,
    /// The section of the kernel table that it uses.
    pub section: String,
    /// Largest storage binding, in bytes.
    pub max_binding: u64,
    /// Largest buffer, in bytes.
    pub max_buffer: u64,
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: u32,
    /// Whether `--device auto` selects it.
    pub automatic: bool,
}

const NO_ADAPTER: &str = "install the driver of your graphics card or a software driver (Debian, Ubuntu: \
     apt-get install mesa-vulkan-drivers), or run on the CPU with `--device reference`";

/// Features that are used if available. No result depends on them; timestamps are for profiles.
const OPTIONAL: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY;

/// Features for kernels with cooperative matrices, requested if a kernel table names such kernels.
const COOPERATIVE: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SUBGROUP);

/// The same for matrices of halves.
const HALF_COOPERATIVE: wgpu::Features = COOPERATIVE.union(wgpu::Features::SHADER_F16);

/// Bytes of workgroup memory that every device has.
const WORKGROUP_MEMORY: usize = 16384;

/// Whether an adapter multiplies cooperative matrices of `side` × `side` elements and adds them in f32. wgpu reports
/// the feature for matrices of any kind; and a workgroup must consist of whole subgroups.
fn multiplies(adapter: &wgpu::Adapter, operand: wgpu::CooperativeScalarType, side: u32) -> bool {
    let whole = wgpu::CooperativeScalarType::F32;
    let fits = |kind: &wgpu::CooperativeMatrixProperties| {
        [kind.m_size, kind.n_size, kind.k_size] == [side; 3] && [kind.ab_type, kind.cr_type] == [operand, whole]
    };
    adapter.features().contains(COOPERATIVE)
        && adapter.get_info().subgroup_max_size <= WORKGROUP as u32
        && adapter.cooperative_matrix_properties().iter().any(fits)
}

/// Whether an adapter multiplies cooperative matrices of 8×8 f32.
fn is_cooperative(adapter: &wgpu::Adapter) -> bool {
    multiplies(adapter, wgpu::CooperativeScalarType::F32, 8)
}

/// The largest cooperative matrices of halves that an adapter multiplies and WGSL can name: the squares among them, if a
/// workgroup's memory has room for the sums of its subgroups.
fn half_matrices(adapter: &wgpu::Adapter) -> Option<HalfMatrices> {
    let subgroups = WORKGROUP / (adapter.get_info().subgroup_min_size as usize).clamp(1, WORKGROUP);
    let kinds = [16, 8].map(|side| HalfMatrices { side, subgroups });
    kinds.into_iter().find(|kind| {
        adapter.features().contains(HALF_COOPERATIVE)
            && 4 * kind.sums() <= WORKGROUP_MEMORY
            && multiplies(adapter, wgpu::CooperativeScalarType::F16, kind.side as u32)
    })
}

/// Whether an adapter has functions that convert f32 to halves and back.
fn converts_halves(adapter: &wgpu::Adapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32)
}

/// The invocations per subgroup of an adapter, if it is always four or eight, as for the vectors of a processor that a
/// software device uses.
fn subgroup(adapter: &wgpu::Adapter) -> Option<usize> {
    let info = adapter.get_info();
    let sizes = [info.subgroup_min_size, info.subgroup_max_size];
    [4, 8].into_iter().find(|&size| adapter.features().contains(wgpu::Features::SUBGROUP) && sizes == [size as u32; 2])
}

fn described(kind: &wgpu::CooperativeMatrixProperties) -> String {
    let text = format!("{}x{}x{} {:?} to {:?}", kind.m_size, kind.n_size, kind.k_size, kind.ab_type, kind.cr_type);
    text.to_lowercase()
}

/// One instance for all threads: Vulkan's loader 1.4.309 crashes if several threads create and drop their own.
#[cfg(not(target_arch = "wasm32"))]
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: LazyLock<wgpu::Instance> =
        LazyLock::new(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle()));
    &INSTANCE
}

/// In a browser, an instance cannot be shared between threads, and is cheap to create.
#[cfg(target_arch = "wasm32")]
fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle())
}

pub(super) async fn enumerate() -> Vec<wgpu::Adapter> {
    instance().enumerate_adapters(wgpu::Backends::PRIMARY).await
}

/// All adapters of this machine, in the order of `--device` indices; in a browser, the one that it offers.
pub async fn adapters() -> Vec<AdapterReport> {
    let adapters = enumerate().await;
    let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    let automatic = best(&infos);
    adapters
        .iter()
        .zip(infos)
        .enumerate()
        .map(|(index, (adapter, info))| {
            let (features, limits) = (adapter.features(), adapter.limits());
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
                half_matrices: half_matrices(adapter).map(|kind| kind.side),
                converts_halves: converts_halves(adapter),
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

/// The class of kernels for a type of device.
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

/// The best graphics card, else a software device; the first of equals.
fn best(adapters: &[wgpu::AdapterInfo]) -> Option<usize> {
    let rank = |adapter: &wgpu::AdapterInfo| match adapter.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    (0..adapters.len()).min_by_key(|&index| (rank(&adapters[index]), index))
}

/// The adapter that `--device` names: the best, an index, or a part of a name in any case.
pub(super) fn find(adapters: &[wgpu::AdapterInfo], wish: &str) -> Option<usize> {
    match (wish, wish.parse::<usize>()) {
        ("auto", _) => best(adapters),
        (_, Ok(index)) => (index < adapters.len()).then_some(index),
        (part, _) => {
            let part = part.to_lowercase();
            adapters.iter().position(|adapter| adapter.name.to_lowercase().contains(&part))
        }
    }
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
    half_matrices: Option<HalfMatrices>,
    converts_halves: bool,
    subgroup: Option<usize>,
    choice: Arc<DeviceChoice>,
    limits: wgpu::Limits,
    faults: Faults,
    pipelines: Arc<Mutex<HashMap<String, wgpu::ComputePipeline>>>,
}

/// Vec4s of a binding, as `shaders/common/fused.wgsl` has it.
const MOST_FOURS: u64 = 0x0fff_ff00;

impl Device {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such adapter, or no device can be created.
    pub async fn open(choice: &DeviceChoice) -> Result<Self> {
        let wish = choice.wish();
        let adapters = enumerate().await;
        if adapters.is_empty() {
            return Err(Error::device("no graphics adapter was found", NO_ADAPTER));
        }
        let infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
        let chosen = find(&infos, wish).ok_or_else(|| {
            Error::device(format!("no adapter `{wish}`"), "choose an index or a name that `tagseg devices` lists")
        })?;
        let (adapter, info) = (&adapters[chosen], &infos[chosen]);
        // A chosen class overrides that of the adapter.
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
        let half_matrices = if whole && target.half_products { half_matrices(adapter) } else { None };
        let converts_halves = converts_halves(adapter);
        if cooperative {
            features |= COOPERATIVE;
        }
        if half_matrices.is_some() {
            features |= HALF_COOPERATIVE;
        }
        if cooperative || half_matrices.is_some() {
            // SAFETY: the feature is experimental: wgpu may have bugs here. The two kernels that use the feature pass
            // naga's validation, access only their operands, and run after a self-test on the adapter.
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
        let (device, queue) = opened
            .map_err(|error| Error::device(format!("cannot create a device on {}: {error}", info.name), NO_ADAPTER))?;
        let faults = Faults::of(&device);
        // Browsers may hide the name.
        let name = if info.name.is_empty() { "the graphics adapter".to_owned() } else { info.name.clone() };
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
            half_matrices,
            converts_halves,
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

    /// The section of the kernel table that it uses.
    pub fn section(&self) -> &str {
        &self.section
    }

    /// What kernels are chosen for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The same device with kernels chosen for another target: without those that failed the self-test, or, to test
    /// them on a software device, those of graphics cards. Kernels whose features were not requested are not chosen.
    pub fn aimed_at(self, mut target: Target) -> Self {
        target.cooperative_products &= self.cooperative;
        target.half_products &= self.half_matrices.is_some();
        target.half_matrices = self.half_matrices.unwrap_or(target.half_matrices);
        target.builtin_halves &= self.converts_halves;
        target.subgroup_products &= self.subgroup.is_some();
        target.subgroup = self.subgroup.unwrap_or(target.subgroup);
        Device { target, ..self }
    }

    /// Whether it submits work in small portions with pauses.
    pub(super) fn nice(&self) -> bool {
        self.choice.nice
    }

    /// The choice with which it was opened.
    pub(crate) fn choice(&self) -> &DeviceChoice {
        &self.choice
    }

    /// Waits for a submission and then pauses for as long as it took, at most a tenth of a second.
    pub(super) fn rest(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        let start = Instant::now();
        self.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None })?;
        std::thread::sleep(start.elapsed().min(Duration::from_millis(100)));
        Ok(())
    }

    /// The limits of bindings and allocations.
    pub(crate) fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// Bytes of a tensor's buffer at most. Kernels address less than `MOST_FOURS` vec4s (`shaders/common/fused.wgsl`), also of
    /// halves, which take 8 bytes: few devices bind more.
    pub(crate) fn largest_binding(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size).min(8 * MOST_FOURS)
    }

    /// The pipeline of a launch's kernel variant, compiled once.
    ///
    /// # Errors
    /// [`Error::Device`] with the compiler's message if the driver refuses the kernel.
    pub(super) fn pipeline(&self, launch: &Launch) -> Result<wgpu::ComputePipeline> {
        let text = wgsl::render(launch)?;
        // Compiled pipelines stay valid even if a thread panicked.
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

    /// Bytes that the driver has allocated for this device's buffers, if the interface reports them.
    pub fn allocated(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// The result of `make`, or the error of one kind that it causes.
    ///
    /// A browser reports errors later: there they become a fault, which the next wait returns.
    pub(super) fn catch<T>(&self, filter: wgpu::ErrorFilter, make: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
        if cfg!(target_arch = "wasm32") {
            return Ok(make());
        }
        let scope = self.device.push_error_scope(filter);
        let made = make();
        // The result is already available: no waker is needed.
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
        self.until(told, None).await
    }

    /// Waits until a callback of the device has sent something, which a submission brings about, or all of them. A browser polls its devices by itself; elsewhere this
    /// polls, so that the result is available at once.
    pub(super) async fn until<T>(
        &self,
        told: oneshot::Receiver<T>,
        submission_index: Option<wgpu::SubmissionIndex>,
    ) -> Result<T> {
        if self.poll(wgpu::PollType::Wait { submission_index, timeout: None }).is_err() {
            // A lost device says so only when all has been waited for.
            self.poll(wgpu::PollType::wait_indefinitely())?;
        }
        let answer = told.await;
        self.faults.check(&self.name)?;
        answer.map_err(|_| Error::device(format!("{} was lost", self.name), "restart the program"))
    }

    pub(super) fn poll(&self, wait: wgpu::PollType) -> Result<()> {
        let polled = self.device.poll(wait);
        self.faults.check(&self.name)?;
        polled.map(|_| ()).map_err(|error| {
            Error::device(format!("{} was lost: {error}", self.name), "check the driver's log and restart the program")
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

    /// Protects: kernels bound positions by what a buffer has at most.
    #[test]
    fn kernels_know_the_largest_binding() {
        let shader = include_str!("../../../shaders/common/fused.wgsl");
        assert!(shader.contains(&format!("const MOST_FOURS: u32 = 0x{MOST_FOURS:08x}u;")), "{shader}");
    }

    /// Protects: `default` requests only the default limits of WebGPU, whatever the adapter has.
    #[test]
    fn default_limits_are_webgpus() {
        let choice = DeviceChoice::default().limits(Limits::Default);
        let device = pollster::block_on(Device::open(&choice)).unwrap();
        assert_eq!(device.limits(), &wgpu::Limits::default());
        assert_eq!(device.device.limits(), wgpu::Limits::default());
        assert!(device.device.features().is_empty());
    }
}
