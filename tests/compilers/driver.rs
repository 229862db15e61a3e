//! A Vulkan driver compiles kernels for a card that need not be there, and tells what became of them.

#![allow(unsafe_code, reason = "calls of Vulkan")]

use std::ffi::CStr;

use ash::vk;
use serde::{Deserialize, Serialize};

/// What a compiler says of a kernel, by the driver's own names: `VGPRs`, `Scratch size`, …
pub type Statistics = Vec<(String, u64)>;

/// A kernel as a compiler sees it.
#[derive(Serialize, Deserialize)]
pub struct Compiled {
    /// Figures, or the reason of a refusal.
    pub statistics: Result<Statistics, String>,
    /// Machine code, if asked for.
    pub code: String,
}

/// A device of the driver that the environment selects.
pub struct Driver {
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    /// Name of the card.
    pub card: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Whether the card multiplies cooperative matrices of 16×16 halves and adds in f32.
    pub has_matrices: bool,
}

/// Whether a card lists a product of 16×16×16 halves with sums in f32.
fn has_matrices(entry: &ash::Entry, instance: &ash::Instance, card: vk::PhysicalDevice) -> bool {
    let matrices = ash::khr::cooperative_matrix::Instance::new(entry, instance);
    // SAFETY: a card of this instance.
    let extensions = unsafe { instance.enumerate_device_extension_properties(card) }.unwrap_or_default();
    let known = |own: &vk::ExtensionProperties| text(&own.extension_name).as_bytes() == MATRICES.to_bytes();
    if !extensions.iter().any(known) {
        return false;
    }
    // SAFETY: a card of this instance, which has the extension.
    let listed = unsafe { matrices.get_physical_device_cooperative_matrix_properties(card) }.unwrap_or_default();
    let (half, whole) = (vk::ComponentTypeKHR::FLOAT16, vk::ComponentTypeKHR::FLOAT32);
    listed.iter().any(|own| {
        [own.m_size, own.n_size, own.k_size] == [16; 3]
            && [own.a_type, own.b_type] == [half; 2]
            && [own.c_type, own.result_type] == [whole; 2]
            && own.scope == vk::ScopeKHR::SUBGROUP
    })
}

const MATRICES: &CStr = ash::khr::cooperative_matrix::NAME;

