//! The kernels of training steps as a graphics card would get them: planned for one, and as the SPIR-V that wgpu's
//! Vulkan backend writes.

use std::collections::BTreeMap;

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use tagseg::engine::gpu::Plan;
use tagseg::engine::kernel::wgsl::render;
use tagseg::engine::kernel::{Kernels, Launch, Registers, Target};

use super::planned::steps;

/// A kernel in one variant.
pub struct Kernel {
    /// Its name with what chooses the variant. Kernels that differ in the layouts of their operands alone share it.
    pub name: String,
    /// SPIR-V.
    pub words: Vec<u32>,
    /// Storage bindings.
    pub bindings: usize,
    /// Its parts of the arithmetic of the last phase of a step, for the presets of [`SHARED`].
    pub shares: [f64; SHARED.len()],
    /// Whether it is for cards that multiply cooperative matrices of 16×16 halves.
    pub with_matrices: bool,
    /// The registers of the cards that it is for.
    pub registers: Vec<Registers>,
}

/// The presets of whose steps, in f32, the share of each kernel is told.
pub const SHARED: [&str; 2] = ["voc", "photos"];

/// The kernel with cooperative matrices that graphics cards get.
const WITH_MATRICES: &str = "matmul_coop_half";

/// What is known of a kernel while the steps are planned.
struct Known {
    launch: Launch,
    /// Operations in the last phase of a step, for the presets of [`SHARED`], by the table that came first.
    operations: [u64; SHARED.len()],
    /// The tables that choose it.
    registers: Vec<Registers>,
}

/// Every kernel of every phase of the presets' steps in both precisions, once: those for cards without cooperative matrices,
/// and those that others have instead; for cards with few registers, more, and many.
pub fn of_steps() -> Vec<Kernel> {
    let mut kernels: BTreeMap<String, Known> = BTreeMap::new();
    let mut totals = [0; SHARED.len()];
    for preset in ["nano", "photos", "voc"] {
        for precision in ["f32", "mixed"] {
            let graphs = steps(preset, &[&format!("train.precision={precision}")]);
            let last = graphs.len() - 1;
            for (phase, graph) in graphs.iter().enumerate() {
                let counted = precision == "f32" && phase == last;
                let counts = SHARED.map(|shared| u64::from(counted && shared == preset));
                let launches =
                    |target| Plan::new(graph, &[], target).steps.into_iter().flat_map(|step| step.launches.list);
                for table in [Kernels::GRAPHICS, Kernels::NVIDIA, Kernels::AMD] {
                    let (target, registers) = (Target::from(table), table.registers);
                    let plain = launches(Target { half_products: false, ..target });
                    let others = launches(target).filter(|launch| launch.shader.name == WITH_MATRICES);
                    for launch in plain.chain(others) {
                        let own = counts.map(|counts| counts * launch.operations);
                        let known = kernels.entry(render(&launch).unwrap()).or_insert_with(|| Known {
                            launch,
                            operations: [0; SHARED.len()],
                            registers: Vec::new(),
                        });
                        if !known.registers.contains(&registers) {
                            known.registers.push(registers);
                        }
                        // All tables compute as much, so each kernel and the whole are counted for one of them.
                        if known.registers[0] == registers {
                            known.operations.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
                        }
                        if registers == Registers::Few {
                            totals.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
                        }
                    }
                }
            }
        }
    }
    let kernel = |(text, Known { launch, operations, registers }): (String, Known)| Kernel {
        name: name(&launch),
        with_matrices: launch.shader.name == WITH_MATRICES,
        words: words(&text),
        bindings: launch.bindings.len(),
        shares: std::array::from_fn(|preset| operations[preset] as f64 / totals[preset] as f64),
        registers,
    };
    kernels.into_iter().map(kernel).collect()
}

/// The shader with its defines, but for those that only name the type or the layout of an operand; HALVES if it loads or
/// stores half precision.
fn name(launch: &Launch) -> String {
    let mut parts = vec![launch.shader.name.to_owned()];
    for (name, value) in &launch.defines {
        match value.trim_end_matches('u') {
            _ if name.ends_with("_ELEMENT") || name.ends_with("_LAYOUT") => {}
            "1" => parts.push((*name).to_owned()),
            number if number.parse::<u32>().is_ok() => parts.push(format!("{name}={number}")),
            _ => {}
        }
    }
    if !launch.half.is_empty() {
        parts.push("HALVES".to_owned());
    }
    parts.join(" ")
}

/// SPIR-V of a kernel with the options of `wgpu_hal::vulkan` on a device with Vulkan 1.3 and `robustBufferAccess2`.
fn words(text: &str) -> Vec<u32> {
    let module = naga::front::wgsl::parse_str(text).unwrap();
    let capabilities = Capabilities::COOPERATIVE_MATRIX
        | Capabilities::SUBGROUP
        | Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).unwrap();
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Restrict,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        // As `Device::pipeline` asks for.
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: true,
        emit_int_div_checks: true,
        binding_map: bindings(&module),
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).unwrap()
}

/// Every binding at its own number.
fn bindings(module: &naga::Module) -> spv::BindingMap {
    let bound = module.global_variables.iter().filter_map(|(_, variable)| variable.binding);
    let info = |own: naga::ResourceBinding| spv::BindingInfo {
        descriptor_set: own.group,
        binding: own.binding,
        binding_array_size: None,
    };
    bound.map(|own| (own, info(own))).collect()
}
