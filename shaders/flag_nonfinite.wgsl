// Sets the flag of each of several packed tensors that has an infinite value or NaN.
//
//   flags[k] ← 1 if any x[i] of tensor k has an exponent of ones, else unchanged
//
// By bits: WGSL lets a compiler assume that there is no NaN, so comparisons cannot find one. One invocation tests
// four elements, a workgroup a block of one tensor: blocks = (k, number of its elements); the others are
// padding with undefined contents. All invocations that set a flag write the same bits.
#include "common/index.wgsl"

struct Params { n: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<vec4<u32>>
#read blocks: array<vec2<f32>>
@group(0) @binding(3) var<storage, read_write> flags: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.n { return; }
    let block = vec2<u32>(load_blocks(i / WORKGROUP));
    let first = 4u * (i % WORKGROUP);
    let exponent = vec4<u32>(0x7f800000u);
    let index = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    if any(((load_x(i) & exponent) == exponent) & (index < vec4<u32>(block.y))) {
        atomicStore(&flags[block.x], bitcast<u32>(1.0));
    }
}