fn text(chars: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|&char| char as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Driver {
    /// Opens the first device whose driver has the name.
    pub fn open(driver: &str) -> Result<Self, String> {
        let failed = |what: &'static str| move |error: vk::Result| format!("{what}: {error}");
        // SAFETY: the loader of the system, which this process uses in no other way.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| error.to_string())?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: `info` and what it refers to live until the call returns.
        let instance = unsafe { entry.create_instance(&info, None) }.map_err(failed("vkCreateInstance"))?;
        // SAFETY: a live instance.
        let cards = unsafe { instance.enumerate_physical_devices() }.map_err(failed("vkEnumeratePhysicalDevices"))?;
        let described = cards.into_iter().map(|card| {
            let mut own = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut own);
            // SAFETY: a card of this instance; the chain is valid for writes.
            unsafe { instance.get_physical_device_properties2(card, &mut properties) };
            let name = text(&properties.properties.device_name);
            (card, name, text(&own.driver_name), text(&own.driver_info))
        });
        let (card, name, driver, version) = described
            .into_iter()
            .find(|(_, _, name, _)| name == driver)
            .ok_or_else(|| format!("no driver `{driver}`; scripts/compilers.sh installs it"))?;

        // What wgpu enables and what changes code.
        let core = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
        let mut told =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
        let mut extensions =
            [ash::khr::pipeline_executable_properties::NAME, ash::ext::robustness2::NAME].map(CStr::as_ptr).to_vec();
        let has_matrices = has_matrices(&entry, &instance, card);
        // What wgpu enables for cooperative matrices and halves.
        let mut storage = vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(true);
        let mut halves = vk::PhysicalDeviceVulkan12Features::default()
            .shader_float16(true)
            .vulkan_memory_model(true)
            .vulkan_memory_model_device_scope(true);
        let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
        if has_matrices {
            extensions.push(MATRICES.as_ptr());
        }
        let mut info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .enabled_features(&core)
            .push_next(&mut robust)
            .push_next(&mut told);
        if has_matrices {
            info = info.push_next(&mut storage).push_next(&mut halves).push_next(&mut matrices);
        }
        // SAFETY: a card of this instance; `info` and what it refers to live until the call returns.
        let device = unsafe { instance.create_device(card, &info, None) }.map_err(failed("vkCreateDevice"))?;
        let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
        let driver = format!("{driver} {version}");
        Ok(Driver { _entry: entry, instance, device, executables, card: name, driver, has_matrices })
    }

    /// Compiles a kernel with a uniform block at binding 0 and so many storage buffers after it.
    pub fn compile(&self, words: &[u32], buffers: usize, with_code: bool) -> Compiled {
        let mut code = String::new();
        let statistics = self.pipeline(words, buffers, with_code, &mut code).map_err(|error| error.to_string());
        Compiled { statistics, code }
    }

    fn pipeline(
        &self,
        words: &[u32],
        buffers: usize,
        with_code: bool,
        code: &mut String,
    ) -> Result<Statistics, vk::Result> {
        let binding = |number: usize| {
            let kind =
                if number == 0 { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
            let own = vk::DescriptorSetLayoutBinding::default().binding(number as u32).descriptor_type(kind);
            own.descriptor_count(1).stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings: Vec<_> = (0..=buffers).map(binding).collect();
        let mut flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
        if with_code {
            flags |= vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        }
        let device = &self.device;
        // SAFETY: all objects belong to this device, infos outlive the calls, and each object is destroyed once, after
        // its last use.
        unsafe {
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [device.create_descriptor_set_layout(&set, None)?];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = device.create_pipeline_layout(&layout, None)?;
            let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default().stage(vk::ShaderStageFlags::COMPUTE);
            let stage = stage.module(module).name(c"main");
            let info = vk::ComputePipelineCreateInfo::default().flags(flags).stage(stage).layout(layout);
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let made = made.map_err(|(_, error)| error).map(|pipelines| pipelines[0]);
            let statistics = made.and_then(|pipeline| {
                let statistics = self.statistics(pipeline);
                if with_code {
                    *code = self.code(pipeline)?;
                }
                device.destroy_pipeline(pipeline, None);
                statistics
            });
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(sets[0], None);
            statistics
        }
    }

    /// The figures of a pipeline's only executable.
    fn statistics(&self, pipeline: vk::Pipeline) -> Result<Statistics, vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: a live pipeline that was made with CAPTURE_STATISTICS.
        let all = unsafe { self.executables.get_pipeline_executable_statistics(&info)? };
        let value = |statistic: &vk::PipelineExecutableStatisticKHR<'_>| {
            // SAFETY: the field that `format` names.
            unsafe {
                match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::BOOL32 => u64::from(statistic.value.b32),
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => statistic.value.i64 as u64,
                    vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => statistic.value.f64 as u64,
                    _ => statistic.value.u64,
                }
            }
        };
        Ok(all.iter().map(|statistic| (text(&statistic.name), value(statistic))).collect())
    }

    /// The last internal representation of a pipeline's only executable: its machine code.
    fn code(&self, pipeline: vk::Pipeline) -> Result<String, vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let mut count = 0;
        // SAFETY: a live pipeline that was made with CAPTURE_INTERNAL_REPRESENTATIONS; the first call counts, the second
        // tells sizes, the third fills buffers of these sizes, which outlive it.
        unsafe {
            get(self.device.handle(), &info, &mut count, std::ptr::null_mut()).result()?;
            let mut all = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            get(self.device.handle(), &info, &mut count, all.as_mut_ptr()).result()?;
            let mut texts: Vec<Vec<u8>> = all.iter().map(|own| vec![0; own.data_size]).collect();
            for (own, text) in all.iter_mut().zip(&mut texts) {
                own.p_data = text.as_mut_ptr().cast();
            }
            get(self.device.handle(), &info, &mut count, all.as_mut_ptr()).result()?;
            Ok(texts.pop().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default())
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: nothing made from them is left.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
