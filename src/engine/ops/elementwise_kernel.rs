//! Writes the kernel of a chain of functions, with broadcasting.

use crate::engine::graph::{Chain, MAX_LEAVES, MAX_SCALARS, Operand};
use crate::engine::graph::{Shape, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Shader, Slot};

/// Merges neighbouring axes that every input walks alike; gives the extents and, per input, its strides.
pub(super) fn collapse(shape: &Shape, inputs: &[&TensorType]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let full: Vec<_> = inputs.iter().map(|input| input.shape.broadcast_strides(shape)).collect();
    let mut extents: Vec<usize> = Vec::new();
    let mut strides: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
    for axis in (0..shape.rank()).filter(|&axis| shape[axis] != 1) {
        let joins = !extents.is_empty()
            && full.iter().zip(&strides).all(|(full, own)| own[own.len() - 1] == full[axis] * shape[axis]);
        if joins {
            let last = extents.len() - 1;
            extents[last] *= shape[axis];
            for (full, own) in full.iter().zip(&mut strides) {
                own[last] = full[axis];
            }
        } else {
            extents.push(shape[axis]);
            for (full, own) in full.iter().zip(&mut strides) {
                own.push(full[axis]);
            }
        }
    }
    (extents, strides)
}

/// Writes the kernel of a chain. The text is made of `shaders/common/elementwise.wgsl` and one line per function.
pub(super) fn launch(op: &Chain, context: &LaunchContext<'_>) -> Launch {
    use std::fmt::Write;

    let (extents, strides) = collapse(&context.output.shape, context.inputs);
    let n = context.output.shape.len();
    let inner = extents.last().copied().unwrap_or(1);
    let linear = |own: &[usize]| own.len() == 1 && own[0] == 1;
    let constant = |own: &[usize]| own.iter().all(|&stride| stride == 0);
    let plain = strides.iter().all(|own| linear(own) || constant(own));
    // Four neighbours at once: every input is contiguous or constant along the innermost axis, and aligned.
    let aligned = inner.is_multiple_of(4)
        && strides.iter().all(|own| match own.split_last() {
            Some((&1, outer)) => outer.iter().all(|stride| stride.is_multiple_of(4)),
            Some((&last, _)) => last == 0,
            None => true,
        });
    let vector = plain || aligned;

    let mut text = String::from("#include \"common/index.wgsl\"\n#include \"common/elementwise.wgsl\"\n");
    let value = if vector { "vec4<f32>" } else { "f32" };
    let mut line = |indent: &str, content: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{indent}{content}");
    };
    line("", "@group(0) @binding(0) var<uniform> p: Params;".into());
    for (index, (input, own)) in context.inputs.iter().zip(&strides).enumerate() {
        let wide = vector && own.last() == Some(&1);
        let element = if wide { format!("vec4<{}>", input.dtype.wgsl()) } else { input.dtype.wgsl().into() };
        line("", format!("@group(0) @binding({}) var<storage, read> x{index}: array<{element}>;", index + 1));
    }
    let out = context.output.dtype.wgsl();
    let out = if vector { format!("vec4<{out}>") } else { out.into() };
    line("", format!("@group(0) @binding({}) var<storage, read_write> y: array<{out}>;", context.inputs.len() + 1));
    line("", "@compute @workgroup_size(WORKGROUP)".into());
    line(
        "",
        "fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {".into(),
    );
    line("    ", "let i = invocation_index(id, groups);".into());
    line("    ", "if i >= p.n { return; }".into());
    if !plain {
        line("    ", format!("var rest = i{};", if vector { " * 4u" } else { "" }));
        // One division an axis: they are slow on software devices.
        for axis in (1..extents.len()).rev() {
            line("    ", format!("let outer{axis} = rest / p.extents[{axis}];"));
            line("    ", format!("let c{axis} = rest - outer{axis} * p.extents[{axis}];"));
            line("    ", format!("rest = outer{axis};"));
        }
        line("    ", "let c0 = rest;".into());
    }
    for (index, own) in strides.iter().enumerate() {
        let wide = vector && own.last() == Some(&1);
        let at = if constant(own) {
            "0u".into()
        } else if linear(own) {
            "i".into()
        } else {
            let terms: Vec<_> = (0..own.len())
                .filter(|&axis| own[axis] != 0)
                .map(|axis| format!("c{axis} * p.strides[{index}][{axis}]"))
                .collect();
            if wide { format!("({}) / 4u", terms.join(" + ")) } else { terms.join(" + ") }
        };
        let load = if wide { format!("x{index}[{at}]") } else { format!("f32(x{index}[{at}])") };
        line("    ", format!("let a{index} = V({load});"));
    }
    let mut scalar = 0;
    for (index, instruction) in op.body.iter().enumerate() {
        let args: Vec<_> = instruction
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Leaf(leaf) => format!("a{leaf}"),
                Operand::Value(value) => format!("v{value}"),
            })
            .collect();
        let constant = format!("p.scalars[{}][{}]", scalar / 4, scalar % 4);
        scalar += usize::from(instruction.function.scalar().is_some());
        line("    ", format!("let v{index} = {};", instruction.function.wgsl(&args, &constant)));
    }
    line("    ", format!("y[i] = {out}(v{});", op.body.len() - 1));
    line("", "}".into());

    let per = if vector { 4 } else { 1 };
    let count = n.div_ceil(per);
    let mut launch = Launch::new(Shader { name: "elementwise", source: text.into() }, count, 1)
        .operations(n * op.body.len())
        .define("VALUE", value)
        .define("BITS", value.replace("f32", "u32"));
    let four = |values: &[usize]| {
        let mut block = [0usize; 4];
        block[..values.len()].copy_from_slice(values);
        block
    };
    launch = launch.uints(&[count, 0, 0, 0]).uints(&four(&extents));
    for leaf in 0..MAX_LEAVES {
        launch = launch.uints(&strides.get(leaf).map_or([0; 4], |own| four(own)));
    }
    let mut scalars = op.scalars();
    scalars.resize(MAX_SCALARS, 0.0);
    launch = launch.floats(&scalars);
    let mut slots: Vec<_> = (0..context.inputs.len()).map(Slot::Input).collect();
    slots.push(Slot::Output);
    launch.bind(&slots)
}
