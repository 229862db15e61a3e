//! Every kernel in every variant that a graph can ask for, without a device: naga's validator with no optional feature,
//! its SPIR-V, Metal and HLSL writers, and WGSL there and back. This is our check of Metal and DirectX on a machine
//! that has neither.

use std::collections::BTreeMap;

use naga::back::{hlsl, msl, spv, wgsl};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use tagseg::bmp::iteration::Sizes;
use tagseg::bmp::{Iteration, NetworkConfig, Schedule};
use tagseg::config::Config;
use tagseg::gpu::{Plan, wgsl::render};
use tagseg::graph::{Graph, NodeId, Target};

use super::{Setting, is_differentiated, record, table};

/// Text of every kernel that `graph` needs, with its name.
fn collect(graph: &Graph, outputs: &[NodeId], kernels: &mut BTreeMap<String, &'static str>) {
    for target in [Target::Cpu, Target::Gpu] {
        for step in Plan::new(graph, outputs, target).steps {
            for launch in &step.launches.list {
                kernels.insert(render(launch).unwrap(), launch.shader.name);
                assert!(launch.bindings.len() <= 8, "{}: WebGPU grants eight storage buffers", launch.shader.name);
                assert!(launch.workgroups.iter().all(|&count| (1..=65_535).contains(&count)), "{:?}", launch);
            }
        }
    }
}

fn validate(module: &naga::Module) -> Result<ModuleInfo, String> {
    Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(module).map_err(|error| {
        let mut text = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    })
}

/// The names of the platforms that refuse the kernel, with their reasons.
fn refusals(text: &str) -> Vec<String> {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => return vec![error.emit_to_string(text)],
    };
    let info = match validate(&module) {
        Ok(info) => info,
        Err(error) => return vec![format!("validator: {error}")],
    };
    let mut refusals = Vec::new();
    let mut note = |platform: &str, error: Option<String>| {
        refusals.extend(error.map(|error| format!("{platform}: {error}")));
    };
    note("spirv", spv::write_vec(&module, &info, &spv::Options::default(), None).err().map(|e| e.to_string()));
    let metal = msl::write_string(&module, &info, &msl::Options::default(), &msl::PipelineOptions::default());
    note("metal", metal.err().map(|e| e.to_string()));
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
    let mut direct = String::new();
    let written = hlsl::Writer::new(&mut direct, &options, &pipeline).write(&module, &info, None);
    note("hlsl", written.err().map(|e| e.to_string()));
    match wgsl::write_string(&module, &info, wgsl::WriterFlags::empty()) {
        Ok(again) => {
            let error = naga::front::wgsl::parse_str(&again).map_err(|error| error.emit_to_string(&again));
            note("wgsl", error.and_then(|module| validate(&module)).err());
        }
        Err(error) => note("wgsl", Some(error.to_string())),
    }
    refusals
}

/// Protects: Metal, DirectX and the browser, and the limits of plain WebGPU.
#[test]
fn every_kernel_passes_every_writer() {
    let mut kernels = BTreeMap::new();
    for case in table::cases() {
        for size in case.sizes {
            let recorded = record(&case, size, Setting::Alone).unwrap();
            let mut outputs = vec![recorded.output.id()];
            if case.differentiable {
                let real = recorded.operands.iter().zip(*size).filter(|(_, operand)| is_differentiated(operand));
                let real: Vec<_> = real.map(|(x, _)| x.clone()).collect();
                let gradients = recorded.graph.gradients(&recorded.objective, &real).unwrap();
                outputs.extend(gradients.iter().map(|gradient| gradient.id()));
            }
            collect(&recorded.graph, &outputs, &mut kernels);
        }
    }
    // The chains that fusion makes of a whole training step, in its first and its last phase, small and full size.
    for (preset, crop) in [("nano", 64), ("voc", 128)] {
        let mut config = Config::preset(preset).unwrap();
        config.train_crop = crop;
        let schedule = Schedule::new(&config);
        let sizes = Sizes { batch: 2, crop: [crop; 2], slots: 4 };
        for n in [0, config.train_iters - 1] {
            let network = NetworkConfig::new(&config, 20);
            let iteration = Iteration::record(&config, &network, schedule.phase(n), sizes, true).unwrap();
            iteration.update(&config).unwrap();
            collect(&iteration.graph, &[], &mut kernels);
        }
    }
    let mut failures = Vec::new();
    for (text, name) in &kernels {
        failures.extend(refusals(text).into_iter().map(|reason| format!("{name}: {reason}")));
    }
    println!("{} kernel variants through validator, SPIR-V, Metal, HLSL and WGSL", kernels.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(kernels.len() > 100, "only {} variants were found", kernels.len());
}
